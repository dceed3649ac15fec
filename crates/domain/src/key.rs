//! Object keys: the names under which the bytes of a recording are stored.
//!
//! The layout is `recordings/{session}/{recording_id}/{attempt}/...`, prefixed with `projects/{project}/` for every
//! project but `default`. A key is made once, when the thing it names is created, and stored; it is never recomputed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{ProjectId, RecordingId, UploadId};

/// Why a text is not an object key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an object key: expected segments of A-Z a-z 0-9 . _ = - joined by '/', none of them '.' or '..', 1024 bytes at most"
)]
pub struct Error(String);

/// The name of an object: 1 to 1,024 bytes, segments of `[A-Za-z0-9._=-]+` joined by `/`, none of them `.` or `..`.
///
/// Narrower than S3's own rule, so that a key is at the same time a safe relative path and a URL path that needs no
/// escaping.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The longest key, in bytes (S3's own limit).
    pub const MAX_LEN: usize = 1024;

    /// Parses a key.
    pub fn parse(key: impl Into<String>) -> Result<Self, Error> {
        let key = key.into();
        if key.len() <= Self::MAX_LEN && key.split('/').all(is_segment) { Ok(Self(key)) } else { Err(Error(key)) }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'=' | b'-'))
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = Error;

    fn try_from(key: String) -> Result<Self, Error> {
        Self::parse(key)
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

/// The part of a key that stands for an external identifier (a session id, a job id): the identifier itself when it
/// matches `[A-Za-z0-9_-]{1,128}`, else `s-` and the first 26 base32 characters of its SHA-256.
pub fn session_segment(id: &str) -> String {
    let plain =
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if plain { id.to_owned() } else { format!("s-{}", &base32(&Sha256::digest(id.as_bytes()))[..26]) }
}

/// Lower-case base32 (RFC 4648 section 6 alphabet) without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(ALPHABET[(buffer >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        out.push(char::from(ALPHABET[(buffer << (5 - bits)) as usize & 31]));
    }
    out
}

/// The folder of a recording's objects. Fixed when the recording is created; a later join moves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingPrefix(ObjectKey);

impl RecordingPrefix {
    /// The prefix of a new recording. `session` is the user's id for the conversation; without one the recording's own
    /// id takes its place.
    pub fn new(project: &ProjectId, session: Option<&str>, recording: RecordingId) -> Self {
        let session = session.map_or_else(|| recording.to_string(), session_segment);
        Self(ObjectKey(format!("{}recordings/{session}/{recording}", project_prefix(project))))
    }

    /// Parses a stored prefix.
    pub fn parse(text: impl Into<String>) -> Result<Self, Error> {
        ObjectKey::parse(text).map(Self)
    }

    /// The prefix as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The body of an upload, byte for byte; where something must not be kept of it, its redacted sound alone.
    pub fn upload_body(&self, attempt: u32) -> ObjectKey {
        self.child(attempt, "upload.multipart")
    }

    /// A chunk of the capture log of a room that EchoSphere recorded.
    pub fn log_chunk(&self, attempt: u32, number: u32) -> ObjectKey {
        self.child(attempt, &format!("log/{number:06}.esc"))
    }

    /// A rendered MPEG-TS segment. The revision is part of the key, because a written segment is never rewritten.
    pub fn segment(&self, attempt: u32, rendition: &str, revision: u32, index: u32) -> ObjectKey {
        self.child(attempt, &format!("{rendition}/r{revision}/{index:05}.ts"))
    }

    /// What was measured while rendering (waveform peaks and speech levels), for one revision.
    pub fn analysis(&self, attempt: u32, revision: u32) -> ObjectKey {
        self.child(attempt, &format!("analysis-r{revision}.bin"))
    }

    /// An object of one attempt.
    pub(crate) fn child(&self, attempt: u32, name: &str) -> ObjectKey {
        ObjectKey(format!("{}/{attempt}/{name}", self.0))
    }
}

fn project_prefix(project: &ProjectId) -> String {
    if project.is_default() { String::new() } else { format!("projects/{project}/") }
}

/// The key under which an upload that could not be read at all is kept, byte for byte.
pub fn quarantine(project: &ProjectId, upload: UploadId) -> ObjectKey {
    ObjectKey(format!("{}quarantine/{upload}.multipart", project_prefix(project)))
}

/// The key under which one OTLP request of a LiveKit job is kept as received. `extension` is `json` or `binpb`.
pub fn telemetry(project: &ProjectId, job: &str, signal: &str, upload: UploadId, extension: &str) -> ObjectKey {
    ObjectKey(format!("{}telemetry/{}/{signal}-{upload}.{extension}", project_prefix(project), session_segment(job)))
}

/// The folder of all [`telemetry`] keys of a job.
pub fn telemetry_folder(project: &ProjectId, job: &str) -> ObjectKey {
    ObjectKey(format!("{}telemetry/{}", project_prefix(project), session_segment(job)))
}

/// The key of a recording's sidecar: its rows, from which a database is made whole again.
pub fn sidecar(project: &ProjectId, recording: RecordingId) -> ObjectKey {
    ObjectKey(format!("{}/{recording}.json.gz", sidecar_folder(project).as_str()))
}

/// The folder of all [`sidecar`] keys of a project.
pub fn sidecar_folder(project: &ProjectId) -> ObjectKey {
    ObjectKey(format!("{}sidecars", project_prefix(project)))
}

/// The key under which it is noted that a recording was deleted. It does not name it.
pub fn deleted(project: &ProjectId, recording: RecordingId) -> ObjectKey {
    let name = base32(&Sha256::digest(recording.to_string().as_bytes()));
    ObjectKey(format!("{}/{}.json.gz", deleted_folder(project).as_str(), &name[..26]))
}

/// The folder of all [`deleted`] keys of a project.
pub fn deleted_folder(project: &ProjectId) -> ObjectKey {
    ObjectKey(format!("{}deleted", project_prefix(project)))
}

/// The folder of all objects of a project's recordings.
pub fn recordings_folder(project: &ProjectId) -> ObjectKey {
    ObjectKey(format!("{}recordings", project_prefix(project)))
}

/// The recording that an object of a recording's own folder belongs to.
pub fn recording_of(key: &ObjectKey) -> Option<RecordingId> {
    let mut segments = key.as_str().split('/');
    let first = match segments.next()? {
        // Of a project other than `default`.
        "projects" => segments.nth(1)?,
        first => first,
    };
    (first == "recordings").then(|| segments.nth(1)).flatten()?.parse().ok()
}

/// The recording that a [`sidecar`] is of, by its key.
pub fn of_sidecar(key: &ObjectKey) -> Option<RecordingId> {
    key.as_str().rsplit('/').next()?.strip_suffix(".json.gz")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0193a3a0-1111-7222-8333-444455556666";

    #[test]
    fn a_key_says_which_recording_it_is_of() {
        let recording: RecordingId = "0193a3a0-1111-7222-8333-444455556666".parse().unwrap();
        let other = ProjectId::parse("acme").unwrap();
        for project in [ProjectId::default(), other] {
            let prefix = RecordingPrefix::new(&project, Some("recordings"), recording);
            for key in [prefix.upload_body(3), prefix.log_chunk(1, 2)] {
                assert_eq!(recording_of(&key), Some(recording), "{key}");
            }
            assert_eq!(of_sidecar(&sidecar(&project, recording)), Some(recording));
            assert_eq!(of_sidecar(&deleted(&project, recording)), None);
            assert!(!deleted(&project, recording).as_str().contains("0193a3a0"));
        }
        assert_eq!(recording_of(&ObjectKey::parse("telemetry/x/y").unwrap()), None);
    }

    #[test]
    fn keys_follow_the_documented_layout() {
        let id: RecordingId = ID.parse().unwrap();
        let prefix = RecordingPrefix::new(&ProjectId::default(), Some("AJ_x"), id);
        assert_eq!(prefix.segment(1, "audio", 2, 7).as_str(), format!("recordings/AJ_x/{ID}/1/audio/r2/00007.ts"));
        let acme = ProjectId::parse("acme").unwrap();
        let prefix = RecordingPrefix::new(&acme, None, id);
        assert_eq!(prefix.upload_body(3).as_str(), format!("projects/acme/recordings/{ID}/{ID}/3/upload.multipart"));
    }

    #[test]
    fn base32_agrees_with_rfc_4648() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
    }

    proptest! {
        #[test]
        fn no_session_id_leaves_its_folder(session in ".{0,200}") {
            let id: RecordingId = ID.parse().unwrap();
            let prefix = RecordingPrefix::new(&ProjectId::default(), Some(&session), id);
            let key = prefix.upload_body(1);
            prop_assert!(ObjectKey::parse(key.as_str()).is_ok());
            prop_assert_eq!(key.as_str().split('/').count(), 5);
        }

        #[test]
        fn parsed_keys_are_relative_paths_without_dots(text in "[./a-z%\\\\\0]{0,20}") {
            if let Ok(key) = ObjectKey::parse(text) {
                prop_assert!(!key.as_str().starts_with('/'));
                prop_assert!(key.as_str().split('/').all(|s| !s.is_empty() && s != "." && s != ".."));
            }
        }
    }
}
