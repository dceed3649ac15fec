//! Background work on recordings: each kind of task, and what they share.
//!
//! A task may run more than once (a crash, a lost lease); what it writes at its end is fenced by the lease, so its
//! effect happens once.

pub mod clean;
mod divide;
mod erase;
mod finalize;
mod ingest;
pub mod moving;
mod old_segments;
mod payload;
pub mod realign;
mod recompose;
mod render;
mod separate;
pub mod sidecars;
mod sweep;
#[cfg(test)]
mod tests;
mod unneeded;
mod worker;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use echosphere_domain::id::{NodeId, RecordingId};
use echosphere_store::Store;
use uuid::Uuid;

pub use self::worker::run;
#[cfg(test)]
pub use self::worker::work_off;
use crate::assembly::Assembly;
use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::objects::Objects;
use crate::participants::Participants;
use crate::rendering::Rendering;
use crate::signals::{Bell, Stop};
use crate::uploads::Uploads;
use crate::{error, rendering};

/// The rooms that this process records, as far as background work has to know.
#[async_trait]
pub trait Rooms: Send + Sync {
    /// Whether this process has a room: it listens to it, still persists what it heard, or is going to resume it.
    fn has(&self, recording: RecordingId) -> bool;

    /// Removes what journals and spool have of captures that are no longer recorded.
    async fn forget(&self, captures: Vec<Uuid>) -> io::Result<()>;
}

/// What background work needs.
pub struct Jobs {
    /// Who this process is.
    pub node: NodeId,
    /// The configuration.
    pub config: Arc<Config>,
    /// Where uploads are spooled.
    pub data: Arc<DataDir>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Object storage.
    pub objects: Objects,
    /// Renders captures.
    pub rendering: Rendering,
    /// Assembles recordings from captures.
    pub assembly: Assembly,
    /// What agents upload.
    pub uploads: Arc<Uploads>,
    /// Who was in rooms.
    pub participants: Participants,
    /// The rooms that this process records.
    pub rooms: Arc<dyn Rooms>,
    /// Held while sidecars are written.
    pub sidecars: tokio::sync::Mutex<()>,
    /// Wakes background work.
    pub bell: Arc<Bell>,
    /// Cancelled when the server is to stop.
    pub stop: Stop,
    /// The time of day.
    pub clock: Clock,
}

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Rows, objects or files cannot be read or written now, or the server is stopping.
    #[error(transparent)]
    Kept(#[from] error::Error),
    /// The window could not be rendered.
    #[error(transparent)]
    Render(rendering::Error),
    /// What is to be erased is still being recorded or written.
    #[error("the recording {0} is still being kept; it is erased when its room has been left")]
    Recorded(RecordingId),
    /// Telemetry is still being stored, an upload is still coming, or a room is still being composed without the session.
    #[error(
        "telemetry or an upload is still coming for what is erased, or a room is composed without it; it goes after that"
    )]
    Busy,
    /// The task's payload does not fit its kind.
    #[error("the task's payload {0:?} cannot be understood")]
    Payload(String),
}

impl Error {
    /// Whether trying again is of no use.
    fn is_final(&self) -> bool {
        matches!(self, Self::Payload(_))
    }

    /// The database's error, if it is one.
    fn of_store(&self) -> Option<&echosphere_store::Error> {
        match self {
            Self::Kept(error::Error::Store(error)) => Some(error),
            _ => None,
        }
    }
}

impl From<echosphere_store::Error> for Error {
    fn from(error: echosphere_store::Error) -> Self {
        Self::Kept(error.into())
    }
}

impl From<rendering::Error> for Error {
    fn from(error: rendering::Error) -> Self {
        match error {
            rendering::Error::Kept(error) => Self::Kept(error),
            error => Self::Render(error),
        }
    }
}
