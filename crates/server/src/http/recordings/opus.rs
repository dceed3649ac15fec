//! The Opus rendition: its playlists, init sections and segments, made when they are asked for.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_media::hls;
use serde::Deserialize;
use utoipa::IntoParams;

use super::hls_answer::{kind, listed, parse_rendition, playlist, problem};
use crate::clock;
use crate::http::access::{Caller, Signed, Viewer};
use crate::http::problem::Problem;
use crate::http::state::{App, SharedApp};
use crate::rendering::{Cut, Error, Opus, aac_id, opus, opus_id};

/// What a playlist says of something that it names, so that it stays the same.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Named {
    /// The revision whose playlist names it: in another one it may be something else, and answers are kept. Without it, the current one.
    r: Option<u32>,
    /// The capture that it is of. Where it still is, who plays an earlier revision is answered from the current one.
    c: Option<u32>,
}

impl Named {
    /// Refuses what another revision named, unless it is still of the same capture.
    fn check(&self, recording: &Recording, capture: Option<&Capture>) -> Result<(), Problem> {
        let is_current = self.r.is_none_or(|asked| asked == recording.state.revision);
        if is_current || (self.c.is_some() && self.c == capture.map(|capture| capture.attempt)) {
            return Ok(());
        }
        Err(Problem::part_not_found("the recording has changed; its playlist names what is there"))
    }
}

/// The multivariant playlist; `None` when not all of the recording can be played in Opus.
pub(super) async fn multivariant(
    app: &App,
    caller: &Caller,
    recording: &Recording,
    captures: &[Capture],
) -> Result<Option<Response>, Problem> {
    if find(app, recording, captures).await?.is_none() {
        return Ok(None);
    }
    let rendition = opus();
    let signature = super::link_signature(app, caller, recording);
    Ok(Some(playlist(hls::multivariant(hls::Variant {
        uri: &format!("renditions/{}/playlist.m3u8?sig={signature}", rendition.id),
        bandwidth: rendition.bandwidth,
        average_bandwidth: rendition.bandwidth,
        codecs: &rendition.codecs,
    }))))
}

/// The media playlist. What it names is cut when it is asked for, so all addresses are our own.
pub(super) async fn media(
    app: &App,
    caller: &Caller,
    recording: &Recording,
    captures: &[Capture],
) -> Result<Response, Problem> {
    let (segments, opus) = found(app, recording, captures).await?;
    let listed: Vec<_> = listed(&segments).zip(&segments).map(|(aac, segment)| opus.listed(segment, aac)).collect();
    let signature = super::link_signature(app, caller, recording);
    Ok(playlist(hls::media(kind(recording), &listed, &mut |address, out| {
        let capture = match address {
            hls::Address::Segment(position) => {
                out.push_str(&format!("segments/{}.m4s", segments[position].index));
                Some(segments[position].capture)
            }
            hls::Address::Init(number) => {
                out.push_str(&format!("init-{number}.mp4"));
                opus.capture(number)
            }
        };
        let attempt = capture.and_then(|id| of(captures, id)).map_or(0, |capture| capture.attempt);
        out.push_str(&format!("?r={}&c={attempt}&sig={signature}", recording.state.revision));
    })))
}

/// An init section of the Opus rendition.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/renditions/{rendition}/{init}", tag = "playback", operation_id = "getInitSection",
    params(
        ("id" = String, Path, description = "The recording's id"),
        ("rendition" = String, Path, description = "The rendition: opus"),
        ("init" = String, Path, description = "init- and its number, with .mp4 after it", example = "init-0.mp4"),
        Named,
        Signed,
    ),
    responses(
        (status = 200, description = "The init section (ISO/IEC 14496-12)", content_type = "audio/mp4", body = Vec<u8>),
        (status = 403, description = "The link is not valid (any more)", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such init section", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn init(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path((id, rendition, init)): Path<(String, String, String)>,
    named: Result<Query<Named>, QueryRejection>,
) -> Result<Response, Problem> {
    let none = || Problem::part_not_found("there is no such init section; the playlist names those that are there");
    let Query(named) = named.map_err(|error| Problem::bad_parameter(error.body_text()))?;
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    if parse_rendition(&rendition)? != opus_id() {
        return Err(none());
    }
    let number =
        init.strip_prefix("init-").and_then(|rest| rest.strip_suffix(".mp4")?.parse().ok()).ok_or_else(none)?;
    let (_, opus) = found(&app, &recording, &captures).await?;
    named.check(&recording, opus.capture(number).and_then(|id| of(&captures, id)))?;
    Ok(mp4(&app, &caller, &recording, opus.init(number).ok_or_else(none)?))
}

/// A segment, cut from the master.
pub(super) async fn segment(
    app: &App,
    caller: &Caller,
    recording: &Recording,
    captures: &[Capture],
    segment: &Segment,
    named: &Named,
) -> Result<Response, Problem> {
    named.check(recording, of(captures, segment.capture))?;
    let none = || Problem::part_not_found("there is no such segment; the playlist lists those that are there");
    let opus = cutter(app, recording, captures, std::slice::from_ref(segment)).await?;
    let opus = opus.filter(|_| !matches!(segment.state, SegmentState::Missing { .. })).ok_or_else(none)?;
    let made = match opus.segment(&app.rendering, segment).await {
        Ok(Some(Cut::Made(bytes))) => Ok(bytes),
        Ok(Some(Cut::Live(number))) => {
            // Between its end and its first revision nobody has the room.
            let live = app.recorder.registry.opus_segment(recording.id, number).await;
            live.ok_or_else(|| Problem::unavailable("the room has just ended; try again in a second"))?
        }
        Ok(None) => return Err(none()),
        Err(error) => Err(error),
    };
    match made {
        Ok(bytes) => Ok(mp4(app, caller, recording, bytes)),
        Err(Error::MasterLost(_)) => Err(none()),
        Err(error) => Err(problem(error)),
    }
}

fn of(captures: &[Capture], id: CaptureId) -> Option<&Capture> {
    captures.iter().find(|capture| capture.id == id)
}

/// What cuts these segments.
async fn cutter(
    app: &App,
    recording: &Recording,
    captures: &[Capture],
    segments: &[Segment],
) -> Result<Option<Opus>, Problem> {
    let live_ms = app.recorder.config.segment_duration.as_millis() as u64;
    app.rendering.opus(recording, captures, segments, live_ms).await.map_err(problem)
}

/// A recording's segments with what cuts them, if all of it can be played in Opus.
async fn find(app: &App, recording: &Recording, captures: &[Capture]) -> Result<Option<(Vec<Segment>, Opus)>, Problem> {
    let segments = app.store.segments(recording.id, &aac_id()).await?;
    let opus = cutter(app, recording, captures, &segments).await?;
    Ok(opus.map(|opus| (segments, opus)))
}

async fn found(app: &App, recording: &Recording, captures: &[Capture]) -> Result<(Vec<Segment>, Opus), Problem> {
    let found = find(app, recording, captures).await?;
    found.ok_or_else(|| Problem::part_not_found("the recording cannot be played in Opus; there is the rendition audio"))
}

/// What follows from a master and a revision for ever, and may be kept for an hour, but no longer than what it was asked for with.
fn mp4(app: &App, caller: &Caller, recording: &Recording, bytes: Vec<u8>) -> Response {
    let left = super::validity(app, caller, recording).end().since(clock::now()) / 1_000_000_000;
    let cached = format!("private, max-age={}", left.clamp(0, 3_600));
    ([(header::CONTENT_TYPE, "audio/mp4".to_owned()), (header::CACHE_CONTROL, cached)], bytes).into_response()
}
