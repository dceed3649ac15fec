//! `echosphere storage move`: brings what was kept before `storage.url` was changed to where objects are written now.
//!
//! Each object is copied, read back, and then switched to in one transaction, so it plays all the while; what was interrupted goes on
//! where it was.

use std::sync::Arc;

use echosphere_store::{Claim, ElsewhereObject, Store};
use futures_util::{StreamExt, stream};

use super::{Error, Jobs};
use crate::clock::Clock;
use crate::error;
use crate::objects::{Moved, Objects};
use crate::playback::LONGEST;
use crate::signals::Stop;

/// Objects that are copied at once.
const AT_ONCE: usize = 4;
/// Objects per query of the database.
const BATCH: u32 = 200;

/// What a move has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Objects that are here now.
    pub moved: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were not where their rows say.
    pub lost: u64,
    /// Objects that could not be copied, and are where they were.
    pub failed: u64,
}

/// What moves objects.
pub struct Mover {
    /// The objects.
    pub objects: Objects,
    /// Their rows.
    pub store: Arc<dyn Store>,
    /// The time of day.
    pub clock: Clock,
    /// Cancelled when it is to stop.
    pub stop: Stop,
}

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let mover = Mover {
        objects: jobs.objects.clone(),
        store: Arc::clone(&jobs.store),
        clock: jobs.clock.clone(),
        stop: jobs.stop.clone(),
    };
    let Tally { moved, bytes, lost, failed } = mover.run(|_| ()).await?;
    if failed > 0 {
        return Err(
            error::Error::io("move objects")(std::io::Error::other(format!("{failed} could not be copied"))).into()
        );
    }
    tracing::info!(moved, bytes, lost, "what was kept in other places is here now");
    Ok(jobs.store.complete(&claim.lease).await?)
}

impl Mover {
    /// Moves everything, and says after each batch what has been done.
    ///
    /// # Errors
    ///
    /// The database cannot be asked, or the process is to stop. An object that cannot be copied is counted and left where it is.
    pub async fn run(&self, mut report: impl FnMut(Tally)) -> Result<Tally, Error> {
        let (mut tally, mut after) = (Tally::default(), None);
        loop {
            let batch = self.store.all_elsewhere(after.as_ref(), BATCH).await?;
            let Some(last) = batch.last() else { return Ok(tally) };
            after = Some(last.key.clone());
            let mut moved = stream::iter(batch).map(|object| self.one(object)).buffer_unordered(AT_ONCE);
            while let Some(outcome) = moved.next().await {
                match outcome {
                    Some(Moved::Here(bytes)) => (tally.moved, tally.bytes) = (tally.moved + 1, tally.bytes + bytes),
                    Some(Moved::Lost) => tally.lost += 1,
                    Some(Moved::Gone) => {}
                    None => tally.failed += 1,
                }
                if self.stop.is_cancelled() {
                    return Err(error::Error::Stopping.into());
                }
            }
            drop(moved);
            report(tally);
        }
    }

    /// Moves one object; `None` when it could not be copied.
    async fn one(&self, object: ElsewhereObject) -> Option<Moved> {
        // The last presigned URL for where it was may be valid that long.
        let moved = self.objects.move_here(&object, self.clock.now().after(LONGEST)).await;
        match &moved {
            Ok(Moved::Lost) => tracing::error!(key = %object.key, "an object is not where it was kept"),
            Ok(_) => {}
            Err(error) => tracing::warn!(key = %object.key, %error, "an object cannot be moved now"),
        }
        moved.ok()
    }
}
