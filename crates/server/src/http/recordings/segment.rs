//! `GET /v1/recordings/{id}/renditions/{rendition}/segments/{n}.ts`: one segment, rendered if need be.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::segment::{Segment, SegmentState};

use super::hls_answer::{needs_aac, parse_rendition, problem};
use super::opus::{self, Named};
use crate::http::access::{Caller, Signed, Viewer};
use crate::http::problem::Problem;
use crate::http::state::{App, SharedApp};
use crate::playback;
use crate::rendering::{Priority, Rendered, aac_id, opus_id};

/// Redirects to a segment in object storage. A segment that is not stored yet is rendered from the kept master first; one that
/// lies in a gap is silence, which is not stored.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/renditions/{rendition}/segments/{segment}", tag = "playback",
    operation_id = "getSegment",
    params(
        ("id" = String, Path, description = "The recording's id"),
        ("rendition" = String, Path, description = "The rendition: audio, or opus where there is one"),
        ("segment" = String, Path, description = "The segment's number, from 0, with .ts after it; of opus, .m4s", example = "0.ts"),
        Named,
        Signed,
    ),
    responses(
        (status = 200, description = "The segment itself: silence, or one that was stored before storage.url was changed (MPEG-TS), or Opus (fragmented MP4)", content_type = "video/mp2t", body = Vec<u8>),
        (status = 302, description = "Where the segment is"),
        (status = 403, description = "The link is not valid (any more)", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such segment", body = Problem, content_type = "application/problem+json"),
        (status = 501, description = "The server makes no AAC", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be rendered now", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path((id, rendition, segment)): Path<(String, String, String)>,
    named: Result<Query<Named>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    let rendition = parse_rendition(&rendition)?;
    let none = || Problem::part_not_found("there is no such segment; the playlist lists those that are there");
    let number = |suffix| segment.strip_suffix(suffix)?.parse::<u32>().ok();
    if rendition == opus_id() {
        let number = number(".m4s").ok_or_else(none)?;
        let segment = app.store.segment(recording.id, &aac_id(), number).await?.ok_or_else(none)?;
        let Query(named) = named.map_err(|error| Problem::bad_parameter(error.body_text()))?;
        return opus::segment(&app, &caller, &recording, &captures, &segment, &named).await;
    }
    needs_aac(&app)?;
    let number = number(".ts").ok_or_else(none)?;
    let segment = app.store.segment(recording.id, &rendition, number).await?.ok_or_else(none)?;
    let rendered = match segment.state.own() {
        // A stored object that has disappeared is rendered again from the master.
        Some(key) if app.objects.head(key).await?.is_some() => Some(Rendered::Stored(key.clone())),
        _ if matches!(segment.state, SegmentState::Missing { .. }) => None,
        _ => rendered(&app, &recording, captures, &segment).await?,
    };
    match rendered {
        // For a place of before no URLs are signed.
        Some(Rendered::Stored(key)) if !app.objects.elsewhere(std::slice::from_ref(&key)).await?.is_empty() => {
            Ok(mpeg_ts(app.objects.get(&key).await?))
        }
        Some(Rendered::Stored(key)) => redirect(&app, &headers, &caller, &recording, &key).await,
        Some(Rendered::Silence(ts)) => Ok(mpeg_ts(ts.into())),
        None => Err(Problem::part_not_found("the segment is lost; the playlist lists it as a gap")),
    }
}

/// Renders a segment, and begins with those after it.
async fn rendered(
    app: &App,
    recording: &Recording,
    captures: Vec<Capture>,
    segment: &Segment,
) -> Result<Option<Rendered>, Problem> {
    let is_live = captures.iter().any(|capture| capture.id == segment.capture && capture.is_going_on());
    if is_live {
        let made = app.recorder.registry.aac_segment(recording, segment).await;
        // Between its end and its first revision nobody has the room.
        let made = made.ok_or_else(|| Problem::unavailable("the room has just ended; try again in a second"))?;
        return made.map(Some).map_err(problem);
    }
    let made = app.rendering.render_now(recording, &captures, segment, Priority::Interactive).await;
    let made = made.map_err(problem)?;
    app.rendering.render_ahead(recording.clone(), captures, segment.index);
    Ok(made)
}

fn mpeg_ts(ts: Bytes) -> Response {
    let kind = HeaderValue::from_static("video/mp2t");
    let no_store = HeaderValue::from_static("no-store");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, no_store)], ts).into_response()
}

async fn redirect(
    app: &App,
    headers: &HeaderMap,
    caller: &Caller,
    recording: &Recording,
    key: &ObjectKey,
) -> Result<Response, Problem> {
    let base = app.base_url(headers);
    let signing = playback::signing(&app.presigner, &base, super::validity(app, caller, recording)).await;
    let signing = signing.map_err(|error| Problem::internal(error.to_string()))?;
    let mut url = String::new();
    signing.get(key, &mut url);
    let location = HeaderValue::from_str(&url).map_err(|error| Problem::internal(error.to_string()))?;
    let no_store = HeaderValue::from_static("no-store");
    Ok((StatusCode::FOUND, [(header::LOCATION, location), (header::CACHE_CONTROL, no_store)]).into_response())
}
