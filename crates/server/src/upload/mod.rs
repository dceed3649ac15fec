//! Session uploads: from the network to disk, and what a body holds.

pub mod body;
pub mod door;
pub mod held;
pub mod receive;
pub mod recover;

use std::io;

use echosphere_domain::id::UploadId;

use crate::app::App;

/// Removes an upload that became nothing: its files, then its row. What cannot be removed now is found again at the next start.
pub async fn forget(app: &App, id: UploadId) -> Result<(), echosphere_store::Error> {
    for path in [app.data.spool(id), app.data.spool_silenced(id)] {
        if let Err(error) = tokio::fs::remove_file(path).await
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(upload = %id, %error, "a spool file cannot be removed");
        }
    }
    app.store.forget_upload(id).await
}
