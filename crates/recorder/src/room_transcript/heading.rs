//! Reads the header of a text stream: which line the stream carries, and how.

use livekit_protocol::data_stream::Header;

/// The line that a text stream carries (livekit-agents, `TextOutput`).
pub(crate) struct Heading<'h> {
    /// Whether it was spoken (`lk.transcription`) rather than typed (`lk.chat`).
    pub is_spoken: bool,
    /// What texts of the same line have in common.
    pub segment: &'h str,
    /// The track in which it was spoken.
    pub track: Option<&'h str>,
    /// Whether the text is final rather than interim.
    pub is_final: bool,
}

impl<'h> Heading<'h> {
    /// Reads a header; `None` on topics that carry no lines.
    pub fn of(header: &'h Header) -> Option<Self> {
        let is_spoken = header.topic == "lk.transcription";
        if !is_spoken && header.topic != "lk.chat" {
            return None;
        }
        let attribute = |name: &str| header.attributes.get(name).map(String::as_str);
        Some(Self {
            is_spoken,
            segment: attribute("lk.segment_id").unwrap_or(&header.stream_id),
            track: attribute("lk.transcribed_track_id"),
            is_final: attribute("lk.transcription_final") != Some("false"),
        })
    }
}
