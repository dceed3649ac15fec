//! The lifecycle's state and effects, written in the transaction that made them.

use echosphere_domain::id::TaskId;
use echosphere_domain::lifecycle::{Deletion, Effect, Event, step};
use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use super::codec::word;
use crate::{Error, NewTask, Result, TaskKind};

/// Steps a recording and writes what came of it: its state, and its effects as tasks.
pub(super) async fn step_recording(
    connection: &mut SqliteConnection,
    recording: &mut Recording,
    event: Event,
    now: WallTime,
) -> Result<()> {
    const ACTION: &str = "step a recording";
    if event == Event::DeletionRequested && recording.state.deletion == Deletion::None {
        super::deletions::entomb(connection, recording.id, now).await?;
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
            Effect::Settle => (TaskKind::Settle, format!("{}/{}", recording.project, recording.id)),
        };
        queue(connection, kind, payload, now).await?;
    }
    Ok(())
}

/// Queues a task that follows from what was written, unless it is open already.
pub(super) async fn queue(
    connection: &mut SqliteConnection,
    kind: TaskKind,
    payload: String,
    now: WallTime,
) -> Result<()> {
    let id = effect_id(kind, &payload, now);
    super::tasks::insert(connection, &NewTask { id, kind, payload, run_at: now }).await
}

/// An id for a task that follows from what is already known: nothing here may reach for randomness.
fn effect_id(kind: TaskKind, payload: &str, now: WallTime) -> TaskId {
    let digest = Sha256::digest(format!("{}\n{payload}\n{}", kind.as_str(), now.as_nanos()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    TaskId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
