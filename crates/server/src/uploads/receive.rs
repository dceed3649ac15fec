//! Receives an upload: its body goes from the network into a spool file, durably and with bounded memory.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use echosphere_domain::id::{ProjectId, TaskId, UploadId};
use echosphere_livekit::session_upload::header::Header;
use echosphere_store::{Gone, Sealed, Upload};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::{Uploads, body, exclusion, recover, refusal};
use crate::config::WhenAway;
use crate::{data_dir, entropy, names};

/// Bytes between two syncs to the disk, so that the last sync, which the sender waits for, has little left to do. The free space
/// is looked at as often.
const SYNC_EVERY: u64 = 4 << 20;
/// Bytes kept in memory until the header has come: the SDKs send it first, and it is small.
const MOST_BEFORE_HEADER: usize = 256 << 10;

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
    /// It asks for redaction, which is refused.
    #[error("the session asks for redaction, which this server cannot do")]
    Redaction,
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

/// The beginning of a body: all that has come by the time its header has.
struct Beginning {
    bytes: Vec<u8>,
    header: Option<Header>,
    /// `true` when the body ended, `false` when the connection broke, while the header was waited for.
    end: Option<bool>,
}

/// Takes an upload's body. When this returns `Ok`, the body is durable and queued, and stays so whatever happens next; or nothing
/// of it is kept, because its session was deleted.
///
/// Runs to its end also when the sender goes away (and the request's own future with it): what had come is sealed as a
/// cut upload.
pub async fn receive(
    uploads: Arc<Uploads>,
    project: ProjectId,
    content_type: String,
    body: Body,
) -> Result<UploadId, Refusal> {
    let task = tokio::spawn(async move {
        let id = UploadId::new(entropy::uuid(uploads.clock.now()));
        let upload = Upload::receiving(id, project, content_type, uploads.clock.now());
        receive_body(&uploads, upload, body).await.map(|()| id)
    });
    task.await.unwrap_or_else(|error| Err(Refusal::Transient(format!("the receiving task ended: {error}"))))
}

async fn receive_body(uploads: &Arc<Uploads>, mut upload: Upload, body: Body) -> Result<(), Refusal> {
    let mut body = body.into_data_stream();
    let limit = uploads.config.max_upload_bytes;
    // If the header says that it must not be kept, it never gets to the disk.
    let beginning = begin(&mut body, &upload.content_type, limit).await;
    if let Some(header) = &beginning.header {
        (upload.job_id, upload.room_sid) = (header.job_id.clone(), header.room_sid.clone());
        upload.room_name = header.summary.room_name.as_deref().and_then(|name| names::one("room_name", name));
        match refusal::ask(uploads, &upload, header, None).await {
            Ok(None) => {}
            Ok(Some(gone)) => {
                drain(&mut body, limit).await;
                return turned_away(&upload, gone);
            }
            Err(error) => {
                drain(&mut body, limit).await;
                return Err(Refusal::Transient(error.to_string()));
            }
        }
    }
    if let Err(error) = uploads.store.begin_upload(&upload).await {
        drain(&mut body, limit).await;
        return Err(Refusal::Transient(error.to_string()));
    }
    // The agent is in the room until its upload is answered: LiveKit can say which room that is.
    let name = ask_livekit(uploads, &upload);
    let header = beginning.header.clone();
    match spool(uploads, &upload, beginning, &mut body, limit).await {
        Ok(End::Whole { bytes }) => accept(uploads, &upload, header, name, Sealed { bytes, complete: true }).await,
        Ok(End::Cut { bytes }) => {
            tracing::warn!(upload = %upload.id, bytes, "an upload was cut");
            if bytes == 0 {
                discard(uploads, upload.id).await;
            } else {
                accept(uploads, &upload, header, name, Sealed { bytes, complete: false }).await?;
            }
            Err(Refusal::Cut { bytes })
        }
        Err(failure) => {
            // The SDK sends everything again, so what is here only takes up the space that the next attempt needs.
            discard(uploads, upload.id).await;
            drain(&mut body, limit).await;
            Err(match failure {
                Failure::TooLarge => Refusal::TooLarge { limit },
                Failure::Io(error) => Refusal::Transient(format!("its body cannot be written to the disk: {error}")),
            })
        }
    }
}

/// The answer to an upload that must not be kept: for a deleted session it is success, so that the sender is content.
fn turned_away(upload: &Upload, gone: Gone) -> Result<(), Refusal> {
    refusal::note(upload, gone);
    match gone {
        Gone::Deleted => Ok(()),
        Gone::Excluded => Err(Refusal::Disabled),
        Gone::Redaction => Err(Refusal::Redaction),
    }
}

/// Reads until the header has come, or enough to say that it does not come first.
async fn begin(body: &mut DataStream, content_type: &str, limit: u64) -> Beginning {
    let mut beginning = Beginning { bytes: Vec::new(), header: None, end: None };
    let mut next_look = 0;
    while beginning.header.is_none() && beginning.bytes.len() < MOST_BEFORE_HEADER && beginning.end.is_none() {
        match body.next().await {
            Some(Ok(chunk)) => beginning.bytes.extend_from_slice(&chunk),
            Some(Err(_)) => beginning.end = Some(false),
            None => beginning.end = Some(true),
        }
        // Twice as much each time, so that a body that trickles in is not parsed over and over.
        if (beginning.bytes.len() >= next_look || beginning.end.is_some()) && beginning.bytes.len() as u64 <= limit {
            next_look = beginning.bytes.len() * 2;
            let read = body::header_of(&mut io::Cursor::new(&beginning.bytes), content_type);
            beginning.header = read.ok().flatten();
        }
    }
    beginning
}

/// Asks LiveKit for the name of an upload's room while the body comes, if a rule needs it and the header did not give it.
fn ask_livekit(uploads: &Arc<Uploads>, upload: &Upload) -> Option<JoinHandle<Option<String>>> {
    let sid = upload.room_sid.clone().filter(|_| upload.room_name.is_none())?;
    if !uploads.exclusion.has_rules(&upload.project) {
        return None;
    }
    let (exclusion, project) = (uploads.exclusion.clone(), upload.project.clone());
    Some(tokio::spawn(async move { exclusion.name_of(&project, &sid).await }))
}

/// Asks once more whether an upload may be kept, now that it is here, and acknowledges it if so.
async fn accept(
    uploads: &Arc<Uploads>,
    upload: &Upload,
    mut header: Option<Header>,
    name: Option<JoinHandle<Option<String>>>,
    sealed: Sealed,
) -> Result<(), Refusal> {
    if header.is_none() {
        header = recover::header(uploads, upload).await;
    }
    let name = match name {
        Some(asked) => asked.await.ok().flatten(),
        None => None,
    };
    let asked = async {
        let Some(header) = &header else { return Ok(None) };
        let gone = refusal::ask(uploads, upload, header, name.as_deref()).await?;
        if gone.is_none() && (name.is_some() || upload.job_id != header.job_id || upload.room_sid != header.room_sid) {
            uploads.store.note_session(upload.id, &exclusion::ids(header), name.as_deref()).await?;
        }
        Ok::<_, echosphere_store::Error>(gone)
    };
    match asked.await {
        Ok(None) => seal(uploads, upload, sealed).await,
        Ok(Some(gone)) => {
            discard(uploads, upload.id).await;
            turned_away(upload, gone)
        }
        Err(error) => {
            discard(uploads, upload.id).await;
            Err(Refusal::Transient(error.to_string()))
        }
    }
}

async fn seal(uploads: &Arc<Uploads>, upload: &Upload, sealed: Sealed) -> Result<(), Refusal> {
    let now = uploads.clock.now();
    let task = TaskId::new(entropy::uuid(now));
    let is_waited_for = sealed.complete && uploads.config.storage.is_s3();
    let arrival = is_waited_for.then(|| uploads.arrivals.expect(upload.id));
    if let Err(error) = uploads.store.seal_upload(upload.id, sealed, task, now).await {
        // Not acknowledged, so the sender keeps it; leaving the bytes would make a second recording of them later.
        discard(uploads, upload.id).await;
        return Err(Refusal::Transient(error.to_string()));
    }
    uploads.jobs.ring();
    let has_arrived = match arrival {
        Some(arrival) => arrival.wait().await,
        None => true,
    };
    if has_arrived { Ok(()) } else { not_arrived(uploads, upload) }
}

/// What a sender is told whose upload is on this machine's disk, and not in object storage in time. It goes there as soon as it can either way.
fn not_arrived(uploads: &Uploads, upload: &Upload) -> Result<(), Refusal> {
    metrics::counter!("echosphere_uploads_not_in_storage_total").increment(1);
    match uploads.config.when_storage_is_away {
        WhenAway::Accept => {
            tracing::error!(upload = %upload.id, "object storage has not taken an upload; it is acknowledged all the same, and only this machine has it until then (uploads.when_storage_is_away)");
            Ok(())
        }
        WhenAway::Retry => {
            tracing::error!(upload = %upload.id, "object storage has not taken an upload; its sender is asked to come again (uploads.when_storage_is_away)");
            Err(Refusal::Transient("object storage does not take it".to_owned()))
        }
    }
}

type DataStream = axum::body::BodyDataStream;

async fn spool(
    uploads: &Uploads,
    upload: &Upload,
    beginning: Beginning,
    body: &mut DataStream,
    limit: u64,
) -> Result<End, Failure> {
    uploads.check_disk().await.map_err(Failure::Io)?;
    // Not buffered: what has come is in the file, should this process die in the next moment.
    let mut file = File::create_new(uploads.data.spool(upload.id)).await.map_err(Failure::Io)?;
    let (mut bytes, mut synced, mut whole) = (0_u64, 0_u64, beginning.end != Some(false));
    let mut ahead = uploads.ahead.begin(&upload.content_type);
    let first = Some(Ok(bytes::Bytes::from(beginning.bytes)));
    let mut first =
        first.filter(|chunk: &Result<bytes::Bytes, axum::Error>| chunk.as_ref().is_ok_and(|b| !b.is_empty()));
    loop {
        let next = match first.take() {
            Some(first) => Some(first),
            None if beginning.end.is_some() => None,
            None => body.next().await,
        };
        let Some(chunk) = next else { break };
        let Ok(chunk) = chunk else {
            whole = false;
            break;
        };
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(Failure::TooLarge);
        }
        file.write_all(&chunk).await.map_err(Failure::Io)?;
        if let Some(ahead) = &mut ahead {
            ahead.push(&chunk);
        }
        if bytes - synced >= SYNC_EVERY {
            synced = bytes;
            file.flush().await.map_err(Failure::Io)?;
            file.sync_data().await.map_err(Failure::Io)?;
            uploads.check_disk().await.map_err(Failure::Io)?;
        }
    }
    if let Some(ahead) = ahead {
        uploads.ahead.keep(upload.id, ahead);
    }
    file.flush().await.map_err(Failure::Io)?;
    file.sync_all().await.map_err(Failure::Io)?;
    let folder = uploads.data.spool_folder();
    let synced = tokio::task::spawn_blocking(move || data_dir::sync_folder(&folder)).await;
    synced.map_err(io::Error::other).and_then(|result| result).map_err(Failure::Io)?;
    Ok(if whole { End::Whole { bytes } } else { End::Cut { bytes } })
}

/// Removes what an upload left behind. What cannot be removed now is found again at the next start.
async fn discard(uploads: &Uploads, id: UploadId) {
    drop(uploads.ahead.take(id));
    if let Err(error) = tokio::fs::remove_file(uploads.data.spool(id)).await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(upload = %id, %error, "a spool file cannot be removed");
    }
    if let Err(error) = uploads.store.abandon_upload(id).await {
        tracing::warn!(upload = %id, %error, "an upload's row cannot be removed");
    }
}

/// Reads a body to its end and discards it, up to a bound: the SDK looks at the answer only when it has sent everything.
pub async fn drain(body: &mut DataStream, limit: u64) {
    let mut bytes = 0_u64;
    while let Some(Ok(chunk)) = body.next().await {
        bytes += chunk.len() as u64;
        if bytes > limit {
            return;
        }
    }
}

/// Goes on reading after the answer was given, so that the sender gets to read it instead of a reset connection.
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
