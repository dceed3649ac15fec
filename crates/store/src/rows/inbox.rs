//! The trait `InboxRows`: reads and writes the rows of the inbox.

use async_trait::async_trait;
use echosphere_domain::id::RecordingId;
use echosphere_domain::time::WallTime;

use crate::{Answer, Event, EventId, Result};

/// The rows of events.
#[async_trait]
pub(crate) trait InboxRows {
    /// Whether an event is done; `None` when it is not known.
    async fn is_event_done(&mut self, id: &EventId) -> Result<Option<bool>>;

    /// Inserts an event that is due at a time; without one, it is done.
    async fn insert_event(&mut self, event: &Event, due: Option<WallTime>) -> Result<()>;

    /// Makes a known event due again, as it was received now.
    async fn renew_event(&mut self, event: &Event, due: WallTime) -> Result<()>;

    /// Stores that an event is done, with this answer, and empties its body; one that is done already stays as it is.
    async fn finish_event(&mut self, id: &EventId, answer: Option<Answer>) -> Result<()>;

    /// Stores that working on an event failed and when it is due again; one that is done stays as it is.
    async fn put_event_off(&mut self, id: &EventId, due: WallTime) -> Result<()>;

    /// What users ask of a recording's room and is not answered yet, in the order in which it was received.
    async fn asked_of_recording(&mut self, recording: RecordingId) -> Result<Vec<Event>>;
}
