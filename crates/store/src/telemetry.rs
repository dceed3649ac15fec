//! Telemetry: OTLP requests of the agents SDK, kept as received, and what they report about a session.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Names and tags of a session, as far as a source reports them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionFacts {
    /// The room's name.
    pub room_name: Option<String>,
    /// The name under which the agent was dispatched.
    pub agent_name: Option<String>,
    /// Tags that the agent set.
    pub tags: Vec<String>,
    /// The version of the agents SDK.
    pub sdk_version: Option<String>,
    /// Whether it was a test of the agent rather than a call.
    #[serde(default)]
    pub simulated: bool,
}

/// One OTLP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryRequest {
    /// Its id.
    pub id: UploadId,
    /// The project of the token that it came with.
    pub project: ProjectId,
    /// `traces`, `logs` or `metrics`.
    pub signal: String,
    /// LiveKit's job id, if it names one.
    pub job_id: Option<String>,
    /// LiveKit's room id, if it names one.
    pub room_sid: Option<String>,
    /// The object that holds its bytes (inflated); announced before.
    pub key: ObjectKey,
    /// Its length there.
    pub bytes: u64,
    /// When it was received.
    pub received_at: WallTime,
    /// What it reports about the session.
    pub facts: SessionFacts,
}

/// OTLP requests.
#[async_trait]
pub trait Telemetry {
    /// Stores a request whose bytes are durable, makes its object live, and fills in what the recording of its job (by
    /// (project, job id), else a recorder's by (project, room sid)) does not know yet, in one transaction. It may come before,
    /// during or after the recording. False, and nothing is stored, when its session or room is gone
    /// ([`crate::Deletions::gone`]). Scope: project.
    async fn add_telemetry(&self, request: &TelemetryRequest) -> Result<bool>;

    /// Names, tags and SDK version as all requests of a job report them; the earliest that has one wins. Scope: project.
    async fn session_facts(&self, project: &ProjectId, job_id: &str) -> Result<SessionFacts>;

    /// The requests of a job, oldest first. Scope: project.
    async fn telemetry_of(&self, project: &ProjectId, job_id: &str) -> Result<Vec<TelemetryRequest>>;

    /// The requests of a recording's room and jobs, in its project, oldest first. Scope: id.
    async fn telemetry_of_recording(&self, recording: RecordingId) -> Result<Vec<TelemetryRequest>>;

    /// Replaces the bytes of a request: the new object (announced before) becomes live, the old one is condemned. Without new bytes
    /// the request's row is deleted. Scope: id.
    async fn replace_telemetry(&self, id: UploadId, new: Option<(ObjectKey, u64)>, now: WallTime) -> Result<()>;
}
