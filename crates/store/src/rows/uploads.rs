//! The trait `UploadRows`: reads and writes the rows of uploads.

use async_trait::async_trait;
use echosphere_domain::id::UploadId;

use crate::{Result, Sealed, SessionIds, Upload, UploadState};

/// The rows of uploads.
#[async_trait]
pub(crate) trait UploadRows {
    /// The upload with this id, if there is one.
    async fn find_upload(&mut self, id: UploadId) -> Result<Option<Upload>>;

    /// Inserts an upload that begins to arrive.
    async fn insert_upload(&mut self, upload: &Upload) -> Result<()>;

    /// Stores how much of an upload came.
    async fn set_sealed(&mut self, id: UploadId, sealed: Sealed) -> Result<()>;

    /// Stores the state of an upload, and why.
    async fn set_upload_state(&mut self, id: UploadId, state: UploadState, reason: Option<&str>) -> Result<()>;

    /// Stores that an upload may become a recording although the name of its room is not known.
    async fn set_released(&mut self, id: UploadId) -> Result<()>;

    /// Stores whose session an upload is, and the room's name if one is given.
    async fn set_session(&mut self, id: UploadId, session: &SessionIds, room_name: Option<&str>) -> Result<()>;

    /// Deletes an upload.
    async fn delete_upload(&mut self, id: UploadId) -> Result<()>;
}
