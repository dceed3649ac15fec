//! Whether what is deleted in the bucket is gone: versions, and locks on them.

use axum::http::Method;
use echosphere_storage::s3::{element, encoded};
use echosphere_storage::{Error, Result};

use super::{Doctor, folder};
use crate::doctor::Finding;

impl Doctor<'_> {
    /// Whether what is deleted is gone.
    pub(super) async fn versions(&self) -> Finding {
        let answer = match self.asked(Method::GET, "?versioning", "").await {
            Ok(answer) => answer,
            Err(error) => {
                return Finding::Poor(
                    format!("whether older versions are kept is not known: {error}"),
                    "look with the tools of the S3 server".to_owned(),
                );
            }
        };
        let remedy = "switch versioning off, or add a lifecycle rule (NoncurrentVersionExpiration)".to_owned();
        match element(&answer.text, "Status") {
            Some("Enabled") => {}
            Some("Suspended") => {
                return Finding::Poor(
                    "versioning is suspended: versions of before stay, and can be had again".to_owned(),
                    remedy,
                );
            }
            _ => return Finding::Good("older versions are not kept: what is deleted is gone".to_owned()),
        }
        let may = match self.delete_a_version().await {
            Ok(()) => "these keys may delete versions".to_owned(),
            Err(error) => format!("these keys may not delete versions ({error})"),
        };
        let lock = self.lock().await;
        Finding::Poor(format!("older versions are kept{lock}: what is deleted can be had again; {may}"), remedy)
    }

    /// What keeps versions from being deleted, as an addition to a sentence.
    async fn lock(&self) -> String {
        let Ok(answer) = self.store.ask(Method::GET, "?object-lock", "").await else { return String::new() };
        if element(&answer.text, "ObjectLockEnabled") != Some("Enabled") {
            return String::new();
        }
        let how_long = ["Days", "Years"].iter().find_map(|unit| Some((element(&answer.text, unit)?, unit)));
        match (element(&answer.text, "Mode"), how_long) {
            (Some(mode), Some((length, unit))) => {
                format!(", each for {length} {} by the bucket's object lock ({mode})", unit.to_lowercase())
            }
            _ => ", and an object lock may keep them from being deleted".to_owned(),
        }
    }

    /// Puts an object and deletes that version of it.
    async fn delete_a_version(&self) -> Result<()> {
        let (_, path) = self.probe()?;
        let put = self.asked(Method::PUT, &path, "echosphere doctor").await?;
        let version = put.headers.get("x-amz-version-id").and_then(|version| version.to_str().ok());
        let version = version.ok_or_else(|| Error::Away {
            action: "delete a version of",
            target: path.clone(),
            why: "the server does not say which one it wrote".to_owned(),
        })?;
        let deleted = self.asked(Method::DELETE, &format!("{path}?versionId={}", encoded(version)), "").await;
        if deleted.is_err() {
            let _ = self.asked(Method::DELETE, &path, "").await;
        }
        deleted.map(|_| ())
    }

    /// Deletes all versions of objects that a doctor made, where the server has versions and lets these keys do so.
    pub(super) async fn forget_probes(&self) {
        let place = format!("{}/", self.store.bucket().path(&folder()));
        let list = format!("?versions&prefix={}", encoded(&place));
        let Ok(listed) = self.asked(Method::GET, &list, "").await else { return };
        for version in listed.text.split("<Key>").skip(1) {
            let (key, id) = (version.split('<').next().unwrap_or_default(), element(version, "VersionId"));
            if let Some(id) = id.filter(|_| key.starts_with(&place)) {
                let _ = self.asked(Method::DELETE, &format!("/{key}?versionId={}", encoded(id)), "").await;
            }
        }
    }
}
