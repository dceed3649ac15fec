//! OTLP requests of the agents SDK, kept raw, and what they tell of a session.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Names and tags of a session, as far as a source tells them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionFacts {
    /// The room's name.
    pub room_name: Option<String>,
    /// The name that the agent was dispatched by.
    pub agent_name: Option<String>,
    /// Tags that the agent set.
    pub tags: Vec<String>,
    /// The version of the agents SDK.
    pub sdk_version: Option<String>,
    /// Whether it is of a test, and not of a call.
    #[serde(default)]
    pub simulated: bool,
}

/// One OTLP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryRequest {
    /// Its id.
    pub id: UploadId,
    /// Whose token it came with.
    pub project: ProjectId,
    /// `traces`, `logs` or `metrics`.
    pub signal: String,
    /// LiveKit's job id, if it names one.
    pub job_id: Option<String>,
    /// LiveKit's room id, if it names one.
    pub room_sid: Option<String>,
    /// Where its bytes are (inflated); announced before.
    pub key: ObjectKey,
    /// Its length there.
    pub bytes: u64,
    /// When it came.
    pub received_at: WallTime,
    /// What it tells of the session.
    pub facts: SessionFacts,
}

/// OTLP requests.
#[async_trait]
pub trait Telemetry {
    /// Keeps a request whose bytes are durable, makes its object live, and fills what the recording of its job (by
    /// (project, job id), else (project, room sid)) does not know yet, in one transaction. It may come before, during or
    /// after the recording. False, and nothing is kept, when its session or room is gone ([`crate::Deletions::gone`]).
    async fn add_telemetry(&self, request: &TelemetryRequest) -> Result<bool>;

    /// What all requests of a job tell; the first that knows a thing wins.
    async fn session_facts(&self, project: &ProjectId, job_id: &str) -> Result<SessionFacts>;

    /// The requests of a job, oldest first.
    async fn telemetry_of(&self, project: &ProjectId, job_id: &str) -> Result<Vec<TelemetryRequest>>;

    /// The requests of a recording's room and jobs, oldest first.
    async fn telemetry_of_recording(&self, recording: RecordingId) -> Result<Vec<TelemetryRequest>>;

    /// Other bytes take the place of a request's: the new object is live (announced before), the old one condemned. Without new
    /// ones the request is forgotten.
    async fn replace_telemetry(&self, id: UploadId, new: Option<(ObjectKey, u64)>, now: WallTime) -> Result<()>;
}
