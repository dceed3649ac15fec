//! What the answers for playlists and segments of all renditions have in common.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::recording::Recording;
use echosphere_domain::rendition::RenditionId;
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::time::MediaTime;
use echosphere_media::hls;

use crate::http::problem::Problem;
use crate::http::state::App;
use crate::rendering::{Error, PoolError};

/// A playlist.
pub(super) fn playlist(text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The rendition of a path.
pub(super) fn parse_rendition(text: &str) -> Result<RenditionId, Problem> {
    RenditionId::parse(text).map_err(|error| Problem::part_not_found(error.to_string()))
}

/// Refuses AAC where none is made.
pub(super) fn needs_aac(app: &App) -> Result<(), Problem> {
    if app.config.makes_aac() {
        return Ok(());
    }
    Err(Problem::no_aac(
        "this server plays recordings as Opus only: ask for playlist.m3u8?codec=opus, in a browser that takes it. \
         AAC needs a build with the encoder and rendering.when: asked",
    ))
}

/// Whether more segments of a recording will come.
pub(super) fn kind(recording: &Recording) -> hls::Kind {
    if recording.state.status.is_terminal() { hls::Kind::Ended } else { hls::Kind::Growing }
}

/// What a playlist says of segments.
pub(super) fn listed(segments: &[Segment]) -> impl Iterator<Item = hls::Segment> + '_ {
    let mut before = 0;
    segments.iter().map(move |segment| {
        let discontinuity = segment.discontinuity != before;
        before = segment.discontinuity;
        hls::Segment {
            ticks: segment.duration.max(MediaTime::ZERO).ticks().unsigned_abs(),
            wall_millis: segment.wall_start.as_millis(),
            discontinuity,
            gap: matches!(segment.state, SegmentState::Missing { .. }),
            map: None,
        }
    })
}

/// Why a segment cannot be answered.
pub(super) fn problem(error: Error) -> Problem {
    match error {
        Error::Kept(error) => error.into(),
        Error::Pool(PoolError::Full | PoolError::Stopped) => {
            Problem::unavailable("too many segments are asked for at once; try again in a second")
        }
        error => {
            tracing::error!(%error, "a segment cannot be rendered");
            Problem::internal("the segment cannot be rendered; the server's log says more")
        }
    }
}
