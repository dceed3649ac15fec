//! Steps a recording's lifecycle, and writes its new state and the effects in the caller's transaction.

use echosphere_domain::lifecycle::{Deletion, Effect, Event, step};
use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;

use super::codec::word;
use super::{tasks, tombstones};
use crate::{Error, Result, TaskKind};

/// Steps a recording and writes the result: its state, its effects as tasks, and the tombstones of a requested deletion.
pub(super) async fn step_recording(
    connection: &mut SqliteConnection,
    recording: &mut Recording,
    event: Event,
    now: WallTime,
) -> Result<()> {
    const ACTION: &str = "step a recording";
    if event == Event::DeletionRequested && recording.state.deletion == Deletion::None {
        tombstones::entomb(connection, recording.id, now).await?;
    }
    let (state, effects) = step(recording.state, event);
    recording.state = state;
    sqlx::query(
        "UPDATE recordings SET status = ?, partial = ?, reason = ?, revision = ?, deletion = ?, tier = ? WHERE id = ?",
    )
    .bind(state.status.as_str())
    .bind(state.partial)
    .bind(state.reason.map(word))
    .bind(state.revision)
    .bind(word(state.deletion))
    .bind(word(state.tier))
    .bind(recording.id.to_string())
    .execute(&mut *connection)
    .await
    .map_err(|error| Error::from_sqlx(ACTION, error))?;
    for effect in effects {
        let (kind, payload) = match effect {
            Effect::Render { revision } => {
                (TaskKind::Render, format!("{}/{}/{revision}", recording.project, recording.id))
            }
            Effect::Erase => (TaskKind::Erase, recording.id.to_string()),
            Effect::Finalize => (TaskKind::Finalize, format!("{}/{}", recording.project, recording.id)),
        };
        tasks::queue(connection, kind, payload, now).await?;
    }
    Ok(())
}
