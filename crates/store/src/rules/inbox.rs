//! Closes users' open requests for a room that is no longer being recorded.

use echosphere_domain::id::RecordingId;

use crate::rows::Rows;
use crate::{Answer, Command, Result, What};

/// Answers what is asked of a recording's room and was not answered: the room is over. So nobody waits for an owner that never answers.
pub(crate) async fn close(rows: &mut dyn Rows, recording: RecordingId) -> Result<()> {
    for event in rows.asked_of_recording(recording).await? {
        // Who wanted the recording to stop has what they wanted.
        let answer = if event.what == What::Asked(Command::Stop) { Answer::Acted } else { Answer::Over };
        rows.finish_event(&event.id, Some(answer)).await?;
    }
    Ok(())
}
