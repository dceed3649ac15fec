//! Masters: what is kept of captures as they came, whole or divided into sound, words and header.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::master::{Master, Part};
use echosphere_domain::time::WallTime;

use crate::{Lease, Result};

/// A whole master that was divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divided {
    /// Its capture's recording.
    pub recording: RecordingId,
    /// Its capture.
    pub capture: CaptureId,
    /// The master as it was read.
    pub whole: Master,
    /// Its parts; their objects are announced and written.
    pub parts: Vec<(Part, Master)>,
    /// The objects that the parts replace.
    pub replaced: Vec<ObjectKey>,
    /// Now.
    pub now: WallTime,
}

/// What is kept of captures as they came.
#[async_trait]
pub trait Masters {
    /// The masters of a capture. Scope: id.
    async fn masters(&self, capture: CaptureId) -> Result<Vec<(Part, Master)>>;

    /// Finishes a `TaskKind::Divide` task: switches a capture from its whole master to the parts, and with it all captures that have the
    /// same whole one, in one transaction; the objects that are replaced are condemned. False when the capture was divided,
    /// superseded or deleted meanwhile: then the parts are condemned. Scope: id.
    async fn divided(&self, divided: &Divided, lease: &Lease) -> Result<bool>;

    /// Finishes such a task for a master that cannot be divided: it stays whole, and it is noted why. Scope: id.
    async fn stays_whole(&self, capture: CaptureId, why: &str, lease: &Lease) -> Result<()>;

    /// Queues a `TaskKind::Divide` task for each capture that was read and has a whole master that can be divided, in the order of their
    /// ids, from the one after `after`; `limit` at most. Returns the last one, `None` when there was none. Scope: all projects.
    async fn divide_all(&self, after: Option<CaptureId>, limit: u32, now: WallTime) -> Result<Option<CaptureId>>;

    /// Gives up the capture logs of completed recordings that ended before a time and have no segment left to render: their objects
    /// are condemned, and single tracks are no longer available. Returns how many. Scope: all projects.
    async fn give_up_logs(&self, ended_before: WallTime, now: WallTime) -> Result<u64>;
}
