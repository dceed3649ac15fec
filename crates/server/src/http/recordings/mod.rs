//! The API's routes for recordings, one file for each resource.

pub mod control;
pub mod delete;
pub mod events;
pub mod get;
mod hls_answer;
pub mod list;
pub mod opus;
pub mod playlists;
pub mod reload;
pub mod segment;
pub mod start;
pub mod track;
pub mod transcript;
pub mod view;
pub mod waveform;

use axum::http::HeaderMap;
use echosphere_domain::id::RecordingId;
use echosphere_domain::lifecycle::Deletion;
use echosphere_domain::recording::{Capture, Recording, Track};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_recorder::clock::samples;
use echosphere_store::SameRoom;

use crate::clock;
use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::http::recording_id::{not_found, parse_id};
use crate::http::state::App;
use crate::playback::Validity;

/// The recording with this id and its captures, if it exists for the caller and has not been deleted.
pub(super) async fn find(app: &App, caller: &Caller, id: RecordingId) -> Result<(Recording, Vec<Capture>), Problem> {
    app.recorder.registry.catch_up(&caller.project, id).await;
    let found = app.store.recording(&caller.project, id).await?;
    let visible = found.filter(|(recording, _)| caller.sees_room(recording.room_name.as_deref()));
    let Some((recording, captures)) = visible else { return Err(not_found(&id.to_string())) };
    if recording.state.deletion == Deletion::Done {
        return Err(Problem::deleted(format!("the recording {id} was deleted")));
    }
    Ok((recording, captures))
}

/// How many other recordings of its room a recording lists at most.
const SAME_ROOM: u32 = 20;

/// The other recordings of a recording's room.
async fn same_room(app: &App, recording: &Recording) -> Result<Vec<SameRoom>, echosphere_store::Error> {
    if recording.room_sid.is_none() {
        return Ok(Vec::new());
    }
    app.store.same_room(recording.id, SAME_ROOM).await
}

/// A recording as the API shows it, with its links and those of the room's other recordings that the caller may see.
async fn shown(
    app: &App,
    base: &str,
    caller: &Caller,
    recording: Recording,
    captures: Vec<Capture>,
) -> Result<view::Recording, Problem> {
    let mut others = same_room(app, &recording).await?;
    // The room is the same, though one of its recordings may not know its name.
    others.retain(|other| caller.sees_room(other.room_name.as_deref().or(recording.room_name.as_deref())));
    Ok(show(app, base, caller, recording, captures, others))
}

/// A recording as the API shows it, with its links.
fn show(
    app: &App,
    base: &str,
    caller: &Caller,
    recording: Recording,
    captures: Vec<Capture>,
    mut same_room: Vec<SameRoom>,
) -> view::Recording {
    let signature = link_signature(app, caller, &recording);
    let route = format!("{base}/v1/recordings/{}", recording.id);
    let page = format!("{base}/recordings/{}", recording.id);
    let codec = if app.config.makes_aac() { "" } else { "codec=opus&" };
    let urls = view::Urls {
        playlist: has_sound(&recording).then(|| format!("{route}/playlist.m3u8?{codec}sig={signature}")),
        page: caller.link().map_or_else(|| page.clone(), |signature| format!("{page}?sig={signature}")),
    };
    let tracks = tracks(app, &recording).into_iter().map(|track| {
        let url = format!("{route}/tracks/{}.ogg?sig={signature}", track.id);
        view::Track::new(track, url)
    });
    let tracks = tracks.collect();
    if caller.link().is_some() {
        // A link gives access to one recording, and reveals no others.
        same_room.clear();
    }
    let same_room = same_room.into_iter().map(view::SameRoom::from).collect();
    view::Recording::new(recording, captures, same_room, tracks, urls)
}

/// The tracks that can be downloaded; while a room goes on, those that there are so far.
fn tracks(app: &App, recording: &Recording) -> Vec<Track> {
    if recording.state.deletion.is_requested() {
        return Vec::new();
    }
    app.recorder
        .registry
        .tracks(recording.id)
        .unwrap_or_else(|| recording.tracks.iter().map(|track| within(recording, track)).collect())
}

/// A track as far as the recording goes: earlier versions noted tracks that end after it.
fn within(recording: &Recording, track: &Track) -> Track {
    let ends = |from: WallTime| from.plus_nanos(recording.duration.as_nanos());
    let left = recording.started_at.map(|from| ends(from).as_nanos() - track.started_at.as_nanos());
    let left = left.map_or(track.duration, |nanos| MediaTime::from_samples_48k(samples(nanos.max(0))));
    Track { duration: track.duration.min(left), ..track.clone() }
}

fn has_sound(recording: &Recording) -> bool {
    recording.duration > MediaTime::ZERO && !recording.state.deletion.is_requested()
}

/// The signature of a recording's links: a caller who used a link gets the same one, never a new one.
fn link_signature(app: &App, caller: &Caller, recording: &Recording) -> String {
    let new = || app.links.sign(&recording.project, recording.id, validity(app, caller, recording).end());
    caller.link().map_or_else(new, str::to_owned)
}

/// How long the URLs that the caller is given live.
fn validity(app: &App, caller: &Caller, recording: &Recording) -> Validity {
    Validity::new(clock::now(), app.config.url_ttl, recording.duration, caller.until())
}

/// The base URL for links in an answer to these headers.
fn base(app: &App, headers: &HeaderMap) -> String {
    app.base_url(headers)
}
