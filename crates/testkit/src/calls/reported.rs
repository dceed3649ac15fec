//! Generates what an agents SDK would report of a call: its chat history, with times as they come from pipelines, from realtime
//! models, and as they have gone wrong.

use serde_json::{Map, Value, json};

use super::random::Random;
use super::{Call, Line, Who};

/// The Unix time of the sound's first sample.
pub const ZERO: f64 = 1_795_500_000.25;

/// A kind of source of reported times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reporter {
    /// The agents SDK with speech-to-text: each line has a start and an end, as exact as they are measured to be.
    Sdk,
    /// Only when each item was created; users' items come with a confidence.
    NoTimes,
    /// The same without the confidence.
    NoTimesNoConfidence,
    /// A realtime model: the user's lines have a start only, the agent's both.
    UserStartOnly,
    /// The same, and the agent's lines have a start only.
    StartsOnly,
    /// A realtime model: the user's items have neither and are created when the agent's answer ends; the agent's have both.
    UserNothing,
    /// The same, and the agent's lines have a start only.
    UserNothingStartsOnly,
    /// Every third line is reported to end before it starts.
    EndBeforeStart,
    /// Every third line is reported to end long after it does.
    EndFarAfter,
    /// Every second line of the user is reported to start where their previous line started.
    StartOfTurnBefore,
    /// Every second line of the user is reported to start where their previous line ended.
    EndOfTurnBefore,
    /// Users' lines with a pause are committed as two turns; the second has the start of the first and its own end.
    SplitSharedStart,
    /// The same, but the first has the times of the whole line, and the second none.
    SplitSecondBare,
    /// One line's times are off by this many seconds.
    OneShifted(f64),
    /// All reported times are off from the sound by this many seconds.
    ClockOff(f64),
    /// The same, from the middle of the call on.
    Stepped(f64),
}

impl Reporter {
    /// Its name in the table.
    pub fn name(self) -> String {
        match self {
            Self::Sdk => "SDK with times".to_owned(),
            Self::NoTimes => "no times".to_owned(),
            Self::NoTimesNoConfidence => "no times, no confidence".to_owned(),
            Self::UserStartOnly => "realtime: user start only".to_owned(),
            Self::StartsOnly => "realtime: starts only".to_owned(),
            Self::UserNothing => "realtime: user nothing".to_owned(),
            Self::UserNothingStartsOnly => "realtime: user nothing, agent start only".to_owned(),
            Self::EndBeforeStart => "every 3rd end before its start".to_owned(),
            Self::EndFarAfter => "every 3rd end 8 to 30 s late".to_owned(),
            Self::StartOfTurnBefore => "user starts: of the turn before".to_owned(),
            Self::EndOfTurnBefore => "user starts: end of the turn before".to_owned(),
            Self::SplitSharedStart => "one utterance as two turns, shared start".to_owned(),
            Self::SplitSecondBare => "one utterance as two turns, second bare".to_owned(),
            Self::OneShifted(by) => format!("one turn {by:+} s"),
            Self::ClockOff(by) if by.abs() >= 3600.0 => format!("clock {:+} h", by / 3600.0),
            Self::ClockOff(by) => format!("clock {by:+} s"),
            Self::Stepped(by) if by.abs() >= 3600.0 => format!("clock stepped {:+} h", by / 3600.0),
            Self::Stepped(by) => format!("clock stepped {by:+} s"),
        }
    }

    /// Every kind, for clean sound.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Sdk,
            Self::NoTimes,
            Self::NoTimesNoConfidence,
            Self::UserStartOnly,
            Self::StartsOnly,
            Self::UserNothing,
            Self::UserNothingStartsOnly,
            Self::EndBeforeStart,
            Self::EndFarAfter,
            Self::StartOfTurnBefore,
            Self::EndOfTurnBefore,
            Self::SplitSharedStart,
            Self::SplitSecondBare,
            Self::OneShifted(2.0),
            Self::OneShifted(-2.0),
        ];
        all.extend([2.0, -2.0, 5.0, -5.0, 3600.0, -3600.0].map(Self::ClockOff));
        all.extend([5.0, -3.0, 3600.0].map(Self::Stepped));
        all
    }

    /// The kinds that degraded sound is tested with.
    pub fn few() -> Vec<Self> {
        vec![Self::Sdk, Self::NoTimes, Self::UserStartOnly, Self::StartsOnly, Self::UserNothing]
    }
}

/// One message as reported; times in seconds of the sound.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// Who speaks.
    pub who: Who,
    /// The words.
    pub text: String,
    /// `started_speaking_at`.
    pub start: Option<f64>,
    /// `stopped_speaking_at`.
    pub end: Option<f64>,
    /// `created_at`.
    pub created: f64,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Whether it has a `transcript_confidence`.
    pub confident: bool,
}

impl Item {
    /// The item as it is in the chat history.
    pub fn json(&self) -> Value {
        let mut metrics = Map::new();
        for (name, time) in [("started_speaking_at", self.start), ("stopped_speaking_at", self.end)] {
            if let Some(time) = time {
                metrics.insert(name.to_owned(), json!(ZERO + time));
            }
        }
        let mut item = json!({
            "id": self.id, "type": "message", "role": if self.who == Who::User { "user" } else { "assistant" },
            "content": [self.text], "interrupted": self.interrupted, "extra": {}, "metrics": metrics,
            "created_at": ZERO + self.created,
        });
        if self.confident {
            item["transcript_confidence"] = json!(0.93);
        }
        item
    }

    fn shift(&mut self, by: impl Fn(f64) -> f64) {
        self.start = self.start.map(&by);
        self.end = self.end.map(&by);
        self.created = by(self.created);
    }
}

/// What is reported of a call, and the truth with which it is compared.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The messages.
    pub items: Vec<Item>,
    /// What was spoken; an utterance that was committed as two turns is two lines.
    pub lines: Vec<Line>,
}

/// Generates the report of a call.
pub fn report(call: &Call, source: Reporter) -> Reported {
    let mut random = Random::new(5);
    let mut reported = Reported { items: measured(call, &mut random), lines: call.lines.clone() };
    match source {
        Reporter::Sdk => {}
        Reporter::SplitSharedStart | Reporter::SplitSecondBare => split(&mut reported, source, &mut random),
        Reporter::OneShifted(by) => {
            let middle = reported.items.len() / 2;
            reported.items[middle].shift(|time| time + by);
        }
        Reporter::ClockOff(by) => reported.items.iter_mut().for_each(|item| item.shift(|time| time + by)),
        Reporter::Stepped(by) => {
            let middle = call.seconds() / 2.0;
            let step = |time: f64| if time > middle { time + by } else { time };
            reported.items.iter_mut().for_each(|item| item.shift(step));
        }
        _ => lose(&mut reported.items, source, &mut random),
    }
    let typed = call.typed.iter().map(|typed| Item {
        id: typed.id.clone(),
        who: Who::User,
        text: typed.text.clone(),
        start: None,
        end: None,
        created: typed.at,
        interrupted: false,
        confident: false,
    });
    reported.items.extend(typed);
    reported.items.sort_by(|a, b| a.created.total_cmp(&b.created));
    reported
}

/// The items as the agents SDK with speech-to-text was measured to report them.
fn measured(call: &Call, random: &mut Random) -> Vec<Item> {
    let report = |line: &Line| {
        let (start, end, created) = if line.who == Who::Agent {
            let start = line.start + random.range(-0.02, 0.0);
            let late = if line.interrupted { 3.0 } else { random.range(0.37, 0.40) };
            (start, line.end + late, start - random.range(0.1, 0.5))
        } else {
            let end = line.end + random.range(0.09, 0.14);
            (line.start + random.range(0.04, 0.10), end, line.end + random.range(0.55, 0.75))
        };
        Item {
            id: line.id.clone(),
            who: line.who,
            text: line.text.clone(),
            start: Some(start),
            end: Some(end),
            created,
            interrupted: line.interrupted,
            confident: line.who == Who::User,
        }
    };
    call.lines.iter().map(report).collect()
}

/// Removes or falsifies what a source does not report or reports wrongly.
fn lose(items: &mut [Item], source: Reporter, random: &mut Random) {
    let whole = items.to_vec();
    let answered = |number: usize| {
        let answer = whole[number + 1..].iter().find(|item| item.who == Who::Agent);
        answer.and_then(|item| item.end).map_or(whole[number].created, |end| end - 0.005)
    };
    let mut before: Option<usize> = None;
    let mut of_user = 0;
    for (number, item) in items.iter_mut().enumerate() {
        let is_user = item.who == Who::User;
        match source {
            Reporter::NoTimes | Reporter::NoTimesNoConfidence => {
                (item.start, item.end) = (None, None);
                item.confident &= source == Reporter::NoTimes;
            }
            Reporter::UserStartOnly | Reporter::StartsOnly => {
                if is_user {
                    item.created = item.start.unwrap_or(item.created);
                }
                if is_user || source == Reporter::StartsOnly {
                    item.end = None;
                }
            }
            Reporter::UserNothing | Reporter::UserNothingStartsOnly => {
                if is_user {
                    (item.start, item.end, item.confident) = (None, None, false);
                    item.created = answered(number);
                } else if source == Reporter::UserNothingStartsOnly {
                    item.end = None;
                }
            }
            Reporter::EndBeforeStart if number % 3 == 1 => {
                item.end = item.start.map(|start| start - random.range(0.2, 6.0));
            }
            Reporter::EndFarAfter if number % 3 == 1 => item.end = item.end.map(|end| end + random.range(8.0, 30.0)),
            Reporter::StartOfTurnBefore if is_user && of_user % 2 == 1 => {
                item.start = before.and_then(|before| whole[before].start);
            }
            Reporter::EndOfTurnBefore if is_user && of_user % 2 == 1 => {
                item.start = before.and_then(|before| whole[before].end).map(|end| end + 0.01);
            }
            _ => {}
        }
        if is_user {
            before = Some(number);
            of_user += 1;
        }
    }
}

/// Commits the user's lines with a pause as two turns.
fn split(reported: &mut Reported, source: Reporter, random: &mut Random) {
    const PAUSE: f64 = 0.35;
    let mut lines = Vec::new();
    let mut items = Vec::new();
    for (line, item) in reported.lines.iter().zip(&reported.items) {
        let pause = |n: &usize| line.pieces[*n].0 - line.pieces[*n - 1].1;
        let longest = (1..line.pieces.len()).max_by(|a, b| pause(a).total_cmp(&pause(b)));
        let Some(cut) = longest.filter(|cut| line.who == Who::User && pause(cut) > PAUSE) else {
            lines.push(line.clone());
            items.push(item.clone());
            continue;
        };
        let part = |id: String, pieces: &[(f64, f64, String)]| Line {
            id,
            text: pieces.iter().map(|piece| piece.2.as_str()).collect::<Vec<_>>().join(" "),
            start: pieces[0].0,
            end: pieces[pieces.len() - 1].1,
            pieces: pieces.to_vec(),
            ..line.clone()
        };
        let (first, second) =
            (part(line.id.clone(), &line.pieces[..cut]), part(format!("{}b", line.id), &line.pieces[cut..]));
        let shared = source == Reporter::SplitSharedStart;
        let end = if shared { Some(first.end + random.range(0.09, 0.14)) } else { item.end };
        let created = if shared { first.end + random.range(0.3, PAUSE) } else { item.created - 0.05 };
        items.push(Item { text: first.text.clone(), end, created, ..item.clone() });
        let (start, end) = if shared { (item.start, item.end) } else { (None, None) };
        items.push(Item { id: second.id.clone(), text: second.text.clone(), start, end, ..item.clone() });
        lines.extend([first, second]);
    }
    (reported.lines, reported.items) = (lines, items);
}
