//! A capture log in object storage: its chunks, one after another.

use echosphere_domain::recording::Recording;
use echosphere_recorder::log::chunk::{self, Chunk};

use crate::app::App;

/// Reads the chunks of a capture in their order, up to the first that does not exist, and hands out each with its number and
/// length; `None` for one that cannot be read. Returns how many there are.
pub async fn read(
    app: &App,
    recording: &Recording,
    attempt: u32,
    mut each: impl FnMut(u32, usize, Option<Chunk>),
) -> Result<u32, echosphere_storage::Error> {
    let mut number = 0;
    while let Some((length, chunk)) = chunk(app, recording, attempt, number).await? {
        each(number, length, chunk);
        number += 1;
    }
    Ok(number)
}

/// Reads one chunk: its length, and what it says if it can be read; `None` when there is no such chunk.
pub async fn chunk(
    app: &App,
    recording: &Recording,
    attempt: u32,
    number: u32,
) -> Result<Option<(usize, Option<Chunk>)>, echosphere_storage::Error> {
    let key = recording.prefix.log_chunk(attempt, number);
    let bytes = match app.objects.get_range(&key, 0..u64::MAX).await {
        Err(echosphere_storage::Error::NotFound(_)) => return Ok(None),
        other => other?,
    };
    let chunk = chunk::decode(&bytes);
    if let Err(error) = &chunk {
        tracing::error!(%key, %error, "a chunk of a capture log cannot be read");
    }
    Ok(Some((bytes.len(), chunk.ok())))
}
