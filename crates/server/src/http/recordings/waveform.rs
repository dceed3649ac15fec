//! `GET /v1/recordings/{id}/waveform`: peaks in the JSON format (version 2) of the audiowaveform tool.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use echosphere_domain::segment::SegmentState;
use echosphere_media::peaks::{CHANNELS, Waveform};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::access::{Signed, Viewer};
use crate::http::problem::Problem;
use crate::http::state::SharedApp;
use crate::rendering::{Analysis, CaptureAnalysis};

/// The resolution.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Params {
    /// How many pixels at the most: 1 to 100000.
    #[param(minimum = 1, maximum = 100_000, default = 1000)]
    pixels: Option<usize>,
}

/// A waveform: channel 0 is the agent, channel 1 everybody else.
#[derive(Debug, Serialize, ToSchema)]
pub struct Body {
    version: u8,
    channels: usize,
    sample_rate: u32,
    samples_per_pixel: u32,
    bits: u8,
    length: usize,
    /// For each pixel the lowest and the highest value of the first channel, then of the second.
    data: Vec<i8>,
}

/// The answer while there are no peaks yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct Progress {
    /// Always `rendering`.
    status: &'static str,
    /// 0 to 1.
    progress: f64,
}

/// The waveform.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/waveform", tag = "playback", operation_id = "getWaveform",
    params(("id" = String, Path, description = "The recording's id"), Params, Signed),
    responses(
        (status = 200, description = "Peaks (audiowaveform JSON, version 2); while the call goes on those of what can be heard so far", body = Body),
        (status = 202, description = "They are being made; ask again", body = Progress),
        (status = 404, description = "No such recording, or it has no sound", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
    params: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(params) = params.map_err(|error| Problem::bad_parameter(error.body_text()))?;
    let pixels = params.pixels.unwrap_or(1000);
    if !(1..=100_000).contains(&pixels) {
        return Err(Problem::bad_parameter(format!("pixels is {pixels}; it must be from 1 to 100000")));
    }
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    if !super::has_sound(&recording) {
        return Err(Problem::part_not_found("the recording has no sound"));
    }
    if let Some(so_far) =
        app.recorder.registry.waveform(recording.id, pixels).filter(|_| !recording.state.status.is_terminal())
    {
        return Ok(Json(Body::of(so_far)).into_response());
    }
    let Some(key) = app.store.analysis(recording.id).await? else {
        let segments = app.store.segment_index(recording.id).await?;
        let waiting = segments.iter().filter(|segment| segment.state == SegmentState::Renderable).count();
        return Ok(under_way(1.0 - waiting as f64 / segments.len().max(1) as f64));
    };
    let bytes = app.objects.get(&key).await?;
    let analysis = Analysis::from_bytes(&bytes).ok_or_else(|| {
        tracing::error!(%key, "the stored peaks cannot be read");
        Problem::internal("the stored peaks cannot be read")
    })?;
    if analysis.captures.iter().any(CaptureAnalysis::lacks_peaks) {
        let heard = app.store.segment_index(recording.id).await?;
        if heard.iter().any(|segment| analysis.of(segment.capture).is_some_and(CaptureAnalysis::lacks_peaks)) {
            return Ok(under_way(app.rendering.draw(recording, captures, key)));
        }
    }
    Ok(Json(Body::of(Waveform::new(&analysis.peaks(), pixels))).into_response())
}

fn under_way(progress: f64) -> Response {
    (StatusCode::ACCEPTED, Json(Progress { status: "rendering", progress })).into_response()
}

impl Body {
    fn of(waveform: Waveform) -> Self {
        Self {
            version: 2,
            channels: CHANNELS,
            sample_rate: echosphere_media::SAMPLE_RATE,
            samples_per_pixel: waveform.samples_per_pixel,
            bits: 8,
            length: waveform.length(),
            data: waveform.data,
        }
    }
}
