//! What LiveKit's own worker wrote (`testdata/egress`).

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

/// What a recorded egress wrote.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its segments, in order.
    pub segments: Vec<Segment>,
    /// Its file, `call.ogg`.
    pub file: Option<Bytes>,
}

/// A segment.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its length, to the millisecond, as its playlist says.
    pub length: Duration,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Recorded {
    /// Reads a folder of `testdata/egress`: the segments that its `playlist.m3u8` lists, or its file.
    pub fn load(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/egress").join(name);
        let read = |file: &str| {
            let path = folder.join(file);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        if folder.join("call.ogg").exists() {
            return Self { segments: Vec::new(), file: Some(read("call.ogg").into()) };
        }
        let text = String::from_utf8(read("playlist.m3u8")).unwrap();
        let mut length = Duration::ZERO;
        let mut segments = Vec::new();
        for line in text.lines() {
            if let Some(seconds) = line.strip_prefix("#EXTINF:") {
                length = Duration::from_secs_f64(seconds.trim_end_matches(',').parse().unwrap());
            } else if !line.starts_with('#') {
                segments.push(Segment { length, bytes: read(line).into() });
            }
        }
        assert!(!segments.is_empty(), "{name} has no segments");
        Self { segments, file: None }
    }

    /// When a segment is full, of the time since the first packet.
    pub fn end_of(&self, number: usize) -> Duration {
        self.segments[..=number].iter().map(|segment| segment.length).sum()
    }
}
