//! The file of an egress that writes one, when it ends.

use bytes::Bytes;
use livekit_protocol as proto;
use serde_json::json;

use super::bucket::Bucket;
use super::manifest::manifest;

/// A file.
pub struct File {
    bucket: Bucket,
    request: proto::EncodedFileOutput,
    /// What it is so far, as it is reported.
    pub info: proto::FileInfo,
}

impl File {
    /// Nothing has been written.
    pub fn new(bucket: Bucket, request: proto::EncodedFileOutput, info: proto::FileInfo) -> Self {
        Self { bucket, request, info }
    }

    /// Writes it; returns where the manifest is, if one is wanted.
    pub async fn end(&mut self, bytes: Bytes, info: &proto::EgressInfo) -> Result<String, String> {
        let key = self.info.filename.clone();
        self.info.ended_at = info.ended_at;
        self.info.duration = info.ended_at - self.info.started_at;
        self.info.size = bytes.len() as i64;
        self.bucket.put(&key, bytes).await?;
        self.info.location = self.bucket.location(&key);
        if self.request.disable_manifest {
            return Ok(String::new());
        }
        let files = json!([{ "filename": key, "location": self.info.location }]);
        let manifest = manifest(info, "files", &files);
        let folder = key.rfind('/').map_or("", |end| &key[..=end]);
        let manifest_key = format!("{folder}{}.json", info.egress_id);
        self.bucket.put(&manifest_key, manifest.into()).await?;
        Ok(self.bucket.location(&manifest_key))
    }
}
