//! The scripted egress worker, and what a real livekit-server over a real Redis says of it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may")]

mod kinds;
mod stage;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use echosphere_domain::id::ProjectId;
use echosphere_livekit::token::Verifier;
use echosphere_livekit::webhook;
use echosphere_testkit::egress::{Fault, Recorded, Script};
use echosphere_testkit::keys::{KEY, SECRET};
use echosphere_testkit::{s3, session};
use livekit_protocol::EgressStatus;
use serde_json::Value;

use crate::stage::{ROOM, Stage, until};

fn recorded(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/egress").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all fields, each with those above it.
fn fields(value: &Value) -> BTreeSet<String> {
    let below = |name: &str, value: &Value| -> BTreeSet<String> {
        let named = fields(value).into_iter().map(|field| format!("{name}.{field}"));
        named.chain([name.to_owned()]).collect()
    };
    match value {
        Value::Object(all) => all.iter().flat_map(|(name, value)| below(name, value)).collect(),
        Value::Array(all) => all.iter().flat_map(fields).collect(),
        _ => BTreeSet::new(),
    }
}

/// A playlist without what differs from call to call.
fn without_times(playlist: &str) -> Vec<&str> {
    playlist.lines().filter(|line| !line.starts_with("#EXT-X-PROGRAM-DATE-TIME")).collect()
}

#[test]
fn an_egress_from_its_start_to_its_end_is_told_and_written_as_it_was_recorded() {
    let stage = Stage::new("whole", Script::default());
    let people = stage.talk();
    let egress = stage.begin();
    let mut told = vec![stage.told("egress_started", "EGRESS_STARTING"), stage.told("egress_updated", "EGRESS_ACTIVE")];
    assert_eq!(stage.listed(&egress)["status"], "EGRESS_ACTIVE");
    assert!(stage.people().contains(&(egress.clone(), "EGRESS".to_owned())), "{:?}", stage.people());
    let joined = stage.webhooks.wait_for("its participant", |body| body["participant"]["identity"] == egress.as_str());
    assert_eq!(joined.body["participant"]["permission"]["recorder"], true, "{}", joined.text);
    let last = Recorded::load("stopped").segments.len() - 1;
    until("all segments are there", || stage.objects().contains(&format!("segment_{last:05}.ts")));
    let stopped = stage.stop(&egress);
    assert_eq!((stopped.status, &stopped.json()["status"]), (200, &Value::from("EGRESS_ENDING")), "{}", stopped.text());
    told.push(stage.told("egress_updated", "EGRESS_ENDING"));
    told.push(stage.told("egress_ended", "EGRESS_COMPLETE"));
    for (told, name) in
        told.iter().zip(["005_egress_started", "007_egress_updated", "008_egress_updated", "010_egress_ended"])
    {
        let theirs: Value = serde_json::from_str(&recorded(&format!("stopped/webhooks/{name}.json"))).unwrap();
        assert_eq!(fields(told), fields(&theirs["egressInfo"]), "{name}");
        assert_eq!(
            (&told["status"], &told["details"]),
            (&theirs["egressInfo"]["status"], &theirs["egressInfo"]["details"])
        );
    }
    for name in ["playlist.m3u8", "live.m3u8"] {
        assert_eq!(without_times(&stage.text(name)), without_times(&recorded(&format!("stopped/{name}"))), "{name}");
    }
    for (number, segment) in Recorded::load("stopped").segments.iter().enumerate() {
        assert_eq!(stage.object(&format!("segment_{number:05}.ts")), segment.bytes);
    }
    let manifest: Value = serde_json::from_str(&stage.text(&format!("{egress}.json"))).unwrap();
    assert_eq!(fields(&manifest), fields(&serde_json::from_str(&recorded("stopped/EG_hmU2NXxRMyvQ.json")).unwrap()));
    assert_eq!(told[3]["segments"]["size"], "935676", "as recorded");
    assert!(!stage.people().iter().any(|(_, kind)| kind == "EGRESS"), "it has left: {:?}", stage.people());
    let again = stage.stop(&egress);
    assert_eq!((again.status, &again.json()["code"]), (412, &Value::from("failed_precondition")), "{}", again.text());
    people.stop();
}

#[test]
fn webhooks_are_signed_and_of_the_type_that_livekit_sends() {
    let stage = Stage::new("signed", Script::default());
    let people = stage.talk();
    stage.begin();
    stage.told("egress_started", "EGRESS_STARTING");
    let started = stage.webhooks.wait_for("start", |body| body["event"] == "egress_started");
    assert_eq!(started.content_type, "application/webhook+json");
    let keys = Verifier::new([(ProjectId::default(), KEY.to_owned(), SECRET.into())]);
    let received = webhook::receive(&keys, &started.authorization, started.text.as_bytes(), session::now()).unwrap();
    assert_eq!(received.event.name, "egress_started");
    people.stop();
}

#[test]
fn a_worker_that_vanishes_leaves_the_room_and_livekit_still_calls_its_egress_active() {
    let stage = Stage::new("vanished", Script::with(Fault::Crashes { after: 2 }));
    let people = stage.talk();
    let egress = stage.begin();
    stage.told("egress_updated", "EGRESS_ACTIVE");
    until("two segments are there", || stage.objects().len() >= 4);
    until("its participant is gone", || !stage.people().iter().any(|(identity, _)| *identity == egress));
    assert_eq!(stage.listed(&egress)["status"], "EGRESS_ACTIVE");
    let answer = stage.stop(&egress);
    println!("StopEgress of a vanished worker: {} {}", answer.status, answer.text());
    assert_eq!((answer.status, &answer.json()["code"]), (408, &Value::from("deadline_exceeded")), "{}", answer.text());
    assert_eq!(stage.listed(&egress)["status"], "EGRESS_ACTIVE");
    assert_eq!(stage.objects(), ["live.m3u8", "playlist.m3u8", "segment_00000.ts", "segment_00001.ts"]);
    assert!(!stage.text("playlist.m3u8").contains("ENDLIST"));
    people.stop();
}

#[test]
fn a_worker_that_freezes_stays_in_the_room_and_does_not_answer() {
    let stage = Stage::new("frozen", Script::with(Fault::Freezes { after: 1 }));
    let people = stage.talk();
    let egress = stage.begin();
    stage.told("egress_updated", "EGRESS_ACTIVE");
    until("a segment is there", || stage.objects().len() >= 3);
    assert_eq!(stage.stop(&egress).status, 408);
    assert!(stage.people().contains(&(egress.clone(), "EGRESS".to_owned())));
    assert_eq!(stage.objects(), ["live.m3u8", "playlist.m3u8", "segment_00000.ts"]);
    people.stop();
}

#[test]
fn a_recording_process_that_is_killed_is_reported_as_recorded() {
    let stage = Stage::new("killed", Script::with(Fault::Killed { after: 2 }));
    let people = stage.talk();
    stage.begin();
    let ended = stage.told("egress_ended", "EGRESS_FAILED");
    let theirs: Value = serde_json::from_str(&recorded("killed/egress_info.json")).unwrap();
    assert_eq!(fields(&ended), fields(&theirs));
    for field in ["error", "errorCode"] {
        assert_eq!(ended[field], theirs[field]);
    }
    assert_eq!(without_times(&stage.text("playlist.m3u8")), without_times(&recorded("killed/playlist.m3u8")));
    assert_eq!(stage.objects(), ["live.m3u8", "playlist.m3u8", "segment_00000.ts", "segment_00001.ts"]);
    people.stop();
}

#[test]
fn an_upload_that_is_refused_fails_as_recorded() {
    let stage = Stage::new("refused", Script::default());
    let people = stage.talk();
    assert_eq!(stage.ask_with("not the secret").status, 200);
    let ended = stage.told("egress_ended", "EGRESS_FAILED");
    let theirs: Value = serde_json::from_str(&recorded("upload-refused/egress_info.json")).unwrap();
    for field in ["errorCode", "details"] {
        assert_eq!(ended[field], theirs[field]);
    }
    assert!(ended["error"].as_str().unwrap().starts_with("S3 upload failed: err: "), "{ended}");
    assert!(ended["segments"]["duration"].as_str().unwrap().starts_with('-'), "{ended}");
    assert_eq!((stage.objects(), &ended["segments"]["segmentCount"]), (Vec::new(), &Value::Null));
    people.stop();
}

#[test]
fn a_worker_may_lie_about_its_end_and_about_what_it_has_uploaded() {
    let faults = vec![Fault::CpuExhausted { after: 3 }, Fault::LosesUpload { number: 1 }];
    let stage = Stage::new("lies", Script { faults });
    let people = stage.talk();
    let egress = stage.begin();
    let ended = stage.told("egress_ended", "EGRESS_COMPLETE");
    assert_eq!(
        (&ended["details"], &ended["segments"]["segmentCount"]),
        (&"End reason: CPU exhausted".into(), &"3".into())
    );
    assert!(stage.text("playlist.m3u8").contains("segment_00001.ts"));
    let there = [&format!("{egress}.json"), "live.m3u8", "playlist.m3u8", "segment_00000.ts", "segment_00002.ts"];
    assert_eq!(stage.objects(), there);
    people.stop();
}

#[test]
fn reports_that_come_twice_and_late_are_told_twice_and_the_last_one_counts() {
    let faults = vec![Fault::ReportsTwice, Fault::ReportsActiveLast, Fault::CpuExhausted { after: 1 }];
    let stage = Stage::new("twice", Script { faults });
    let people = stage.talk();
    let egress = stage.begin();
    stage.told("egress_ended", "EGRESS_COMPLETE");
    stage.told("egress_updated", "EGRESS_ACTIVE");
    let told = |event: &str, status: &str| {
        let all = stage.webhooks.received();
        all.iter().filter(|it| it.body["event"] == event && it.body["egressInfo"]["status"] == status).count()
    };
    until("all is told twice", || {
        told("egress_ended", "EGRESS_COMPLETE") == 2 && told("egress_updated", "EGRESS_ACTIVE") == 2
    });
    let started = stage.webhooks.received().iter().filter(|it| it.body["event"] == "egress_started").count();
    assert_eq!(started, 1, "what is known is no news");
    assert_eq!(stage.listed(&egress)["status"], "EGRESS_ACTIVE", "LiveKit believes what it was told last");
    assert_eq!(
        stage.worker.wait_for("complete", |info| info.egress_id == egress).status(),
        EgressStatus::EgressComplete
    );
    people.stop();
}

#[test]
fn reports_that_come_late_say_when_it_was() {
    let faults = vec![Fault::ReportsLate(Duration::from_secs(2)), Fault::CpuExhausted { after: 0 }];
    let stage = Stage::new("late", Script { faults });
    let people = stage.talk();
    stage.begin();
    let ended = stage.webhooks.wait_for("end", |body| body["event"] == "egress_ended").body;
    let seconds = |value: &Value, unit: i64| value.as_str().unwrap().parse::<i64>().unwrap() / unit;
    let happened = seconds(&ended["egressInfo"]["updatedAt"], 1_000_000_000);
    let told = seconds(&ended["createdAt"], 1);
    assert!(told - happened >= 2, "told at {told}, of {happened}");
    people.stop();
}

#[test]
fn a_worker_may_refuse_and_may_take_longer_than_livekit_waits() {
    let stage = Stage::new("slow", Script::with(Fault::Refuses));
    let people = stage.talk();
    let refused = stage.ask_with(s3::SECRET_KEY);
    println!("StartRoomCompositeEgress that nobody takes: {} {}", refused.status, refused.text());
    assert_eq!((refused.status, &refused.json()["code"]), (503, &Value::from("unavailable")), "{}", refused.text());
    stage.worker.follow(Script::with(Fault::SlowToStart(Duration::from_secs(12))));
    let answer = stage.ask_with(s3::SECRET_KEY).json();
    let started = stage.told("egress_started", "EGRESS_STARTING");
    assert_eq!(
        answer["started_at"], started["startedAt"],
        "one egress, not another one for each time that LiveKit asks"
    );
    stage.told("egress_updated", "EGRESS_ACTIVE");
    people.stop();
}

#[test]
fn an_egress_in_which_nobody_speaks_is_aborted_and_one_whose_people_leave_is_complete() {
    let stage = Stage::new("ends", Script::default());
    let people = stage.talk();
    stage.begin();
    stage.told("egress_updated", "EGRESS_ACTIVE");
    people.stop();
    let ended = stage.told("egress_ended", "EGRESS_COMPLETE");
    assert_eq!(ended["details"], "End reason: Source closed");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let token = echosphere_testkit::publishers::token(ROOM, "silent");
    let (signalling, _microphone) = runtime.block_on(echosphere_testkit::speaker::join(&stage.livekit.url(), &token));
    let egress = stage.begin();
    stage.webhooks.wait_for("its participant", |body| body["participant"]["identity"] == egress.as_str());
    assert_eq!(stage.stop(&egress).status, 200);
    let ended = stage.told("egress_ended", "EGRESS_ABORTED");
    assert_eq!((&ended["error"], &ended["errorCode"]), (&"Start signal not received".into(), &412.into()));
    runtime.block_on(signalling.hang_up());
}
