//! Test calls with known times: what was spoken when, what an SDK would report of it, and how far the shown transcript is from it.

pub mod fixtures;
pub mod plan;
pub mod quality;
pub mod random;
pub mod reported;
pub mod speech;
pub mod table;
pub mod texts;
pub mod trial;
pub mod upload;

/// Samples per second.
pub const RATE: usize = 48_000;

/// Who speaks: in an upload the user is on the left, the agent on the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The caller.
    User,
    /// The agent.
    Agent,
}

/// A line as it is heard. Times are in seconds of the sound.
#[derive(Debug, Clone)]
pub struct Line {
    /// The item's id, by which the line is found in the shown transcript.
    pub id: String,
    /// Who speaks.
    pub who: Who,
    /// The words.
    pub text: String,
    /// The first sample above -50 dBFS of the line alone.
    pub start: f64,
    /// The last one.
    pub end: f64,
    /// Whether the other speaker cut it short.
    pub interrupted: bool,
    /// Its pieces between pauses, first and last sample as above, with the words of each.
    pub pieces: Vec<(f64, f64, String)>,
}

/// A message that was typed.
#[derive(Debug, Clone)]
pub struct Typed {
    /// The item's id.
    pub id: String,
    /// When it was sent, in seconds of the sound.
    pub at: f64,
    /// The words.
    pub text: String,
}

/// A call: its sound and the truth about it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its name in the table.
    pub name: String,
    /// The user's channel, -1 to 1.
    pub user: Vec<f32>,
    /// The agent's channel.
    pub agent: Vec<f32>,
    /// The spoken lines, in order of their beginnings.
    pub lines: Vec<Line>,
    /// The typed messages.
    pub typed: Vec<Typed>,
}

impl Call {
    /// A speaker's channel.
    pub fn channel(&self, who: Who) -> &[f32] {
        match who {
            Who::User => &self.user,
            Who::Agent => &self.agent,
        }
    }

    /// A speaker's channel, mutable.
    pub fn channel_mut(&mut self, who: Who) -> &mut Vec<f32> {
        match who {
            Who::User => &mut self.user,
            Who::Agent => &mut self.agent,
        }
    }

    /// The length in seconds.
    pub fn seconds(&self) -> f64 {
        self.user.len() as f64 / RATE as f64
    }

    /// The first `seconds` of it, with the lines that end within them.
    pub fn first(&self, seconds: f64) -> Self {
        let samples = at(seconds).min(self.user.len());
        let ends_within = |line: &&Line| line.end < seconds;
        Self {
            name: format!("{} {seconds:.0} s", self.name),
            user: self.user[..samples].to_vec(),
            agent: self.agent[..samples].to_vec(),
            lines: self.lines.iter().filter(ends_within).cloned().collect(),
            typed: self.typed.iter().filter(|typed| typed.at < seconds).cloned().collect(),
        }
    }
}

/// A time in seconds as a sample position.
pub fn at(seconds: f64) -> usize {
    (seconds.max(0.0) * RATE as f64).round() as usize
}
