//! The inbox: what LiveKit told, kept before it is answered.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;

use crate::Result;

/// A webhook as it came.
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
    /// When LiveKit made it, if it says so.
    pub created_at: Option<WallTime>,
    /// When it came.
    pub received_at: WallTime,
    /// Its body, without secrets.
    pub body: String,
    /// How often it was tried to do what it asks for.
    pub attempts: u32,
}

/// The inbox.
#[async_trait]
pub trait Inbox {
    /// Keeps a webhook; false when one of that id is known in the project.
    async fn receive_webhook(&self, webhook: &Webhook) -> Result<bool>;

    /// Webhooks that are to be worked on now, in the order in which they came.
    async fn due_webhooks(&self, now: WallTime, limit: u32) -> Result<Vec<Webhook>>;

    /// How many are not done; for metrics.
    async fn open_webhooks(&self) -> Result<u64>;

    /// A webhook is done: its body is forgotten, and its id is kept so that it is known when it comes again.
    async fn webhook_done(&self, project: &ProjectId, id: &str) -> Result<()>;

    /// A webhook could not be worked on; it is tried again then.
    async fn webhook_failed(&self, project: &ProjectId, id: &str, due: WallTime) -> Result<()>;

    /// Forgets webhooks that are done and came before this time; returns how many.
    async fn forget_webhooks(&self, before: WallTime) -> Result<u64>;
}
