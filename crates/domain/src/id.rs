//! Identifiers: one type per meaning, parsed at the boundary and trusted inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a UUID in its canonical, hyphenated form.
    #[error("{0:?} is not a {1} id: expected a hyphenated UUID")]
    Uuid(String, &'static str),
    /// Not a project name.
    #[error("{0:?} is not a project name: expected 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit")]
    Project(String),
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that was minted as a version 7 UUID (RFC 9562 section 5.7): time-ordered, so that rows and
            /// keys of one day are close together. It identifies; it is not a secret.
            pub fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Only the canonical form: 36 characters, lower case, hyphenated. Other spellings of the same id would be
            /// further URLs of the same thing.
            fn from_str(text: &str) -> Result<Self, Error> {
                let id = Uuid::try_parse(text).map(Self).map_err(|_| Error::Uuid(text.to_owned(), $what))?;
                if id.to_string() == text { Ok(id) } else { Err(Error::Uuid(text.to_owned(), $what)) }
            }
        }
    };
}

uuid_id!(
    /// A recording: what a user sees.
    RecordingId,
    "recording"
);
uuid_id!(
    /// A capture: one attempt to record a recording, from one source.
    CaptureId,
    "capture"
);
uuid_id!(
    /// One request body received from the agents SDK, whole or cut off.
    UploadId,
    "upload"
);
uuid_id!(
    /// A process of EchoSphere, the same from start to start: who owns a room that is being recorded, or has a task.
    NodeId,
    "node"
);
uuid_id!(
    /// A unit of background work. (LiveKit's own word *job* is kept for the agent's job.)
    TaskId,
    "task"
);

/// The project that data belongs to. Every row of a user's data has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectId(String);

impl ProjectId {
    /// The project that exists when none is configured.
    pub const DEFAULT: &'static str = "default";

    /// Parses a project name: 1 to 63 characters of `a-z`, `0-9`, `-`, `_`, beginning with a letter or digit.
    pub fn parse(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if first && rest && name.len() <= 63 { Ok(Self(name)) } else { Err(Error::Project(name)) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the project `default`, whose object keys carry no project prefix.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl Default for ProjectId {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ProjectId {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::parse(name)
    }
}

impl From<ProjectId> for String {
    fn from(id: ProjectId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_of_a_uuid_is_an_id() {
        let text = "0193a3a0-1111-7222-8333-444455556666";
        assert_eq!(text.parse::<RecordingId>().unwrap().to_string(), text);
        for other in ["0193A3A0-1111-7222-8333-444455556666", "0193a3a0111172228333444455556666", "../../etc", ""] {
            assert!(other.parse::<RecordingId>().is_err(), "{other}");
        }
    }

    #[test]
    fn project_names_are_safe_in_keys_and_urls() {
        for good in ["default", "acme", "a-b_c9", "9lives"] {
            assert!(ProjectId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Acme", "a/b", "..", "-a", "a b", &"x".repeat(64)] {
            assert!(ProjectId::parse(bad).is_err(), "{bad}");
        }
    }
}
