//! The trait `TelemetryRows`: reads and writes the rows of telemetry.

use async_trait::async_trait;
use echosphere_domain::id::{RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;

use crate::{Result, TelemetryRequest};

/// The rows of OTLP requests.
#[async_trait]
pub(crate) trait TelemetryRows {
    /// Inserts a request, unless it is known.
    async fn insert_telemetry(&mut self, request: &TelemetryRequest) -> Result<()>;

    /// The recordings that have the session of a request: its room's and its own; before it has either, all that a recorder made of its
    /// room.
    async fn recordings_of_request(&mut self, request: &TelemetryRequest) -> Result<Vec<RecordingId>>;

    /// The object that holds the bytes of a request; `None` when there is no such request.
    async fn telemetry_object(&mut self, id: UploadId) -> Result<Option<ObjectKey>>;

    /// Stores which object holds the bytes of a request, and how many these are.
    async fn set_telemetry_object(&mut self, id: UploadId, key: &ObjectKey, bytes: u64) -> Result<()>;

    /// Deletes a request.
    async fn delete_telemetry(&mut self, id: UploadId) -> Result<()>;

    /// Deletes the requests whose bytes are in an object.
    async fn delete_telemetry_in(&mut self, key: &ObjectKey) -> Result<()>;
}
