//! The renditions: AAC in MPEG-TS of every recording with sound, and Opus in fragmented MP4 where masters are that.

use echosphere_domain::rendition::{Container, Rendition, RenditionId};

/// The id of the AAC rendition, as every version has written it.
const ID: &str = "audio";
/// AAC-LC (RFC 6381).
const CODECS: &str = "mp4a.40.2";
/// A little more than the 64 kb/s encoder makes in MPEG-TS, in bits per second.
const BANDWIDTH: u64 = 80_000;

/// The id of the Opus rendition.
const OPUS_ID: &str = "opus";
/// What most SDKs send at the most, with the boxes around it, in bits per second.
const OPUS_BANDWIDTH: u64 = 160_000;

/// The id of what is rendered.
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

/// The id of what is cut from masters.
pub fn opus_id() -> RenditionId {
    RenditionId::parse(OPUS_ID).expect("it is one")
}

/// What is cut from masters that are Opus, without rendering them. Nothing of it is stored.
pub fn opus() -> Rendition {
    Rendition {
        id: opus_id(),
        codecs: "opus".to_owned(),
        bandwidth: OPUS_BANDWIDTH,
        container: Container::Fmp4,
        init: None,
    }
}
