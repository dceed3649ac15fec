//! Steps a recording's lifecycle: its new state is written, and its effects become tasks, in the caller's transaction.

use echosphere_domain::lifecycle::{self, Effect, Event, State};
use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;

use super::tasks;
use crate::rows::Rows;
use crate::{Result, TaskKind};

/// Steps a recording and writes the result: its state, its effects as tasks, and the tombstones of a deletion that begins.
pub(crate) async fn step(rows: &mut dyn Rows, recording: &mut Recording, event: Event, now: WallTime) -> Result<()> {
    let (state, effects) = lifecycle::step(recording.state, event, now);
    if state.deletion.is_requested() && !recording.state.deletion.is_requested() {
        entomb(rows, recording, now).await?;
    }
    recording.state = state;
    rows.set_state(recording.id, &state).await?;
    for effect in effects {
        let (kind, payload) = match effect {
            Effect::Render { revision } => {
                (TaskKind::Render, format!("{}/{}/{revision}", recording.project, recording.id))
            }
            Effect::Erase => (TaskKind::Erase, recording.id.to_string()),
            Effect::Finalize => (TaskKind::Finalize, format!("{}/{}", recording.project, recording.id)),
        };
        tasks::queue(rows, kind, payload, now).await?;
    }
    Ok(())
}

/// Writes the tombstones of a recording: its sessions, or its room, must not come back.
async fn entomb(rows: &mut dyn Rows, recording: &Recording, now: WallTime) -> Result<()> {
    rows.entomb_recording(recording.id, now).await?;
    rows.entomb_sessions_of(recording.id, now).await?;
    // It counts as recorded until now: a session that comes later, and by its times was in it, is deleted too.
    rows.set_ended(recording.id, now).await
}

/// Inserts a recording that an upload has begun. Its row is never STARTING: at most one recording of a room may be, the one that
/// captures it.
pub(crate) async fn insert_processing(rows: &mut dyn Rows, recording: &mut Recording) -> Result<()> {
    recording.state = State::processing();
    rows.insert_recording(recording).await
}
