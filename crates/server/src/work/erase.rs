//! Deletion: first the bytes, then the rows, and only then "done".

use echosphere_domain::id::RecordingId;
use echosphere_store::Claim;

use super::Error;
use crate::app::App;
use crate::clock;

pub(super) async fn run(app: &App, claim: &Claim) -> Result<(), Error> {
    let recording: RecordingId = claim.payload.parse().map_err(|_| Error::Payload(claim.payload.clone()))?;
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
