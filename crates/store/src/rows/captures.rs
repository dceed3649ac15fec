//! The trait `CaptureRows`: reads and writes the rows of captures.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, UploadId};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus};
use echosphere_domain::transcript::Alignment;

use crate::{Publication, Result};

/// Where a capture is of which something is still to be decided or done.
pub(crate) struct Undone {
    /// The project.
    pub(crate) project: ProjectId,
    /// The capture's recording.
    pub(crate) recording: RecordingId,
    /// The capture.
    pub(crate) capture: CaptureId,
}

/// The rows of captures.
#[async_trait]
pub(crate) trait CaptureRows {
    /// The capture with this id, if there is one.
    async fn capture(&mut self, id: CaptureId) -> Result<Option<Capture>>;

    /// The captures of a recording, in the order of their attempts.
    async fn captures_of(&mut self, recording: RecordingId) -> Result<Vec<Capture>>;

    /// The capture that an upload became.
    async fn capture_of_upload(&mut self, upload: UploadId) -> Result<Option<Capture>>;

    /// The capture of the same session in its own recording.
    async fn copy_of(&mut self, capture: CaptureId) -> Result<Option<Capture>>;

    /// Inserts a capture.
    async fn insert_capture(&mut self, capture: &Capture, project: &ProjectId) -> Result<()>;

    /// Deletes a capture.
    async fn delete_capture(&mut self, id: CaptureId) -> Result<()>;

    /// The highest attempt of a recording's captures; 0 before there is one.
    async fn last_attempt(&mut self, recording: RecordingId) -> Result<u32>;

    /// Stores that a capture is of the same session as another one, and has the same masters.
    async fn set_copy_of(&mut self, copy: CaptureId, original: CaptureId) -> Result<()>;

    /// Stores what a publication says of the capture that was read, but for the turns of its transcript.
    async fn set_read(&mut self, publication: &Publication) -> Result<()>;

    /// Stores a capture's status, and removes what was read of it, but for the turns of its transcript.
    async fn empty_capture(&mut self, id: CaptureId, status: CaptureStatus) -> Result<()>;

    /// Stores how a capture of a recording sounds; not where its master is.
    async fn set_audio(&mut self, recording: RecordingId, capture: CaptureId, audio: &Audio) -> Result<()>;

    /// Stores how the times of a transcript were determined; false when this is no capture of the recording that has one.
    async fn set_alignment(
        &mut self,
        recording: RecordingId,
        capture: CaptureId,
        alignment: &Alignment,
    ) -> Result<bool>;

    /// Makes a recording's capture another recording's; false when it is not its capture.
    async fn move_capture(
        &mut self,
        capture: CaptureId,
        from: RecordingId,
        to: RecordingId,
        attempt: u32,
    ) -> Result<bool>;

    /// Stores that it is known which recordings hold a session.
    async fn set_placed(&mut self, capture: CaptureId) -> Result<()>;

    /// Sessions in rendered recordings of rooms of which that is not known, in the order of their captures' ids.
    async fn unplaced(&mut self, after: Option<CaptureId>, limit: u32) -> Result<Vec<Undone>>;
}
