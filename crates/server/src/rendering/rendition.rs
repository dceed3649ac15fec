//! The rendition of every recording with sound: AAC in MPEG-TS.

use echosphere_domain::rendition::{Container, Rendition, RenditionId};

/// Its id, as every version has written it.
const ID: &str = "audio";
/// AAC-LC (RFC 6381).
const CODECS: &str = "mp4a.40.2";
/// A little more than the 64 kb/s encoder makes in MPEG-TS, in bits per second.
const BANDWIDTH: u64 = 80_000;

/// Its id.
pub fn aac_id() -> RenditionId {
    RenditionId::parse(ID).expect("it is one")
}

/// What is rendered.
pub fn aac() -> Rendition {
    Rendition {
        id: aac_id(),
        codecs: CODECS.to_owned(),
        bandwidth: BANDWIDTH,
        container: Container::MpegTs,
        init: None,
    }
}
