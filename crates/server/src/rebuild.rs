//! `echosphere rebuild`: makes an empty database whole again from the sidecars in object storage (docs/sidecars.md).

use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::Arc;

use echosphere_domain::id::{ProjectId, RecordingId, TaskId, UploadId};
use echosphere_domain::key::{self, ObjectKey};
use echosphere_storage::{ObjectStore, pieces};
use echosphere_store::{Purpose, Sealed, Sidecar, Store, Upload};
use flate2::read::GzDecoder;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::{DataDir, STORE_ID};
use crate::{entropy, startup};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Sidecars that are read at once.
const AT_ONCE: usize = 16;
/// The longest document that is read, in bytes: a hundred times what a day's call has.
const LONGEST: u64 = 1 << 30;
/// Keys per query of the database.
const BATCH: usize = 500;

/// What was found.
#[derive(Debug, Default)]
struct Found {
    recordings: u64,
    deleted: HashSet<RecordingId>,
    uploads: u64,
    unknown: u64,
    unreadable: u64,
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
    let Found { recordings, deleted, uploads, unknown, unreadable } = found;
    println!("{recordings} recordings are in the database again, and {} that were deleted stay so.", deleted.len());
    if uploads > 0 {
        println!("{uploads} uploads that were in no recording yet are read after the next start.");
    }
    if unknown > 0 {
        println!("{unknown} objects belong to nothing that is known, and are left alone.");
    }
    println!("Start the server: what was under way goes on.");
    if unreadable > 0 {
        return Err(format!("{unreadable} sidecars could not be read; the log names them").into());
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
        let deleted =
            self.restore(project, &key::deleted_folder(project), &HashSet::new(), &mut found.unreadable).await?;
        found.deleted.extend(deleted);
        let restored =
            self.restore(project, &key::sidecar_folder(project), &found.deleted, &mut found.unreadable).await?;
        found.recordings += restored.len() as u64;
        let objects = self.bytes.list(&key::recordings_folder(project)).await?;
        for keys in objects.chunks(BATCH) {
            let known: HashSet<_> = self.store.known_objects(keys).await?.into_iter().collect();
            for object in keys.iter().filter(|key| !known.contains(key)) {
                match key::of_upload_body(object) {
                    Some(recording) if found.deleted.contains(&recording) => {}
                    Some(_) => {
                        self.take_in(project, object).await?;
                        found.uploads += 1;
                    }
                    None => found.unknown += 1,
                }
            }
        }
        Ok(())
    }

    /// Restores the sidecars in a folder but those of these recordings; returns of which recordings they are.
    async fn restore(
        &self,
        project: &ProjectId,
        folder: &ObjectKey,
        without: &HashSet<RecordingId>,
        unreadable: &mut u64,
    ) -> Result<Vec<RecordingId>, Error> {
        let keys = self.bytes.list(folder).await?;
        let progress = Progress::new(keys.len(), folder);
        let read = |key: ObjectKey| async move {
            let compressed = self.bytes.get(&key).await;
            (key, compressed)
        };
        let mut documents = stream::iter(keys).map(read).buffer_unordered(AT_ONCE);
        let mut restored = Vec::new();
        while let Some((key, compressed)) = documents.next().await {
            let outcome = match decompressed(&compressed?).and_then(|json| Ok(Sidecar::parse(&json)?)) {
                Ok(sidecar) if sidecar.project != *project => {
                    Err(format!("it is of the project {}", sidecar.project).into())
                }
                Ok(sidecar) if without.contains(&sidecar.recording) => continue,
                Ok(sidecar) => self.store.restore(&sidecar).await.map(|()| sidecar.recording).map_err(Error::from),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(recording) => restored.push(recording),
                Err(error) => {
                    tracing::error!(%key, %error, "a sidecar is not restored");
                    *unreadable += 1;
                }
            }
            progress.say(restored.len());
        }
        Ok(restored)
    }

    /// Takes an upload in that is in no recording: its body is read again as if it had just come.
    async fn take_in(&self, project: &ProjectId, object: &ObjectKey) -> Result<(), Error> {
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
        Ok(self.store.announce(project, None, Purpose::Upload, std::slice::from_ref(object), now).await?)
    }
}

fn decompressed(compressed: &[u8]) -> Result<Vec<u8>, Error> {
    let mut json = Vec::new();
    GzDecoder::new(compressed).take(LONGEST).read_to_end(&mut json)?;
    Ok(json)
}

/// Says how far it is, on a terminal in one line.
struct Progress<'f> {
    all: usize,
    folder: &'f ObjectKey,
    is_terminal: bool,
}

impl<'f> Progress<'f> {
    fn new(all: usize, folder: &'f ObjectKey) -> Self {
        Self { all, folder, is_terminal: std::io::IsTerminal::is_terminal(&std::io::stdout()) }
    }

    fn say(&self, done: usize) {
        if self.is_terminal {
            print!("\r{}: {done} of {}", self.folder, self.all);
            if done >= self.all {
                println!();
            }
            let _ = std::io::stdout().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decompressed(&bytes);
        }
    }
}
