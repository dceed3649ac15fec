//! Renditions: the forms in which a recording can be played.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::location::Location;

/// Why a text is not the id of a rendition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a rendition: expected 1 to 32 of a-z, 0-9 and '-'")]
pub struct Error(String);

/// Which rendition of a recording it is; a part of its URL and of its objects' keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RenditionId(String);

impl RenditionId {
    /// Parses an id: 1 to 32 of a-z, 0-9 and `-`.
    pub fn parse(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(is_plain) { Ok(Self(text)) } else { Err(Error(text)) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RenditionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RenditionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RenditionId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl From<RenditionId> for String {
    fn from(id: RenditionId) -> Self {
        id.0
    }
}

/// The container format of a rendition's segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// MPEG-TS (ISO/IEC 13818-1).
    MpegTs,
    /// Fragmented MP4 (ISO/IEC 14496-12), with an init section.
    Fmp4,
}

/// One form in which a recording can be played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// Which it is.
    pub id: RenditionId,
    /// RFC 6381 codecs, for example `mp4a.40.2`.
    pub codecs: String,
    /// The peak bandwidth that is expected, in bits per second.
    pub bandwidth: u64,
    /// What its segments are.
    pub container: Container,
    /// Its init section (`EXT-X-MAP`), if it has one that is stored.
    pub init: Option<Location>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_segment_of_a_path() {
        assert_eq!(RenditionId::parse("audio").unwrap().as_str(), "audio");
        for text in ["", "a/b", "..", "Audio", "a b", &"a".repeat(33)] {
            RenditionId::parse(text).unwrap_err();
        }
    }
}
