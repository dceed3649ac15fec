//! Aligns a transcript with the sound: from the times that a source reports to the times that are heard.
//!
//! The agents SDK is right about when its agent begins to speak, 0.4 s late about when it ends, 3 s late when it is interrupted,
//! and about 0.1 s late for the user; realtime models report half of this or nothing; a room reports only when texts arrived. Each
//! voice has sound of its own, so the sound decides: first how far the source's clock is off ([`clock`]), then which stretch of its
//! voice each line is ([`assign`]); a line begins and ends with the first and last sound of its stretch. What the sound cannot
//! decide is marked as approximate.

mod assign;
mod certain;
mod clock;
mod evidence;
mod lay;
mod rows;
mod share;
mod shifts;
mod speech;

use self::assign::{Claim, SLOW_RATE, VoiceSound, assign};
use self::certain::{Found, USUAL_RATE};
use self::evidence::{Evidence, Stretch, Writing, unheard};
pub use self::lay::{Laid, lay};
pub use self::speech::{Span, SpeechSpans, Voice, joined};
use super::{Alignment, ClockStep, Kind, Method, Refined, Role, Transcript, Turn};
use crate::time::WallTime;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;

/// The version of this alignment. A transcript that an older version aligned is aligned again.
pub const VERSION: u32 = 3;

/// Whose account of what was said a transcript is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// A session's own, by its own clock.
    Session,
    /// What a room received, by the recording's clock.
    Room,
}

/// A line that ends this close to the end of the sound so far may still go on.
const GOES_ON: i64 = 600 * MS;

/// Refines the times of a transcript by what is heard. Earlier refinements are replaced.
pub fn align(mut transcript: Transcript, speech: &SpeechSpans, account: Account) -> Transcript {
    for turn in &mut transcript.turns {
        turn.refined = None;
    }
    let clock = match account {
        Account::Session => clock::find(&transcript.turns, speech),
        Account::Room => clock::Clock::default(),
    };
    let (mut lines, mut exact) = (0, 0);
    for voice in 0..speech.voices.len() {
        for (turn, refined) in of_voice(&transcript.turns, speech, voice, &clock, account) {
            lines += 1;
            exact += usize::from(!refined.approximate);
            transcript.turns[turn].refined = Some(refined);
        }
    }
    transcript.alignment = Alignment {
        method: if lines > 0 { Method::VoiceActivity } else { transcript.alignment.method },
        offset_ms: clock.offset_ms(),
        confidence: if lines > 0 {
            f64::from(exact as u32) / f64::from(lines)
        } else {
            transcript.alignment.confidence
        },
        clock: clock.into_steps(),
        version: VERSION,
    };
    transcript
}

/// Whether a turn may be found in the sound: a message that was not certainly typed.
fn may_be_spoken(turn: &Turn, account: Account) -> bool {
    let is_bare = turn.role == Role::User && turn.metrics.is_empty() && turn.confidence.is_none();
    turn.kind == Kind::Message
        && !turn.earlier
        && turn.role != Role::System
        && (!turn.typed || (account == Account::Session && is_bare))
}

/// One reading of a voice's lines: which stretch each of them claims, and what that costs.
struct Reading {
    lines: Vec<Evidence>,
    claims: Vec<Option<Claim>>,
    /// Letters per second that the voice speaks.
    rate: f64,
    cost: f64,
}

impl Reading {
    fn new(lines: Vec<Evidence>, sound: &VoiceSound<'_>) -> Self {
        let (mut rate, is_reported) = rate(&lines, sound);
        let mut assigned = assign(&lines, sound, rate);
        if !is_reported && let Some(heard) = heard_rate(&lines, &assigned.claims) {
            // Until now, sound without words (a laugh, music) was counted as speech.
            rate = heard;
            assigned = assign(&lines, sound, rate);
        }
        Self { lines, claims: assigned.claims, rate, cost: assigned.cost }
    }

    /// Whether a line is elsewhere in another reading.
    fn differs(&self, other: &Self, line: usize) -> bool {
        let edges = |claim: &Claim| (claim.stretch.start, claim.stretch.end);
        self.claims[line].as_ref().map(edges) != other.claims[line].as_ref().map(edges)
    }
}

/// How much cheaper than another a reading has to be to rule it out.
const CLEARLY: f64 = 2.0;

/// The refined times of one voice's lines, with their indices in the transcript.
fn of_voice(
    turns: &[Turn],
    speech: &SpeechSpans,
    voice: usize,
    clock: &clock::Clock,
    account: Account,
) -> Vec<(usize, Refined)> {
    let is_mine = |turn: &&Turn| may_be_spoken(turn, account) && speech.voice_of(turn) == Some(voice);
    let recognised = turns.iter().filter(is_mine).filter(|turn| !turn.typed && turn.role == Role::User);
    let recognised: Vec<Option<WallTime>> = recognised.map(evidence::written).collect();
    let mine = || turns.iter().enumerate().filter(|(_, turn)| is_mine(turn));
    let written = |writing: Writing| -> Vec<Evidence> {
        let evidence = |(number, turn): (usize, &Turn)| {
            Evidence::of(number, turn, clock.offset_of(number), account, writing, unheard(turn, &recognised))
        };
        mine().map(evidence).filter(|line| line.letters > 0.0).collect()
    };
    let usual = Writing::usual(speech.voices[voice].role);
    let lines = written(usual);
    let letters = lines.iter().map(|line| line.letters).sum();
    let sound = VoiceSound::new(&speech.voices[voice].spans, &speech.others(voice), letters);
    let mut reading = Reading::new(lines, &sound);
    let mut doubtful = vec![false; reading.lines.len()];
    if account == Account::Room && mine().all(|(_, turn)| evidence::is_whole(turn)) {
        let mut other = Reading::new(written(usual.other()), &sound);
        if other.cost + CLEARLY < reading.cost {
            std::mem::swap(&mut reading, &mut other);
        }
        if other.cost < reading.cost + CLEARLY {
            doubtful = (0..doubtful.len()).map(|line| reading.differs(&other, line)).collect();
        }
    }
    let Reading { lines, claims, rate, .. } = reading;
    let shared = share::share(&lines, &claims, &sound, rate);
    let found = Found {
        lines: &lines,
        claims: &claims,
        claimed: sound.claimed(&claims),
        sound: &sound,
        rate,
        noisy: speech.voices[voice].noisy,
    };
    let certain: Vec<bool> = (0..lines.len()).map(|line| !doubtful[line] && found.is_certain(line)).collect();
    let mut refined = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_typed = turns[line.turn].typed;
        let times = match (shared.get(&number), claims[number]) {
            (Some((start, end)), _) => Some(Refined { start: *start, end: *end, approximate: true }),
            (None, Some(claim)) => {
                let Stretch { start, end, .. } = claim.stretch;
                let may_go_on = speech.until.is_some_and(|until| until.since(end) < GOES_ON);
                Some(Refined { start, end, approximate: may_go_on || !certain[number] })
            }
            // Where no line comes with a recogniser's data, one that is not found may have been spoken all the same.
            (None, None) if is_typed && (!recognised.is_empty() || sound.seconds() == 0.0) => None,
            (None, None) => unheard_times(&turns[line.turn], clock.offset_of(line.turn)),
        };
        refined.extend(times.map(|times| (line.turn, times)));
    }
    refined
}

/// Letters per second that a voice may speak.
const USUAL: std::ops::RangeInclusive<f64> = 6.0..=30.0;

/// Letters per second that the voice speaks, and whether that follows from reported times.
fn rate(lines: &[Evidence], sound: &VoiceSound<'_>) -> (f64, bool) {
    let reported = lines.iter().filter_map(|line| Some((line.letters, line.start?, line.end?.0)));
    let reported = reported.map(|(letters, start, end)| letters / evidence::seconds(end.since(start)).max(0.1));
    if let Some(rate) = median(reported) {
        return (rate, true);
    }
    let letters: f64 = lines.iter().map(|line| line.letters).sum();
    let all = letters / sound.seconds().max(0.1);
    // Slower than anybody speaks: much of the sound belongs to no line.
    (if all < SLOW_RATE { USUAL_RATE } else { all.min(*USUAL.end()) }, false)
}

/// The same, from where lines were found.
fn heard_rate(lines: &[Evidence], claims: &[Option<Claim>]) -> Option<f64> {
    let found =
        lines.iter().zip(claims).filter_map(|(line, claim)| Some((line.letters, claim.as_ref()?.stretch.speech)));
    median(found.map(|(letters, speech)| letters / evidence::seconds(speech).max(0.1)))
}

/// The median of the plausible rates; `None` when there are fewer than three.
fn median(rates: impl Iterator<Item = f64>) -> Option<f64> {
    let mut rates: Vec<f64> = rates.filter(|rate| USUAL.contains(rate)).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().filter(|_| rates.len() >= 3)
}

/// The times of a line that is not found in the sound: the reported ones, as far as they are possible.
fn unheard_times(turn: &Turn, offset: i64) -> Option<Refined> {
    let times = turn.reported;
    let start = times.start.or(times.created)?.plus_nanos(offset);
    let end = times.end.filter(|_| times.start.is_some()).map_or(start, |end| end.plus_nanos(offset)).max(start);
    Some(Refined { start, end, approximate: true })
}

/// Refines a session's transcript where the recording has its room's sound: first by the session's own sound, where it has any,
/// which is then aligned with the room's; otherwise, or when the two are not the same sound, by the room's alone.
pub fn align_in_room(transcript: Transcript, session: Option<&SpeechSpans>, room: &SpeechSpans) -> Transcript {
    let laid = session.and_then(|session| Some((session, lay(session, room)?)));
    let Some((session, laid)) = laid else { return align(transcript, room, Account::Session) };
    let mut transcript = align(transcript, session, Account::Session);
    for turn in &mut transcript.turns {
        if let Some(refined) = &mut turn.refined {
            let (start, is_there) = laid.offset(turn.role, refined.start);
            let (end, is_end_there) = laid.offset(turn.role, refined.end);
            refined.start = refined.start.plus_nanos(start);
            refined.end = refined.end.plus_nanos(end).max(refined.start);
            refined.approximate |= !(is_there && is_end_there);
        }
    }
    let own = &transcript.alignment.clock;
    let firsts = own.iter().map(|step| (step.from, step.offset));
    let firsts: Vec<(WallTime, i64)> =
        if own.is_empty() { vec![(WallTime::from_nanos(i64::MIN), 0)] } else { firsts.collect() };
    let mut clock: Vec<ClockStep> = Vec::new();
    for (number, (from, offset)) in firsts.iter().enumerate() {
        let until = firsts.get(number + 1).map(|(next, _)| *next);
        for (laid_from, laid_offset) in laid.steps() {
            let begin = laid_from.plus_nanos(-offset).max(*from);
            if until.is_none_or(|until| begin < until) {
                clock.retain(|step| step.from < begin);
                clock.push(ClockStep { from: begin, offset: offset + laid_offset });
            }
        }
    }
    let most = laid.steps().next().map_or(0, |(_, offset)| offset);
    transcript.alignment.offset_ms += most / MS;
    transcript.alignment.clock = clock;
    transcript
}

#[cfg(test)]
mod lay_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
