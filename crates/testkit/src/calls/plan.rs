//! Generates test calls from a plan: answers, interruptions, a line with a long pause, typed messages.

use super::random::Random;
use super::speech::{self, Voice, audible};
use super::{Call, Line, RATE, Typed, Who, at, texts};

/// What a call is generated from.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Its name in the table.
    pub name: &'static str,
    /// The seed of its randomness.
    pub seed: u64,
    /// How many turns it has.
    pub turns: usize,
    /// The caller's voice.
    pub user: Voice,
    /// The agent's voice.
    pub agent: Voice,
    /// Microphone noise on the caller's channel, as root mean square.
    pub hiss: f32,
    /// Whether every third answer of the caller begins 2 s before the agent is done, who goes on.
    pub both_at_once: bool,
    /// Whether messages are typed in between.
    pub typed: bool,
}

const AGENT: Voice = Voice { name: "en-us", speed: 170, pitch: 45, loudness: 0.1 };
const ANN: Voice = Voice { name: "en-gb+f3", speed: 155, pitch: 60, loudness: 0.08 };
const BOB: Voice = Voice { name: "en+m3", speed: 180, pitch: 35, loudness: 0.05 };
/// Far from the microphone.
const CAL: Voice = Voice { name: "en-gb+m7", speed: 150, pitch: 40, loudness: 0.025 };

/// A short call.
pub const SHORT: Plan =
    Plan { name: "short", seed: 1, turns: 8, user: ANN, agent: AGENT, hiss: 0.0, both_at_once: false, typed: false };
/// A call of common length, with microphone noise.
pub const MIDDLE: Plan = Plan { name: "middle", seed: 2, turns: 16, user: BOB, hiss: 0.000_2, ..SHORT };
/// A caller who is far from the microphone.
pub const FAINT: Plan = Plan { name: "faint", seed: 3, turns: 24, user: CAL, hiss: 0.000_3, ..SHORT };
/// A long call.
pub const LONG: Plan = Plan { name: "long", seed: 4, turns: 40, hiss: 0.000_2, ..SHORT };

/// A line's sound, from its first audible sample, and where its pieces are in it.
struct Spoken {
    sound: Vec<f32>,
    pieces: Vec<(usize, usize, String)>,
}

fn say(voice: Voice, clauses: &[&str], pauses: &mut dyn FnMut(usize) -> f64) -> Spoken {
    let mut spoken = Spoken { sound: Vec::new(), pieces: Vec::new() };
    for (number, text) in clauses.iter().enumerate() {
        if number > 0 {
            spoken.sound.resize(spoken.sound.len() + at(pauses(number)), 0.0);
        }
        let from = spoken.sound.len();
        spoken.sound.extend(speech::clause(voice, text));
        spoken.pieces.push((from, spoken.sound.len() - 1, (*text).to_owned()));
    }
    spoken
}

/// Generates the call of a plan.
pub fn call(plan: Plan) -> Call {
    let mut layout = Layout::new(plan);
    for turn in 0..plan.turns {
        let who = if turn % 2 == 0 { Who::Agent } else { Who::User };
        let spoken = layout.speak(who, turn);
        if let Some(start) = layout.interruption(who, turn) {
            layout.interrupt(start, spoken);
        } else {
            let start = layout.answer(who, turn);
            layout.lay(who, start, spoken);
        }
        // Now and then an agent has more to say, or a caller goes on after their turn was taken to be over.
        if layout.random.chance(0.12) && turn > 0 {
            let spoken = layout.speak(who, turn + 7);
            let start = layout.last_end() + layout.random.range(0.9, 2.0);
            layout.lay(who, start, spoken);
        }
    }
    layout.finish()
}

struct Layout {
    plan: Plan,
    random: Random,
    said: [usize; 2],
    call: Call,
}

impl Layout {
    fn new(plan: Plan) -> Self {
        let call = Call {
            name: plan.name.to_owned(),
            user: Vec::new(),
            agent: Vec::new(),
            lines: Vec::new(),
            typed: Vec::new(),
        };
        Self { plan, random: Random::new(plan.seed), said: [0; 2], call }
    }

    fn last_end(&self) -> f64 {
        self.call.lines.iter().map(|line| line.end).fold(0.3, f64::max)
    }

    fn speak(&mut self, who: Who, turn: usize) -> Spoken {
        let (voice, list, said) = match who {
            Who::User => (self.plan.user, &texts::USER, &mut self.said[0]),
            Who::Agent => (self.plan.agent, &texts::AGENT, &mut self.said[1]),
        };
        let clauses = list[(*said + self.plan.seed as usize * 5 * usize::from(*said > 0)) % list.len()];
        *said += 1;
        // A false interruption: the agent falls silent for 3 s and goes on in the same line.
        let has_hole = who == Who::Agent && turn % 12 == 4;
        let random = &mut self.random;
        say(voice, clauses, &mut |number| {
            if has_hole && number == 1 {
                random.range(2.8, 3.2)
            } else if random.chance(0.3) {
                random.range(0.6, 0.95)
            } else {
                random.range(0.1, 0.45)
            }
        })
    }

    /// When an answer begins.
    fn answer(&mut self, who: Who, turn: usize) -> f64 {
        let end = self.last_end();
        let last = self.call.lines.last();
        if self.plan.both_at_once
            && who == Who::User
            && turn.is_multiple_of(3)
            && let Some(line) = last.filter(|line| line.who == Who::Agent && line.end - line.start > 3.0)
        {
            return line.end - 2.0;
        }
        end + self.random.range(0.3, 2.5)
    }

    /// When the caller cuts in, if they do in this turn.
    fn interruption(&mut self, who: Who, turn: usize) -> Option<f64> {
        let line = self.call.lines.last().filter(|line| line.who == Who::Agent && line.end - line.start > 3.5)?;
        let (start, end) = (line.start, line.end);
        let cuts_in = who == Who::User && turn % 6 == 5;
        cuts_in.then(|| self.random.range(start + 2.0, end - 0.9))
    }

    fn interrupt(&mut self, start: f64, spoken: Spoken) {
        let cut = start + self.random.range(0.25, 0.6);
        if let Some(line) = self.call.lines.last_mut() {
            self.call.agent.truncate(at(cut));
            let from = at(line.start);
            let last = audible(&self.call.agent[from..]).map_or(from, |(_, last)| from + last);
            line.end = last as f64 / RATE as f64;
            line.interrupted = true;
            line.pieces.retain(|piece| piece.0 < line.end);
            if let Some(piece) = line.pieces.last_mut() {
                piece.1 = piece.1.min(line.end);
            }
            line.text = line.pieces.iter().map(|piece| piece.2.as_str()).collect::<Vec<_>>().join(" ");
        }
        self.lay(Who::User, start, spoken);
    }

    fn lay(&mut self, who: Who, start: f64, spoken: Spoken) {
        let from = at(start);
        let seconds = |sample: usize| (from + sample) as f64 / RATE as f64;
        let length = spoken.sound.len();
        let texts: Vec<&str> = spoken.pieces.iter().map(|piece| piece.2.as_str()).collect();
        let line = Line {
            id: format!("item_{:03}", self.call.lines.len()),
            who,
            text: texts.join(" "),
            start: seconds(0),
            end: seconds(length - 1),
            interrupted: false,
            pieces: spoken.pieces.iter().map(|(a, b, text)| (seconds(*a), seconds(*b), text.clone())).collect(),
        };
        let channel = self.call.channel_mut(who);
        if channel.len() < from + length {
            channel.resize(from + length, 0.0);
        }
        channel[from..from + length].iter_mut().zip(&spoken.sound).for_each(|(x, y)| *x += y);
        self.call.lines.push(line);
    }

    fn finish(mut self) -> Call {
        let length = at(self.last_end() + self.random.range(1.0, 4.0)).div_ceil(960) * 960;
        self.call.user.resize(length, 0.0);
        self.call.agent.resize(length, 0.0);
        let hiss = self.plan.hiss;
        self.call.user.iter_mut().for_each(|x| *x += hiss * self.random.noise());
        self.call.lines.sort_by(|a, b| a.start.total_cmp(&b.start));
        if self.plan.typed {
            self.type_in_between();
        }
        self.call
    }

    /// Types a message in every third line of the agent's, and in the pause after every fifth of the caller's.
    fn type_in_between(&mut self) {
        for (number, line) in self.call.lines.iter().enumerate() {
            let at = match line.who {
                Who::Agent if number % 6 == 2 => line.start + (line.end - line.start) * 0.6,
                Who::User if number % 10 == 3 => line.end + 0.25,
                _ => continue,
            };
            let (id, text) = (format!("typed_{number:03}"), format!("My reference is {number}"));
            self.call.typed.push(Typed { id, at, text });
        }
    }
}
