//! Recognises requests that are sent again with the same Idempotency-Key.

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use sha2::{Digest, Sha256};

use crate::rows::{Rows, StoredRequest};
use crate::{Once, Repeated, Result};

/// How long a key is remembered (24 h), in nanoseconds.
const LIFE: i64 = 24 * 3600 * 1_000_000_000;

/// The prefix of a hash.
const MARK: &str = "sha256:";

/// The SHA-256 of a key or request; these may contain names, so only the hash is stored.
fn unreadable(text: &str) -> String {
    format!("{MARK}{}", hex::encode(Sha256::digest(text)))
}

/// Hashes the keys and requests that earlier versions stored as text.
pub(crate) async fn make_unreadable(rows: &mut dyn Rows) -> Result<()> {
    for request in rows.requests_without(MARK).await? {
        let (key, asked) = (unreadable(&request.key), unreadable(&request.asked));
        rows.replace_request(&request, &key, &asked).await?;
    }
    Ok(())
}

/// What an earlier request with this key asked for, if there was one.
pub(crate) async fn known(
    rows: &mut dyn Rows,
    project: &ProjectId,
    once: &Once,
    now: WallTime,
) -> Result<Option<Repeated>> {
    let earlier = rows.request(project, &unreadable(&once.key), now.plus_nanos(-LIFE)).await?;
    Ok(earlier.map(|earlier| {
        if earlier.asked == unreadable(&once.asked) { Repeated::Same(earlier.recording) } else { Repeated::Other }
    }))
}

/// Stores what resulted from a request, and deletes expired rows.
pub(crate) async fn note(
    rows: &mut dyn Rows,
    project: &ProjectId,
    once: &Once,
    recording: RecordingId,
    now: WallTime,
) -> Result<()> {
    rows.forget_requests(now.plus_nanos(-LIFE)).await?;
    let (key, asked) = (unreadable(&once.key), unreadable(&once.asked));
    rows.insert_request(&StoredRequest { project: project.clone(), key, asked, recording, at: now }).await
}
