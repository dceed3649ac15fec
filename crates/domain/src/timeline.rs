//! Maps wall-clock time to media time and back: by a table of spans, never as "start + offset".
//!
//! Media time skips whatever was not kept (a pause, a restart), so the relation between the two clocks is only
//! piecewise linear. The table has one span for each piece; it is made from the segment index.

use serde::{Deserialize, Serialize};

use crate::time::{MediaTime, WallTime};

/// A part of the timeline in which both clocks run at the same rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The wall-clock time of its first sample.
    pub wall_start: WallTime,
    /// The media time of its first sample.
    pub media_start: MediaTime,
    /// Its length, 0 or more.
    pub duration: MediaTime,
}

impl Span {
    fn wall_end(&self) -> WallTime {
        self.wall_start.plus_nanos(self.duration.as_nanos())
    }

    fn media_end(&self) -> MediaTime {
        self.media_start + self.duration
    }
}

/// Where a wall-clock time is on the media timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The media time.
    pub media: MediaTime,
    /// Whether the time is inside a span. Outside (before the start, in a pause, after the end) `media` is the nearest edge.
    pub exact: bool,
}

/// The table of spans of one recording, ordered, without overlap on either clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline {
    spans: Vec<Span>,
}

impl Timeline {
    /// Makes a timeline of pieces that are given in the order of media time. Pieces that continue their predecessor on both clocks
    /// (to within a millisecond) are merged into it; a piece of no length is dropped.
    pub fn new(pieces: impl IntoIterator<Item = Span>) -> Self {
        const SLACK_NANOS: i64 = 1_000_000;
        let mut spans: Vec<Span> = Vec::new();
        for piece in pieces {
            if piece.duration <= MediaTime::ZERO {
                continue;
            }
            match spans.last_mut() {
                Some(last)
                    if last.media_end() == piece.media_start
                        && piece.wall_start.since(last.wall_end()).abs() <= SLACK_NANOS =>
                {
                    last.duration = last.duration + piece.duration;
                }
                _ => spans.push(piece),
            }
        }
        Self { spans }
    }

    /// The spans.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// From the first wall-clock time that it covers to the last; `None` when there is no media at all.
    pub fn wall(&self) -> Option<std::ops::Range<WallTime>> {
        let start = self.spans.iter().map(|span| span.wall_start).min()?;
        let end = self.spans.iter().map(Span::wall_end).max()?;
        Some(start..end)
    }

    /// Maps a wall-clock time to media time; `None` when there is no media at all.
    pub fn locate(&self, wall: WallTime) -> Option<Position> {
        let after = self.spans.partition_point(|span| span.wall_start <= wall);
        let Some(span) = after.checked_sub(1).and_then(|i| self.spans.get(i)) else {
            return self.spans.first().map(|first| Position { media: first.media_start, exact: false });
        };
        let into = MediaTime::from_nanos(wall.since(span.wall_start));
        if into <= span.duration {
            Some(Position { media: span.media_start + into, exact: true })
        } else {
            Some(Position { media: span.media_end(), exact: false })
        }
    }

    /// Maps a media time to the wall clock; outside the table the nearest span is extended.
    pub fn wall_at(&self, media: MediaTime) -> Option<WallTime> {
        let after = self.spans.partition_point(|span| span.media_start <= media);
        let span = self.spans.get(after.saturating_sub(1))?;
        Some(span.wall_start.plus_nanos((media - span.media_start).as_nanos()))
    }
}

#[cfg(test)]
mod tests;
