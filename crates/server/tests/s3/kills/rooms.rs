//! Kills while a room is recorded, and while its log is divided.

use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::proxy::Hold;
use echosphere_testkit::sound::{self, RATE};
use serde_json::Value;

use super::super::{talk_in, until};
use super::{Scene, after, before, is_chunk, tens};

/// Samples that are judged at once: 100 ms.
const STEP: usize = RATE / 10;
/// How long after a gap sound may still be on its way, and how long before one it ends at the latest, in steps.
const EDGE: usize = 5;
/// The loudness (root mean square) that somebody who talks has at least.
const TALKS: f64 = 500.0;
/// How long before a kill a gap may begin, in milliseconds: what a busy machine had not written to its journal.
const UNWRITTEN: i64 = 5_000;

/// A kill, and the recording's length when the room was heard again: both in milliseconds of the recording.
struct Outage {
    kill: i64,
    heard: i64,
}

fn milliseconds(recording: &Value) -> i64 {
    recording["duration_ms"].as_i64().unwrap_or(0)
}

/// How long ago a recording began, in milliseconds.
fn since_start(recording: &Value) -> i64 {
    let start: jiff::Timestamp = recording["started_at"].as_str().unwrap().parse().unwrap();
    jiff::Timestamp::now().as_millisecond() - start.as_millisecond()
}

/// Kills the process at a point of a room that goes on, and waits until the room is heard again.
fn interrupt(scene: &mut Scene, id: &str, point: Option<Hold>) -> Outage {
    if let Some(point) = point {
        scene.proxy.hold(Some(point));
        scene.kill_at(point);
    } else {
        let chunks = |scene: &Scene| scene.ours().iter().filter(|key| is_chunk(key)).count();
        let before = chunks(scene);
        until("a chunk", || (chunks(scene) > before).then_some(()));
        scene.kill();
    }
    let kill = since_start(&scene.server.recording(id));
    let heard = until("the room to be heard again", || {
        let length = milliseconds(&scene.server.recording(id));
        (length > kill + 500).then_some(length)
    });
    Outage { kill, heard }
}

/// Checks that a recording lacks what was said during the outages, and nothing else.
fn assert_whole_but_for(outages: &[Outage], recording: &Value) {
    assert_eq!(recording["status"], "COMPLETED", "{recording}");
    let number = |gap: &Value, name: &str| gap[name].as_i64().unwrap();
    let gaps = recording["gaps"].as_array().unwrap();
    let gaps: Vec<_> = gaps.iter().map(|gap| (number(gap, "start_ms"), number(gap, "duration_ms"), gap)).collect();
    assert_eq!(gaps.len(), outages.len(), "{recording}");
    for ((start, length, gap), outage) in gaps.iter().zip(outages) {
        assert_eq!(gap["reason"], "recorder_restarted", "{recording}");
        let (kill, heard) = (outage.kill, outage.heard);
        assert!(*start > kill - UNWRITTEN && *start <= kill && start + length <= heard, "{kill} to {heard}: {gap}");
    }
    let segments = sound::segments(recording["playlist_url"].as_str().unwrap());
    let pcm = sound::decode(&segments.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>(), "mpegts");
    let loudness = |samples: &[i16]| {
        (samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    };
    let talks: Vec<bool> = pcm.0.chunks_exact(2 * STEP).map(|samples| loudness(samples) > TALKS).collect();
    let is_apart = |step: usize| {
        let (from, to) = (step as i64 - EDGE as i64, (step + EDGE) as i64);
        !gaps.iter().any(|(start, length, _)| to * 100 > *start && from * 100 < start + length)
    };
    let heard = (EDGE..talks.len().saturating_sub(EDGE)).filter(|step| is_apart(*step));
    let silent: Vec<usize> = heard.clone().filter(|step| !talks[*step]).collect();
    assert!(heard.count() > 20 && silent.is_empty(), "silent at {silent:?} (100 ms each): {recording}");
}

#[test]
fn a_room_is_whole_but_for_the_outages() {
    let livekit = LiveKit::start();
    let settings = [("LIVEKIT_URL", &*livekit.url()), ("ECHOSPHERE_RECORDER_CHUNK", "1s")];
    let mut scene = Scene::start(&settings);
    let divided =
        [after("PUT", "/words.esl"), before("PUT", "/sound.esl"), after("GET", "/sound.esl"), after("POST", "?delete")];
    let mut all = Vec::new();
    for (number, divided) in divided.into_iter().cycle().take(tens()).enumerate() {
        let (people, id) = talk_in(&livekit, &scene.server, &format!("room-{number}"), 1);
        until("the room", || (milliseconds(&scene.server.recording(&id)) > 0).then_some(()));
        let points = [Some(before("PUT", "/log/")), Some(after("PUT", "/log/")), None];
        let outages = points.map(|point| interrupt(&mut scene, &id, point));
        scene.proxy.hold(Some(divided));
        scene.server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
        people.stop();
        scene.kill_at(divided);
        all.push((id, outages));
    }
    scene.server.settled_all();
    for (id, outages) in &all {
        assert_whole_but_for(outages, &scene.server.recording(id));
    }
    println!("{} kills of {} rooms: each is whole but for the outages", 4 * all.len(), all.len());
    scene.end();
}
