//! Removes what must not be kept of a recording, whichever source brings it: pauses, and participants who were excluded.
//!
//! docs/decisions/0008-redaction.md says why it is done in this way.

mod audio;
mod telemetry;
mod transcript;

use std::ops::Range;
use std::sync::Arc;

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use echosphere_store::{Error, Redactions, Store};

pub use self::audio::silence;
pub use self::telemetry::redact as redact_request;
pub use self::transcript::redact as redact_turns;
use crate::clock::Clock;
use crate::objects::Objects;
use crate::readers::Readers;

/// By how much another machine's clock may be off ours, in nanoseconds. Each stretch is taken to be that much longer on either
/// side.
const CLOCKS: i64 = 500_000_000;

/// A stretch of wall-clock time, in nanoseconds since the Unix epoch.
type Stretch = Range<i64>;

/// What redaction needs.
#[derive(Clone)]
pub struct Redaction {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The stored objects.
    pub objects: Objects,
    /// The threads that read what was sent.
    pub readers: Arc<Readers>,
    /// The time of day.
    pub clock: Clock,
}

/// When something of a session must not be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedactionSpans {
    /// Pauses: nothing of anybody.
    pauses: Vec<Stretch>,
    /// A user was excluded.
    user: Vec<Stretch>,
    /// An agent was excluded.
    agent: Vec<Stretch>,
}

impl RedactionSpans {
    /// What must not be kept of a recording.
    pub async fn of(store: &dyn Store, recording: RecordingId) -> Result<Self, Error> {
        Ok(Self::new(&store.redactions(recording).await?))
    }

    /// What must not be kept of a job's or a room's session.
    pub async fn of_session(
        store: &dyn Store,
        project: &ProjectId,
        job_id: Option<&str>,
        room_sid: Option<&str>,
    ) -> Result<Self, Error> {
        Ok(Self::new(&store.redactions_of(project, job_id, room_sid).await?))
    }

    fn new(redactions: &Redactions) -> Self {
        let mut spans = Self::default();
        for pause in &redactions.pauses {
            spans.pauses.push(wider(Some(pause.from), pause.to));
        }
        for who in &redactions.left_out {
            let whose = if who.agent { &mut spans.agent } else { &mut spans.user };
            whose.push(wider(who.from, None));
        }
        for options in &redactions.options {
            // A participant who is excluded by identity may have been there before we were.
            for identity in &options.exclude {
                let whose = if is_agent(identity) { &mut spans.agent } else { &mut spans.user };
                whose.push(wider(None, None));
            }
        }
        spans
    }

    /// Whether everything may be kept.
    pub fn is_empty(&self) -> bool {
        self.pauses.is_empty() && self.user.is_empty() && self.agent.is_empty()
    }

    /// When those parts of a session must not be kept that do not say whose they are: its sound, whose two channels are coded
    /// together, and its telemetry.
    fn everything(&self) -> Vec<Stretch> {
        [&self.pauses, &self.user, &self.agent].into_iter().flatten().cloned().collect()
    }
}

/// Whether this is an identity that LiveKit gives to agents: `agent-` and the job's id.
fn is_agent(identity: &str) -> bool {
    identity.starts_with("agent-AJ_")
}

/// A stretch, made longer by what clocks may be off. Without a beginning it has always been so, without an end it lasts.
fn wider(from: Option<WallTime>, to: Option<WallTime>) -> Stretch {
    let from = from.map_or(i64::MIN, |from| from.as_nanos().saturating_sub(CLOCKS));
    from..to.map_or(i64::MAX, |to| to.as_nanos().saturating_add(CLOCKS))
}

/// Whether a stretch of time touches one of these.
fn touches(stretches: &[Stretch], from: i64, to: i64) -> bool {
    stretches.iter().any(|stretch| from < stretch.end && to >= stretch.start)
}
