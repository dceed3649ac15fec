//! From the network to durable bytes: one upload's body into its spool file, with bounded memory.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use echosphere_domain::id::{ProjectId, TaskId, UploadId};
use echosphere_store::{Sealed, Upload, UploadState};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::app::{App, SharedApp};
use crate::{clock, data_dir, entropy};

/// Between two calls that bring the written bytes to the disk: so that the last one, which the sender waits for, has
/// little left to do.
const SYNC_EVERY: u64 = 4 << 20;

/// Why an upload was not taken. Its body was read to the end all the same.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is larger than `uploads.max_bytes`.
    #[error("the upload is larger than {limit} bytes, the limit set by uploads.max_bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Recording is switched off for its room.
    #[error("recording is switched off for this room")]
    Disabled,
    /// A fault of ours; the same upload may be taken later.
    #[error("the upload cannot be kept now: {0}")]
    Transient(String),
    /// The sender went away; what had come is kept. There is nobody to answer.
    #[error("the connection broke after {bytes} bytes")]
    Cut {
        /// Bytes that had come.
        bytes: u64,
    },
}

/// The end of the body.
enum End {
    Whole { bytes: u64 },
    Cut { bytes: u64 },
}

/// Why the body did not get into its file.
enum Failure {
    TooLarge,
    Io(io::Error),
}

/// Takes an upload's body. When this returns `Ok`, the body is durable and queued, and stays so whatever happens next.
///
/// Runs to its end also when the sender goes away (and the request's own future with it): what had come is sealed as a
/// cut upload.
pub async fn receive(
    app: SharedApp,
    project: ProjectId,
    content_type: String,
    body: Body,
) -> Result<UploadId, Refusal> {
    let task = tokio::spawn(async move {
        let upload = Upload {
            id: UploadId::new(entropy::uuid(clock::now())),
            project,
            content_type,
            received_at: clock::now(),
            state: UploadState::Receiving,
            bytes: 0,
            complete: false,
            reason: None,
        };
        take(&app, &upload, body).await.map(|()| upload.id)
    });
    task.await.unwrap_or_else(|error| Err(Refusal::Transient(format!("the receiving task ended: {error}"))))
}

async fn take(app: &Arc<App>, upload: &Upload, body: Body) -> Result<(), Refusal> {
    let mut body = body.into_data_stream();
    if let Err(error) = app.store.begin_upload(upload).await {
        drain(&mut body, app.config.max_upload_bytes).await;
        return Err(Refusal::Transient(error.to_string()));
    }
    let limit = app.config.max_upload_bytes;
    match spool(app, upload.id, &mut body, limit).await {
        Ok(End::Whole { bytes }) => {
            if super::recover::is_room_excluded(app, upload).await {
                discard(app, upload.id).await;
                return Err(Refusal::Disabled);
            }
            seal(app, upload, Sealed { bytes, complete: true }).await
        }
        Ok(End::Cut { bytes }) => {
            tracing::warn!(upload = %upload.id, bytes, "an upload was cut; what had come is kept");
            if bytes == 0 {
                discard(app, upload.id).await;
            } else {
                seal(app, upload, Sealed { bytes, complete: false }).await?;
            }
            Err(Refusal::Cut { bytes })
        }
        Err(failure) => {
            // The SDK sends everything again, so what is here only takes up the space that the next attempt needs.
            discard(app, upload.id).await;
            drain(&mut body, limit).await;
            Err(match failure {
                Failure::TooLarge => Refusal::TooLarge { limit },
                Failure::Io(error) => Refusal::Transient(format!("the spool file cannot be written: {error}")),
            })
        }
    }
}

async fn seal(app: &Arc<App>, upload: &Upload, sealed: Sealed) -> Result<(), Refusal> {
    let now = clock::now();
    let task = TaskId::new(entropy::uuid(now));
    if let Err(error) = app.store.seal_upload(upload.id, sealed, task, now).await {
        // Not acknowledged, so the sender keeps it; leaving the bytes would make a second recording of them later.
        discard(app, upload.id).await;
        return Err(Refusal::Transient(error.to_string()));
    }
    app.work.wake();
    Ok(())
}

type DataStream = axum::body::BodyDataStream;

async fn spool(app: &App, id: UploadId, body: &mut DataStream, limit: u64) -> Result<End, Failure> {
    // Not buffered: what has come is in the file, should this process die in the next moment.
    let mut file = File::create_new(app.data.spool(id)).await.map_err(Failure::Io)?;
    let (mut bytes, mut synced, mut whole) = (0_u64, 0_u64, true);
    while let Some(chunk) = body.next().await {
        let Ok(chunk) = chunk else {
            whole = false;
            break;
        };
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(Failure::TooLarge);
        }
        file.write_all(&chunk).await.map_err(Failure::Io)?;
        if bytes - synced >= SYNC_EVERY {
            synced = bytes;
            file.flush().await.map_err(Failure::Io)?;
            file.sync_data().await.map_err(Failure::Io)?;
        }
    }
    file.flush().await.map_err(Failure::Io)?;
    file.sync_all().await.map_err(Failure::Io)?;
    let folder = app.data.spool_folder();
    let synced = tokio::task::spawn_blocking(move || data_dir::sync_folder(&folder)).await;
    synced.map_err(io::Error::other).and_then(|result| result).map_err(Failure::Io)?;
    Ok(if whole { End::Whole { bytes } } else { End::Cut { bytes } })
}

/// Removes what an upload left behind. What cannot be removed now is found again at the next start.
async fn discard(app: &App, id: UploadId) {
    if let Err(error) = tokio::fs::remove_file(app.data.spool(id)).await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(upload = %id, %error, "a spool file cannot be removed");
    }
    if let Err(error) = app.store.abandon_upload(id).await {
        tracing::warn!(upload = %id, %error, "an upload's row cannot be removed");
    }
}

/// Reads a body to its end and lets it go, up to a bound: the SDK looks at the answer only when it has sent everything.
pub async fn drain(body: &mut DataStream, limit: u64) {
    let mut bytes = 0_u64;
    while let Some(Ok(chunk)) = body.next().await {
        bytes += chunk.len() as u64;
        if bytes > limit {
            return;
        }
    }
}

/// Reads on behind an answer that was already given, so that the sender gets to read it instead of a reset connection.
pub fn linger(body: Body) {
    const LIMIT: u64 = 4 << 30;
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
    tokio::spawn(async move {
        let mut body = body.into_data_stream();
        let _ = tokio::time::timeout(PATIENCE, drain(&mut body, LIMIT)).await;
    });
}

/// The whole of a small body.
pub async fn collect(body: Body, limit: usize) -> Result<bytes::Bytes, Refusal> {
    match http_body_util::Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::TooLarge { limit: limit as u64 }),
        Err(_) => Err(Refusal::Cut { bytes: 0 }),
    }
}
