//! The trait `MasterRows`: reads and writes the rows of masters.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::master::{Master, Part};
use echosphere_domain::time::WallTime;

use super::Undone;
use crate::Result;

/// The rows of masters.
#[async_trait]
pub(crate) trait MasterRows {
    /// The masters of a capture.
    async fn masters_of(&mut self, capture: CaptureId) -> Result<Vec<(Part, Master)>>;

    /// Inserts a master of a capture, unless it has one for that part.
    async fn insert_master(&mut self, capture: CaptureId, part: Part, master: &Master) -> Result<()>;

    /// Deletes all masters of a capture.
    async fn delete_masters(&mut self, capture: CaptureId) -> Result<()>;

    /// The captures whose whole master is in this object.
    async fn captures_of_whole(&mut self, key: &ObjectKey) -> Result<Vec<CaptureId>>;

    /// Whether a master of a capture that is not superseded is in this object.
    async fn has_master(&mut self, key: &ObjectKey) -> Result<bool>;

    /// Whether a capture was read, and has a master that is whole and can be divided.
    async fn is_undivided(&mut self, capture: CaptureId) -> Result<bool>;

    /// Such captures of recordings that stay, in the order of their ids.
    async fn undivided(&mut self, after: Option<CaptureId>, limit: u32) -> Result<Vec<Undone>>;

    /// Stores why the whole master of a capture cannot be divided.
    async fn set_undivided(&mut self, capture: CaptureId, why: &str) -> Result<()>;

    /// The recorders' captures whose logs can be given up: of completed recordings that ended before a time and are rendered.
    async fn logs_to_give_up(&mut self, ended_before: WallTime) -> Result<Vec<(CaptureId, RecordingId)>>;

    /// Stores that a capture's log is gone, its words too.
    async fn set_log_gone(&mut self, capture: CaptureId) -> Result<()>;
}
