//! The trait `TurnRows`: writes the rows of the turns of transcripts.

use async_trait::async_trait;
use echosphere_domain::id::CaptureId;
use echosphere_domain::transcript::Turn;

use crate::Result;

/// The rows of turns.
#[async_trait]
pub(crate) trait TurnRows {
    /// Deletes the turns of a capture.
    async fn delete_turns(&mut self, capture: CaptureId) -> Result<()>;

    /// Inserts the turns of a capture that has none, in their order.
    async fn insert_turns(&mut self, capture: CaptureId, turns: &[Turn]) -> Result<()>;
}
