//! Uploads in parts that were never put together, because the process died: what had come of them lies in the bucket, and no listing shows it.

use echosphere_domain::key::ObjectKey;
use http::Method;

use super::S3Store;
use super::answer::element;
use super::request::encoded;
use crate::Result;

/// Aborts those of the objects in a folder, or of this one object. Returns how many there were.
///
/// MinIO lists none of a folder, only those of an object; it removes what is a day old by itself.
pub(super) async fn abort(store: &S3Store, folder: &ObjectKey) -> Result<u64> {
    let prefix = store.bucket.path(folder);
    let listed = store.ask(Method::GET, &format!("?prefix={}&uploads=", encoded(&prefix)), "").await?;
    let listed = listed.done("list unfinished uploads of", store)?;
    let mut aborted = 0;
    for upload in listed.text.split("<Upload>").skip(1) {
        let (Some(key), Some(id)) = (element(upload, "Key"), element(upload, "UploadId")) else { continue };
        // A prefix is no folder: `recordings/a` is one of `recordings/ab`, too.
        let is_in = key.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !is_in {
            continue;
        }
        let path: Vec<String> = key.split('/').map(encoded).collect();
        let gone = store.ask(Method::DELETE, &format!("/{}?uploadId={}", path.join("/"), encoded(id)), "").await?;
        if !gone.text.contains("<Code>NoSuchUpload</Code>") {
            gone.done("abort an unfinished upload in", store)?;
            aborted += 1;
        }
    }
    Ok(aborted)
}
