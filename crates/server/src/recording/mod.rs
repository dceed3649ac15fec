//! Rooms that this process records: begun, listened to, persisted, handed over, and resumed after a restart.

mod admission;
mod ask;
mod chunk_outbox;
mod chunk_uploader;
mod drawing;
mod horizon;
mod listener;
mod listing;
mod live_renderer;
pub mod load;
mod measured;
mod on_demand;
mod onlookers;
pub mod owner;
mod persister;
mod reach;
mod registry;
mod resume;
mod room_task;
mod session;
mod start;
#[cfg(test)]
mod tests;
mod transcript;

use std::sync::Arc;
use std::time::Duration;

use echosphere_domain::id::{NodeId, ProjectId, RecordingId};
use echosphere_domain::name;
use echosphere_recorder::wire::Wire;
use echosphere_store::{Repeated, Store};

pub use self::admission::Refusal;
pub use self::ask::{Asked, ask, ask_deletion};
use self::load::Gauge;
pub use self::registry::Registry;
pub use self::resume::{journals, resume};
pub use self::start::{RecordingRequest, start};
use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::objects::Objects;
use crate::participants::Participants;
use crate::rendering::Rendering;
use crate::signals::{Bell, Stop};

/// How long a room is its owner's without being prolonged. A process that hangs for less keeps its rooms.
const LEASE: Duration = Duration::from_secs(60);

/// What recording rooms needs.
pub struct Recorder {
    /// Who this process is: the owner of the rooms that it records.
    pub node: NodeId,
    /// How rooms are recorded.
    pub config: Arc<Config>,
    /// The data directory, whose disk has to have free space.
    pub data: Arc<DataDir>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Object storage.
    pub objects: Objects,
    /// Renders live segments.
    pub rendering: Rendering,
    /// Who was in rooms.
    pub participants: Participants,
    /// How LiveKit is reached.
    pub wire: Wire,
    /// Wakes background work.
    pub jobs: Arc<Bell>,
    /// Cancelled when the server is to stop.
    pub stop: Stop,
    /// The time of day.
    pub clock: Clock,
    /// The rooms.
    pub registry: Arc<Registry>,
    /// What they cost, and whether one more is admitted.
    pub load: Gauge,
}

/// Why a room is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] echosphere_store::Error),
    /// It is being recorded already.
    #[error("the room is being recorded already, as {0}")]
    Already(RecordingId),
    /// The request was carried out before, or its key was used for another one.
    #[error("the request was sent before")]
    Repeated(Repeated),
    /// No server is configured.
    #[error("no LiveKit server is configured: set LIVEKIT_URL")]
    NoServer,
    /// No key is configured.
    #[error("the project {0} has no LiveKit key pair: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET")]
    NoKey(ProjectId),
    /// A room is joined by its name.
    #[error(
        "the room's name has to have 1 to {} characters, of which none is U+0000: another room cannot be told from it",
        name::LONGEST
    )]
    Name,
    /// The server's host is not known.
    #[error("the LiveKit server {url} cannot be found: {reason}")]
    NoWay {
        /// The configured URL.
        url: String,
        /// Why not.
        reason: String,
    },
    /// No further room can be recorded now.
    #[error(transparent)]
    Full(#[from] Refusal),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Error {
    /// Whether the same may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::NoWay { .. } | Self::Full(_) | Self::Stopping => true,
            Self::Already(_) | Self::Repeated(_) | Self::NoServer | Self::NoKey(_) | Self::Name => false,
        }
    }
}
