//! `GET /v1/recordings/{id}/tracks/{track_id}.ogg`: one participant's track, without re-encoding, as an Ogg/Opus file.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use echosphere_domain::id::RecordingId;
use echosphere_domain::recording::{Capture, Recording, Source, Track};
use echosphere_media::aac::FRAME;
use echosphere_media::grid::Grid;
use echosphere_recorder::clock::samples;
use echosphere_recorder::log::chunk;
use echosphere_recorder::sound::{Index, TrackFile};
use futures_util::stream;

use crate::clock::rfc3339;
use crate::http::access::{Signed, Viewer};
use crate::http::problem::Problem;
use crate::http::state::{App, SharedApp};
use crate::names;
use crate::rendering::Kept;

/// The longest file name that is proposed, in characters, without `.ogg`.
const LONGEST_NAME: usize = 120;

/// A participant's track as Ogg/Opus, without re-encoding. What is heard of it begins at media time 0 of the recording; where
/// nothing was said or came, there is silence; it ends where `tracks` of the recording says. Of a room that goes on: what is kept so far.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/tracks/{track}", tag = "playback", operation_id = "getTrack",
    params(
        ("id" = String, Path, description = "The recording's id"),
        ("track" = String, Path, description = "The track's id, with .ogg after it", example = "TR_AMbcdefgh.ogg"),
        Signed,
    ),
    responses(
        (status = 200, description = "The track (RFC 7845)", content_type = "audio/ogg", body = Vec<u8>),
        (status = 403, description = "The link is not valid (any more)", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such recording or track", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path((id, track)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    let none =
        || Problem::part_not_found("there is no such track; `tracks` of the recording lists those that are there");
    let track = track.strip_suffix(".ogg").ok_or_else(none)?;
    let tracks = super::tracks(&app, &recording);
    let track = tracks.into_iter().find(|known| known.id == track).ok_or_else(none)?;
    let capture = captures.into_iter().find(|capture| capture.source == Source::Recorder).ok_or_else(none)?;
    let index = index(&app, &recording, &capture).await?.ok_or_else(none)?;
    let offset = offset(&app, &recording, &capture).await?;
    let until = samples(track.started_at.as_nanos().saturating_sub(index.zero)) + track.duration.as_samples_48k();
    let file = TrackFile::new(&index, &track.id, offset, until, comments(&recording, &track)).ok_or_else(none)?;
    let name = file_name(&recording, &track);
    let kept = Kept::of(&recording, &capture).ok_or_else(none)?;
    let id = recording.id;
    let reading = Reading { app, id, kept, horizons: index.horizons(), chunk: 0, file: Some(file), has_more: false };
    let body = Body::from_stream(stream::try_unfold(reading, |mut reading| async move {
        let piece = reading.next().await.inspect_err(|error| {
            tracing::warn!(recording = %reading.id, %error, "a track cannot be read to its end");
        })?;
        Ok::<_, crate::error::Error>(piece.map(|piece| (piece, reading)))
    }));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/ogg"));
    headers.insert(header::CONTENT_DISPOSITION, disposition(&name));
    Ok(response)
}

/// Where the streams of a capture log lie: as known so far while its room goes on, else as found out when it ended.
async fn index(app: &App, recording: &Recording, capture: &Capture) -> Result<Option<Index>, Problem> {
    if let Some(index) = app.recorder.registry.index(recording.id) {
        return Ok(Some(index));
    }
    let bytes = app.store.audio_index(capture.id).await?;
    Ok(bytes.and_then(|bytes| Index::from_bytes(&bytes)))
}

/// How far the beginning of the capture log lies after media time 0, in samples, by the log's first segment in the segment index.
async fn offset(app: &App, recording: &Recording, capture: &Capture) -> Result<i64, Problem> {
    let segments = app.store.segment_index(recording.id).await?;
    let first = segments.iter().find(|segment| segment.capture == capture.id);
    let (Some(first), Some(audio)) = (first, &capture.audio) else { return Ok(0) };
    let frames = Grid::new(audio.samples, u64::from(audio.segment_ms)).segment(first.capture_index);
    let into = i64::try_from(frames.start.saturating_mul(FRAME as u64)).unwrap_or(0);
    Ok(first.media_start.as_samples_48k().saturating_sub(into))
}

/// A track that is being read, one chunk of the log at a time.
struct Reading {
    app: SharedApp,
    id: RecordingId,
    kept: Kept,
    horizons: Vec<i64>,
    chunk: usize,
    file: Option<TrackFile>,
    has_more: bool,
}

impl Reading {
    /// The next piece of the file; `None` after its end.
    async fn next(&mut self) -> Result<Option<Bytes>, crate::error::Error> {
        let mut out = Vec::new();
        while let Some(file) = &mut self.file {
            // What came into the log after the index was made has no place yet.
            if !self.has_more && self.chunk + 1 < self.horizons.len() {
                match self.kept.chunk(&self.app.rendering, self.chunk as u32).await? {
                    Some(bytes) => {
                        let chunk = chunk::decode(&bytes).inspect_err(|error| {
                            tracing::error!(recording = %self.id, chunk = self.chunk, %error, "a chunk of a capture log cannot be read");
                        });
                        file.take(chunk.into_iter().flat_map(|chunk| chunk.entries));
                    }
                    None => self.horizons.truncate(self.chunk + 1),
                }
                self.chunk += 1;
            }
            let is_last = self.chunk + 1 >= self.horizons.len();
            let horizon = if is_last { i64::MAX } else { self.horizons[self.chunk] };
            self.has_more = file.write(horizon, &mut out);
            if !self.has_more
                && is_last
                && let Some(file) = self.file.take()
            {
                file.finish(&mut out);
            }
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        Ok(None)
    }
}

fn comments(recording: &Recording, track: &Track) -> Vec<String> {
    let mut comments = vec![format!("TITLE={}", track.participant)];
    comments.extend(recording.room_name.iter().map(|room| format!("ALBUM={room}")));
    // Media time 0, which is where what is heard of the file begins.
    comments.extend(recording.started_at.map(|at| format!("DATE={}", rfc3339(at))));
    comments
}

fn file_name(recording: &Recording, track: &Track) -> String {
    let about = recording.room_name.as_ref().or(recording.session_id.as_ref());
    let about = about.cloned().unwrap_or_else(|| recording.id.to_string());
    let parts = [about.as_str(), &track.participant, &track.source, &track.id];
    let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" - ");
    let plain = |c: char| {
        let is_odd = c.is_control() || names::turns_direction(c) || "/\\:*?\"<>|".contains(c);
        if is_odd { '_' } else { c }
    };
    name.chars().map(plain).take(LONGEST_NAME).collect::<String>() + ".ogg"
}

/// A Content-Disposition: `attachment` with a file name, in ASCII and as it is (RFC 6266, RFC 8187).
fn disposition(name: &str) -> HeaderValue {
    let ascii: String = name.chars().map(|c| if c.is_ascii() && c != '%' { c } else { '_' }).collect();
    let attribute = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    let encoded: String = name
        .bytes()
        .map(|byte| if attribute(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let text = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_say_what_it_is() {
        assert_eq!(disposition("a b.ogg"), "attachment; filename=\"a b.ogg\"; filename*=UTF-8''a%20b.ogg");
        assert_eq!(disposition("é%.ogg"), "attachment; filename=\"__.ogg\"; filename*=UTF-8''%C3%A9%25.ogg");
    }
}
