//! The inbox of LiveKit's webhooks: each is stored before it is answered, and worked on afterwards.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;

use crate::Result;

/// A webhook as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The project of the key that signed it.
    pub project: ProjectId,
    /// LiveKit's id of the event.
    pub id: String,
    /// The event's name.
    pub event: String,
    /// LiveKit's id of the room; empty when it is about none.
    pub room_sid: String,
    /// The room's name.
    pub room_name: String,
    /// When LiveKit created it, if it says so.
    pub created_at: Option<WallTime>,
    /// When it was received.
    pub received_at: WallTime,
    /// Its body, without secrets.
    pub body: String,
    /// How often working on it has failed.
    pub attempts: u32,
}

/// The inbox of webhooks.
#[async_trait]
pub trait Inbox {
    /// Stores a webhook; false when one with that id is known in the project. Of one about a room of which nothing may be kept,
    /// neither the room's name nor the body is stored. Scope: project.
    async fn receive_webhook(&self, webhook: &Webhook) -> Result<bool>;

    /// Webhooks that are due, in the order in which they were received; `limit` at most. Scope: all projects.
    async fn due_webhooks(&self, now: WallTime, limit: u32) -> Result<Vec<Webhook>>;

    /// How many are not done; for metrics. Scope: all projects.
    async fn open_webhooks(&self) -> Result<u64>;

    /// A webhook is done: its body is deleted, and its id is kept so that a repetition is recognised. Scope: project.
    async fn webhook_done(&self, project: &ProjectId, id: &str) -> Result<()>;

    /// Working on a webhook failed: it is tried again at `due`. Scope: project.
    async fn webhook_failed(&self, project: &ProjectId, id: &str, due: WallTime) -> Result<()>;

    /// Deletes webhooks that are done and were received before this time; returns how many. Scope: all projects.
    async fn forget_webhooks(&self, before: WallTime) -> Result<u64>;
}
