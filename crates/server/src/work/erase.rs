//! Deletion: first the bytes, then the rows, and only then "done".

use std::time::{Duration, Instant};

use echosphere_domain::id::RecordingId;
use echosphere_store::Claim;

use super::Error;
use crate::app::App;
use crate::clock;

/// How long to wait for a room that is being left, and how often to look. When storage is away it takes longer, and is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn run(app: &App, claim: &Claim) -> Result<(), Error> {
    let recording: RecordingId = claim.payload.parse().map_err(|_| Error::Payload(claim.payload.clone()))?;
    left(app, recording).await?;
    for key in app.store.objects_of(recording).await? {
        if app.is_stopping() {
            return Err(Error::Stopping);
        }
        app.objects.delete(&key).await?;
    }
    app.store.finish_erase(recording, &claim.lease, clock::now()).await?;
    tracing::info!(%recording, "a recording was deleted");
    Ok(())
}

/// Waits until a room that is recorded has been left: what is still being put would come behind its deletion.
async fn left(app: &App, recording: RecordingId) -> Result<(), Error> {
    let began = Instant::now();
    while app.rooms.has(recording) {
        if app.is_stopping() {
            return Err(Error::Stopping);
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::Recorded(recording));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
