//! Media segments: their place on the timeline, and whether and where their bytes are stored.

use serde::{Deserialize, Serialize};

use crate::id::CaptureId;
use crate::key::ObjectKey;
use crate::location::Location;
use crate::time::{MediaTime, WallTime};
use crate::timeline::{Span, Timeline};

/// Whether a segment's bytes are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// Not stored yet; it can be rendered from the capture's kept master.
    Renderable,
    /// Stored there. Several segments may share one object.
    Stored(Location),
    /// Neither stored nor renderable: listed as a gap (RFC 8216bis section 4.4.4.7), never left out.
    Missing {
        /// Why: one of the values of `gaps[].reason`.
        reason: String,
    },
}

impl SegmentState {
    /// The object of ours that the segment is in, if it is in one.
    pub fn own(&self) -> Option<&ObjectKey> {
        match self {
            Self::Stored(location) => location.own(),
            Self::Renderable | Self::Missing { .. } => None,
        }
    }
}

/// One media segment of one rendition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The capture that it is rendered from.
    pub capture: CaptureId,
    /// Its position in that capture's own frame grid, from 0.
    pub capture_index: u32,
    /// Its position in the playlist, from 0: the media sequence number.
    pub index: u32,
    /// How many discontinuities come before it.
    pub discontinuity: u32,
    /// Where it begins on the recording's media timeline.
    pub media_start: MediaTime,
    /// How long it is.
    pub duration: MediaTime,
    /// The wall-clock time of its first sample.
    pub wall_start: WallTime,
    /// RFC 6381 codecs, for example `mp4a.40.2`.
    pub codecs: String,
    /// Whether its bytes are stored, and where.
    pub state: SegmentState,
}

/// The timeline that a segment list defines.
pub fn timeline(segments: &[Segment]) -> Timeline {
    Timeline::new(segments.iter().map(|segment| Span {
        wall_start: segment.wall_start,
        media_start: segment.media_start,
        duration: segment.duration,
    }))
}
