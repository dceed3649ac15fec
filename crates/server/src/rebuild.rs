//! `echosphere rebuild`: makes an empty database whole again from the sidecars in object storage (docs/sidecars.md).

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use echosphere_domain::id::{ProjectId, RecordingId, TaskId, UploadId};
use echosphere_domain::key::{self, ObjectKey};
use echosphere_storage::{ObjectStore, pieces};
use echosphere_store::{Purpose, Sealed, Sidecar, Store, Upload};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::{DataDir, STORE_ID};
use crate::jobs::sidecars::unpacked;
use crate::progress::Progress;
use crate::{entropy, error, startup};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Sidecars that are read at once.
const AT_ONCE: usize = 16;
/// Keys per query of the database.
const BATCH: usize = 500;

/// What was found.
#[derive(Debug, Default)]
struct Found {
    recordings: u64,
    deleted: HashSet<RecordingId>,
    uploads: u64,
    unknown: u64,
    /// Recordings whose sidecars could not be restored, and how many there were of these and of notes.
    unreadable: HashSet<RecordingId>,
    failed: u64,
}

/// Makes the database whole, and prints what it found.
///
/// # Errors
///
/// The data directory is in use, the database has recordings, object storage cannot be read or was never used; or a sidecar cannot be read: all others are restored
/// then.
pub async fn run(config: &Config) -> Result<(), Error> {
    let data = DataDir::open(&config.data_dir)?;
    if data.store_id().is_none() {
        let marker = startup::marker_of(config, &data).await?;
        let marker =
            marker.ok_or("object storage has no marker (echosphere-store-id): no installation has written there")?;
        data.write_private(STORE_ID, &marker)?;
    }
    let (store, stored) = startup::open_stores(config, &data).await?;
    if !store.is_empty().await? {
        return Err("the database has recordings already; rebuild makes an empty one whole: set ECHOSPHERE_DATA_DIR (or ECHOSPHERE_DATABASE_URL) to a new one".into());
    }
    let rebuild = Rebuild { bytes: stored.bytes, store, data, clock: Clock::system() };
    let mut found = Found::default();
    for project in &config.projects {
        rebuild.project(&project.id, &mut found).await?;
    }
    rebuild.store.close().await;
    let Found { recordings, deleted, uploads, unknown, failed, .. } = found;
    println!("{recordings} recordings are in the database again, and {} that were deleted stay so.", deleted.len());
    if uploads > 0 {
        println!("{uploads} uploads that were in no recording yet are read after the next start.");
    }
    if unknown > 0 {
        println!("{unknown} objects belong to nothing that is known, and are left alone.");
    }
    println!("Start the server: what was under way goes on.");
    if failed > 0 {
        return Err(format!("{failed} sidecars could not be read; the log names them. Nothing of theirs was touched: a version that reads them may rebuild a new data directory").into());
    }
    Ok(())
}

struct Rebuild {
    bytes: Arc<dyn ObjectStore>,
    store: Arc<dyn Store>,
    data: DataDir,
    clock: Clock,
}

impl Rebuild {
    /// Restores what a project has. What was deleted comes first: what is left of it is not restored.
    async fn project(&self, project: &ProjectId, found: &mut Found) -> Result<(), Error> {
        let (notes, sidecars) = (key::deleted_folder(project), key::sidecar_folder(project));
        let deleted = self.restore(project, &notes, Purpose::Deletion, found).await?;
        found.deleted.extend(deleted);
        let restored: HashSet<_> =
            self.restore(project, &sidecars, Purpose::Sidecar, found).await?.into_iter().collect();
        found.recordings += restored.len() as u64;
        let objects = self.bytes.list(&key::recordings_folder(project)).await?;
        for keys in objects.chunks(BATCH) {
            let known: HashSet<_> = self.store.known_objects(keys).await?.into_iter().collect();
            for object in keys.iter().filter(|key| !known.contains(key)) {
                self.without_row(project, object, &restored, found).await?;
            }
        }
        Ok(())
    }

    /// Decides about an object that no sidecar names: what came after the last one was written.
    async fn without_row(
        &self,
        project: &ProjectId,
        object: &ObjectKey,
        restored: &HashSet<RecordingId>,
        found: &mut Found,
    ) -> Result<(), Error> {
        let recording = key::recording_of(object);
        let is_of = |recordings: &HashSet<RecordingId>| recording.is_some_and(|id| recordings.contains(&id));
        // What is left of a deletion goes with it; what belongs to a sidecar that cannot be read waits for one that can.
        if is_of(&found.deleted) || is_of(&found.unreadable) {
            return Ok(());
        }
        let name = object.as_str().rsplit('/').next().unwrap_or_default();
        if name == "upload.multipart" && recording.is_some() {
            let counted = if self.take_in(project, object).await? { &mut found.uploads } else { &mut found.unknown };
            *counted += 1;
            return Ok(());
        }
        let ending = name.rsplit_once('.').map(|(_, ending)| ending).filter(|_| is_of(restored));
        let purpose = match ending {
            Some("esc") => Purpose::Log,
            Some("ts") => Purpose::Segment,
            _ => {
                found.unknown += 1;
                return Ok(());
            }
        };
        Ok(self.store.announce(project, recording, purpose, std::slice::from_ref(object), self.clock.now()).await?)
    }

    /// Restores the sidecars in a folder but those of recordings that were deleted; returns of which recordings they are.
    async fn restore(
        &self,
        project: &ProjectId,
        folder: &ObjectKey,
        purpose: Purpose,
        found: &mut Found,
    ) -> Result<Vec<RecordingId>, Error> {
        let keys = self.bytes.list(folder).await?;
        let progress = Progress::new(folder.as_str(), keys.len() as u64);
        let read = |key: ObjectKey| async move {
            let object = self.bytes.get(&key).await;
            (key, object)
        };
        let mut documents = stream::iter(keys).map(read).buffer_unordered(AT_ONCE);
        let mut restored = Vec::new();
        while let Some((key, object)) = documents.next().await {
            let sidecar = match unpacked(&object?) {
                Ok(sidecar) if found.deleted.contains(&sidecar.recording) => continue,
                sidecar => sidecar,
            };
            match self.restore_one(project, &key, purpose, sidecar).await {
                Ok(recording) => restored.push(recording),
                Err(error) => {
                    tracing::error!(%key, %error, "a sidecar is not restored");
                    found.unreadable.extend(key::of_sidecar(&key));
                    found.failed += 1;
                }
            }
            progress.say(restored.len() as u64);
        }
        Ok(restored)
    }

    async fn restore_one(
        &self,
        project: &ProjectId,
        key: &ObjectKey,
        purpose: Purpose,
        sidecar: Result<Sidecar, error::Error>,
    ) -> Result<RecordingId, Error> {
        let sidecar = sidecar?;
        if sidecar.project != *project {
            return Err(format!("it is of the project {}", sidecar.project).into());
        }
        self.store.restore(&sidecar).await?;
        // The object itself; the first version of a sidecar does not name it.
        let recording = (purpose == Purpose::Sidecar).then_some(sidecar.recording);
        self.store.announce(project, recording, purpose, std::slice::from_ref(key), self.clock.now()).await?;
        Ok(sidecar.recording)
    }

    /// Takes an upload in that is in no recording: its body is read again as if it had just come. False when it is none (any more): of a session of which
    /// something was not to be kept there is sound alone.
    async fn take_in(&self, project: &ProjectId, object: &ObjectKey) -> Result<bool, Error> {
        if self.bytes.get_range(object, 0..2).await? != "--" {
            return Ok(false);
        }
        let (now, id) = (self.clock.now(), UploadId::new(entropy::uuid(self.clock.now())));
        let size = self.bytes.head(object).await?.map_or(0, |object| object.size);
        let mut body = pieces(Arc::clone(&self.bytes), object.clone(), 0..size).boxed();
        let mut file = std::fs::File::create_new(self.data.spool(id))?;
        while let Some(piece) = body.try_next().await? {
            file.write_all(&piece)?;
        }
        file.sync_all()?;
        // The boundary is the body's own first line.
        self.store.begin_upload(&Upload::receiving(id, project.clone(), "multipart/form-data".to_owned(), now)).await?;
        let task = TaskId::new(entropy::uuid(now));
        self.store.seal_upload(id, Sealed { bytes: size, complete: true }, task, now).await?;
        // It is written anew when it is read; this one goes with the next sweep.
        self.store.announce(project, None, Purpose::Upload, std::slice::from_ref(object), now).await?;
        Ok(true)
    }
}
