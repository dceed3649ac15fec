//! The other kinds of egresses: of one participant, of one track, into a file.

use echosphere_testkit::egress::Script;
use echosphere_testkit::s3::{ACCESS_KEY, SECRET_KEY, SHARED_BUCKET};
use serde_json::{Value, json};

use crate::stage::{ROOM, Stage, until};
use crate::{fields, recorded};

/// Asks for what the recorded egress was asked for, in the room and the bucket of the test; returns its id.
fn begin(stage: &Stage, method: &str, mut request: Value, output: &str, name: &str) -> String {
    request["roomName"] = ROOM.into();
    let path = format!("recordings/{}/{name}", stage.folder);
    let output = &mut request[output][0];
    for (field, value) in [
        ("accessKey", ACCESS_KEY.to_owned()),
        ("secret", SECRET_KEY.to_owned()),
        ("endpoint", stage.bucket.endpoint()),
        ("bucket", SHARED_BUCKET.to_owned()),
    ] {
        output["s3"][field] = value.into();
    }
    let named = if output["filepath"].is_null() { "filenamePrefix" } else { "filepath" };
    output[named] = path.into();
    let answer = stage.livekit.call(&format!("Egress/{method}"), ROOM, &request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["egress_id"].as_str().unwrap().to_owned()
}

/// Ends it when `is_done`, and compares what it says of itself with what the recorded one said.
fn end(stage: &Stage, egress: &str, theirs: &Value, is_done: impl Fn(&[String]) -> bool) -> Value {
    stage.told("egress_updated", "EGRESS_ACTIVE");
    until("all is written", || is_done(&stage.objects()));
    assert_eq!(stage.stop(egress).status, 200);
    let ended = stage.told("egress_ended", "EGRESS_COMPLETE");
    assert_eq!(fields(&ended), fields(theirs));
    assert!(stage.objects().contains(&format!("{egress}.json")));
    ended
}

fn recorded_info(name: &str) -> Value {
    serde_json::from_str(&recorded(&format!("{name}/egress_info.json"))).unwrap()
}

#[test]
fn an_egress_of_a_participant() {
    let stage = Stage::playing("participant", "participant", Script::default());
    let people = stage.talk();
    let theirs = recorded_info("participant");
    let mut request = theirs["participant"].clone();
    request["identity"] = "speaker-0".into();
    let egress = begin(&stage, "StartParticipantEgress", request, "segmentOutputs", "seg");
    end(&stage, &egress, &theirs, |objects| objects.contains(&"seg_00003.ts".to_owned()));
    people.stop();
}

#[test]
fn an_egress_of_a_track_whose_segments_are_named_by_their_time() {
    let stage = Stage::playing("track", "track-composite", Script::default());
    let people = stage.talk();
    let theirs = recorded_info("track-composite");
    let mut request = theirs["trackComposite"].clone();
    let track = || stage.participants().into_iter().find_map(|it| it["tracks"][0]["sid"].as_str().map(str::to_owned));
    until("somebody's track is published", || track().is_some());
    request["audioTrackId"] = track().into();
    let egress = begin(&stage, "StartTrackCompositeEgress", request, "segmentOutputs", "seg");
    let is_segment = |name: &&String| name.starts_with("seg_") && name.len() == "seg_20261123140855422.ts".len();
    end(&stage, &egress, &theirs, |objects| objects.iter().filter(is_segment).count() == 4);
    people.stop();
}

#[test]
fn an_egress_into_a_file_writes_it_when_it_ends() {
    let stage = Stage::playing("file", "room-ogg", Script::default());
    let people = stage.talk();
    let theirs = recorded_info("room-ogg");
    let egress = begin(&stage, "StartRoomCompositeEgress", theirs["roomComposite"].clone(), "fileOutputs", "call.ogg");
    let ended = end(&stage, &egress, &theirs, <[String]>::is_empty);
    assert_eq!(stage.objects(), [format!("{egress}.json"), "call.ogg".to_owned()]);
    assert_eq!(ended["file"]["size"], "157893", "as recorded");
    let manifest: Value = serde_json::from_str(&stage.text(&format!("{egress}.json"))).unwrap();
    let filename = json!("recordings/file/call.ogg");
    assert_eq!((&manifest["files"][0]["filename"], &ended["file"]["filename"]), (&filename, &filename));
    people.stop();
}
