//! The HLS playlists of a recording, written from its segment index when they are requested.

use std::collections::HashSet;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::recording::Recording;
use echosphere_domain::rendition::RenditionId;
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_media::hls;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::hls_answer::{kind, listed, needs_aac, parse_rendition, playlist};
use super::opus;
use super::reload::{self, Reload};
use crate::http::access::{Caller, Signed, Viewer};
use crate::http::problem::Problem;
use crate::http::state::{App, SharedApp};
use crate::playback;
use crate::rendering::opus_id;

/// In which codec a recording is to be played.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Codec {
    /// `opus`: as it was sent, in fragmented MP4, where all of it can be played so; else, and without it, AAC in MPEG-TS.
    codec: Option<Wanted>,
}

/// A codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Aac,
    Opus,
}

/// The multivariant playlist: one variant.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/playlist.m3u8", tag = "playback", operation_id = "getPlaylist",
    params(("id" = String, Path, description = "The recording's id"), Codec, Signed),
    responses(
        (status = 200, description = "A multivariant playlist (RFC 8216)", content_type = "application/vnd.apple.mpegurl", body = String),
        (status = 403, description = "The link is not valid (any more)", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such recording, or it has no sound", body = Problem, content_type = "application/problem+json"),
        (status = 501, description = "It cannot be played in Opus, and the server makes no AAC", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn multivariant(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
    codec: Result<Query<Codec>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(codec) = codec.map_err(|error| Problem::bad_parameter(error.body_text()))?;
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    if codec.codec == Some(Wanted::Opus)
        && let Some(playlist) = opus::multivariant(&app, &caller, &recording, &captures).await?
    {
        return Ok(playlist);
    }
    needs_aac(&app)?;
    let rendition = app.store.renditions(recording.id).await?.into_iter().next().ok_or_else(no_sound)?;
    let segments = segments(&app, &recording, &rendition.id).await?;
    let rates = segments.iter().filter_map(|segment| match &segment.state {
        SegmentState::Stored(Location { range: Some(range), .. }) => {
            Some((range.length, segment.duration.ticks().unsigned_abs().max(1)))
        }
        SegmentState::Stored(_) | SegmentState::Renderable | SegmentState::Missing { .. } => None,
    });
    let (mut peak, mut bytes, mut ticks) = (0, 0, 0);
    for (length, duration) in rates {
        peak = peak.max(length * 8 * 90_000 / duration);
        (bytes, ticks) = (bytes + length, ticks + duration);
    }
    let average = (bytes * 8 * 90_000).checked_div(ticks).unwrap_or(rendition.bandwidth);
    let signature = super::link_signature(&app, &caller, &recording);
    let text = hls::multivariant(hls::Variant {
        uri: &format!("renditions/{}/playlist.m3u8?sig={signature}", rendition.id),
        bandwidth: peak.max(rendition.bandwidth),
        average_bandwidth: average,
        codecs: &rendition.codecs,
    });
    Ok(playlist(text))
}

/// The segments of a rendition, which there are.
async fn segments(app: &App, recording: &Recording, rendition: &RenditionId) -> Result<Vec<Segment>, Problem> {
    let segments = app.store.segments(recording.id, rendition).await?;
    if !segments.is_empty() {
        return Ok(segments);
    }
    let there = app.store.renditions(recording.id).await?;
    if there.is_empty() || there.iter().any(|known| known.id == *rendition) {
        return Err(no_sound());
    }
    let there: Vec<_> = there.iter().map(|known| known.id.as_str()).collect();
    Err(no_rendition(rendition.as_str(), &there.join(", ")))
}

fn no_sound() -> Problem {
    Problem::part_not_found("the recording has no sound (yet); its transcript may be there")
}

fn no_rendition(wanted: &str, there: &str) -> Problem {
    let shown: String = wanted.chars().take(64).collect();
    Problem::part_not_found(format!("there is no rendition {shown:?}; there is {there}"))
}

/// A rendition's media playlist: what is stored at presigned addresses, what is not yet at our own route. Of a room that goes on
/// it can be asked for with a segment that is still to come.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/renditions/{rendition}/playlist.m3u8", tag = "playback",
    operation_id = "getRenditionPlaylist",
    params(
        ("id" = String, Path, description = "The recording's id"),
        ("rendition" = String, Path, description = "The rendition: audio, or opus where there is one"),
        Signed,
        Reload,
    ),
    responses(
        (status = 200, description = "A media playlist (RFC 8216)", content_type = "application/vnd.apple.mpegurl", body = String),
        (status = 400, description = "The segment is further away than the next but one", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The link is not valid (any more)", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such recording or rendition", body = Problem, content_type = "application/problem+json"),
        (status = 501, description = "The server makes no AAC", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn media(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path((id, rendition)): Path<(String, String)>,
    reload: Result<Query<Reload>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(reload) = reload.map_err(|error| Problem::bad_parameter(error.body_text()))?;
    let rendition = parse_rendition(&rendition)?;
    let (mut recording, mut captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    if let Some(msn) = reload.msn {
        reload::wait_for(msn, &app, &recording).await?;
        // The caller's credential may have ended in the meantime.
        check_still_good(&app, &caller).await?;
        (recording, captures) = super::find(&app, &caller, recording.id).await?;
    }
    if rendition == opus_id() {
        return opus::media(&app, &caller, &recording, &captures).await;
    }
    needs_aac(&app)?;
    let segments = segments(&app, &recording, &rendition).await?;
    let base = app.base_url(&headers);
    let signing = playback::signing(&app.presigner, &base, super::validity(&app, &caller, &recording)).await;
    let signing = signing.map_err(|error| {
        tracing::error!(%error, "no URL can be presigned; set public_url");
        Problem::internal("the server's address cannot be signed; its log says more")
    })?;
    let route = format!("{base}/v1/recordings/{}/renditions/{rendition}/segments/", recording.id);
    let signature = super::link_signature(&app, &caller, &recording);
    let elsewhere = elsewhere(&app, &segments).await?;
    let listed: Vec<_> = listed(&segments).collect();
    let text = hls::media(kind(&recording), &listed, &mut |address, out| {
        let hls::Address::Segment(position) = address else { return };
        // An address of ours leads to a long one, and to what is in a place of before.
        match segments[position].state.own() {
            Some(key) if !signing.is_long() && !elsewhere.contains(key) => signing.get(key, out),
            _ => out.push_str(&format!("{route}{}.ts?sig={signature}", segments[position].index)),
        }
    });
    Ok(playlist(text))
}

/// The objects of segments that are in places of before, for which no URLs are signed.
async fn elsewhere(app: &App, segments: &[Segment]) -> Result<HashSet<ObjectKey>, Problem> {
    if !app.objects.are_elsewhere() {
        return Ok(HashSet::new());
    }
    let keys: Vec<_> = segments.iter().filter_map(|segment| segment.state.own().cloned()).collect();
    Ok(app.objects.elsewhere(&keys).await?.into_iter().collect())
}

async fn check_still_good(app: &App, caller: &Caller) -> Result<(), Problem> {
    if caller.is_still_good(app).await? {
        return Ok(());
    }
    Err(match caller.link() {
        Some(_) => Problem::forbidden("the link has expired; get a new one from the recording"),
        None => Problem::unauthorized("the credentials have expired"),
    })
}
