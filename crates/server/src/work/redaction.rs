//! What must not be kept of a recording, whichever source brings it: pauses, and people who were left out.
//!
//! docs/decisions/0008-redaction.md says why it is done in this way.

mod sound;
mod telemetry;
mod turns;

use std::ops::Range;

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use echosphere_store::Redactions;

pub(super) use self::sound::silence;
pub use self::telemetry::{redact as redact_request, redact_kept};
pub(super) use self::turns::redact as redact_turns;
use super::Error;
use crate::app::App;
use crate::live::Told;

/// By how much another machine's clock may be off ours, in nanoseconds. Each stretch is taken to be that much longer on either
/// side.
const CLOCKS: i64 = 500_000_000;

/// A stretch of wall-clock time, in nanoseconds since the Unix epoch.
type Stretch = Range<i64>;

/// What must not be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Pauses: nothing of anybody.
    pauses: Vec<Stretch>,
    /// A user was left out.
    user: Vec<Stretch>,
    /// An agent was left out.
    agent: Vec<Stretch>,
}

impl Withheld {
    /// What must not be kept of a recording.
    pub async fn of(app: &App, recording: RecordingId) -> Result<Self, Error> {
        Ok(Self::new(&app.store.redactions(recording).await?))
    }

    /// What must not be kept of a job's or a room's session.
    pub async fn of_session(
        app: &App,
        project: &ProjectId,
        job_id: Option<&str>,
        room_sid: Option<&str>,
    ) -> Result<Self, Error> {
        Ok(Self::new(&app.store.redactions_of(project, job_id, room_sid).await?))
    }

    fn new(redactions: &Redactions) -> Self {
        let mut withheld = Self::default();
        for pause in &redactions.pauses {
            withheld.pauses.push(wider(Some(pause.from), pause.to));
        }
        for who in &redactions.left_out {
            let whose = if who.agent { &mut withheld.agent } else { &mut withheld.user };
            whose.push(wider(who.from, None));
        }
        for told in redactions.told.iter().map(|told| Told::from_json(told)) {
            // Somebody who is named may have been there before we were.
            for identity in &told.exclude {
                let whose = if is_agent(identity) { &mut withheld.agent } else { &mut withheld.user };
                whose.push(wider(None, None));
            }
        }
        withheld
    }

    /// Whether everything may be kept.
    pub fn is_empty(&self) -> bool {
        self.pauses.is_empty() && self.user.is_empty() && self.agent.is_empty()
    }

    /// When nothing of a session may be kept that does not say whose it is: its sound, whose two channels are coded together, and
    /// its telemetry.
    fn everything(&self) -> Vec<Stretch> {
        [&self.pauses, &self.user, &self.agent].into_iter().flatten().cloned().collect()
    }
}

/// The identities that LiveKit gives to agents: `agent-` and the job.
fn is_agent(identity: &str) -> bool {
    identity.starts_with("agent-AJ_")
}

/// A stretch with what clocks may be off. Without a beginning it was always so, without an end it lasts.
fn wider(from: Option<WallTime>, to: Option<WallTime>) -> Stretch {
    let from = from.map_or(i64::MIN, |from| from.as_nanos().saturating_sub(CLOCKS));
    from..to.map_or(i64::MAX, |to| to.as_nanos().saturating_add(CLOCKS))
}

/// Whether a stretch of time touches one of these.
fn touches(stretches: &[Stretch], from: i64, to: i64) -> bool {
    stretches.iter().any(|stretch| from < stretch.end && to >= stretch.start)
}
