//! Tests of dividing, with objects in memory.

use std::time::Duration;

use echosphere_domain::id::RecordingId;
use echosphere_domain::recording::Source;
use echosphere_domain::segment::SegmentState;
use echosphere_recorder::log::{chunk, ended};
use echosphere_store::UploadState;
use echosphere_testkit::session::Session;

use super::*;
use crate::jobs::tests::{rendered, room};
use crate::jobs::unneeded;
use crate::jobs::worker::work_only;
use crate::rendering::Priority;
use crate::testing::House;
use echosphere_store::TaskKind::{self, Align, Compose, Erase, Finalize, Ingest, Render, Separate};

/// All kinds of tasks but dividing.
const OTHERS: [TaskKind; 7] = [Finalize, Ingest, Erase, Render, Compose, Separate, Align];

/// What nothing needs is deleted.
async fn swept(house: &House) {
    house.pass(house.app.config.sweep_after + Duration::from_secs(3600));
    unneeded::old(&house.app.jobs, house.app.jobs.clock.now()).await.unwrap();
}

/// Every segment as it is rendered anew.
async fn segments(house: &House) -> Vec<Vec<u8>> {
    let (recording, captures) = house.recording().await;
    let capture = captures.iter().find(|capture| capture.audio.is_some()).unwrap();
    let renderer = house.app.rendering.renderer(&recording, &captures, capture).await.unwrap().unwrap();
    let mut all = Vec::new();
    for segment in 0..renderer.grid().segments() {
        all.push(renderer.render(&house.app.rendering, Priority::Interactive, segment).await.unwrap().0);
    }
    all
}

/// The names of what is kept of captures, apart from what is rendered of it.
fn masters(house: &House) -> Vec<String> {
    let rendered = |key: &ObjectKey| key.as_str().contains("/audio/") || key.as_str().contains("/analysis");
    let kept = house.left().into_iter().filter(|key| !rendered(key) && !key.as_str().starts_with("sidecars/"));
    kept.map(|key| key.as_str().rsplit('/').next().unwrap().to_owned()).collect()
}

/// A server with a room or a session that is rendered and was not divided yet.
async fn whole(is_room: bool) -> House {
    let house = House::new().await;
    if is_room {
        room(&house, 9, Some(ended::STOPPED)).await;
    } else {
        house.upload_session("order").await;
    }
    work_only(&house.app.jobs, &OTHERS).await;
    house
}

#[tokio::test]
async fn an_upload_becomes_sound_words_and_header_byte_for_byte() {
    let house = whole(false).await;
    assert_eq!(masters(&house), ["upload.multipart"]);
    let before = segments(&house).await;
    house.work().await;
    swept(&house).await;
    assert_eq!(masters(&house), ["chat_history.json", "header.binpb", "sound.ogg"]);
    let body = Session::load("order").body;
    for name in masters(&house) {
        let bytes = house.bytes.bytes(&house.stored(&name)[0]).unwrap();
        assert!(body.windows(bytes.len()).any(|window| window == bytes), "{name} is not as it came");
    }
    assert!(house.bytes.bytes(&house.stored("sound.ogg")[0]).unwrap().starts_with(b"OggS"));
    assert_eq!(segments(&house).await, before);
}

#[tokio::test]
async fn whoever_reads_the_sound_meanwhile_finds_where_it_is_now() {
    for is_room in [false, true] {
        let house = whole(is_room).await;
        let (recording, captures) = house.recording().await;
        let renderer = house.app.rendering.renderer(&recording, &captures, &captures[0]).await.unwrap().unwrap();
        let before = renderer.render(&house.app.rendering, Priority::Interactive, 1).await.unwrap();
        house.work().await;
        swept(&house).await;
        let after = renderer.render(&house.app.rendering, Priority::Interactive, 1).await.unwrap();
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn a_log_becomes_one_object_of_sound_and_one_of_words() {
    let house = whole(true).await;
    let whole = house.bytes.bytes(&house.stored(".esc")[0]).unwrap();
    let before = segments(&house).await;
    house.work().await;
    swept(&house).await;
    assert_eq!(masters(&house), ["sound.esl", "words.esl"]);
    assert_eq!(segments(&house).await, before);
    let [sound, words] = ["sound.esl", "words.esl"].map(|name| {
        let bytes = house.bytes.bytes(&house.stored(name)[0]).unwrap();
        let table = echosphere_recorder::log::joined::Table::parse(&bytes).unwrap();
        let range = table.chunk(0).unwrap();
        bytes[range.start as usize..range.end as usize].to_vec()
    });
    let says = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(says(&words, b"PA_helper") && says(&words, b"AGENT"), "who was there");
    assert!(!says(&sound, b"AGENT"), "and not among the sound");
    assert!(chunk::decode(&words.clone().into()).unwrap().entries.len() < 5);
    let parts = echosphere_recorder::log::parts::Parts { sound, words };
    assert_eq!(echosphere_recorder::log::parts::join(&parts).as_deref(), Some(&*whole));
}

#[tokio::test]
async fn nothing_is_switched_to_what_does_not_read_as_it_was_written() {
    for is_room in [false, true] {
        let house = whole(is_room).await;
        let before = (masters(&house), segments(&house).await);
        house.bytes.set_garbling(true);
        house.work().await;
        assert_eq!(house.tasks().await, (1, 0), "it is tried again");
        swept(&house).await;
        assert_eq!((masters(&house), segments(&house).await), before);
        house.bytes.set_garbling(false);
        house.work().await;
        swept(&house).await;
        assert_eq!(segments(&house).await, before.1);
        assert_ne!(masters(&house), before.0);
    }
}

#[tokio::test]
async fn a_process_that_ends_in_the_middle_leaves_the_whole_and_the_next_one_begins_anew() {
    let house = whole(false).await;
    let before = segments(&house).await;
    // It has written a part, and then it is gone.
    let (recording, captures) = house.recording().await;
    let key = Part::Sound.of_upload(&recording.prefix, captures[0].attempt);
    let purpose = echosphere_store::Purpose::Upload;
    house.app.objects.put(&recording, purpose, &key, b"half of it".to_vec()).await.unwrap();
    let (house, _) = house.restart().await;
    old_ones(Arc::clone(&house.app.jobs)).await;
    assert_eq!(house.work().await, 1);
    swept(&house).await;
    assert_eq!(masters(&house), ["chat_history.json", "header.binpb", "sound.ogg"]);
    assert_eq!(segments(&house).await, before);
}

/// What is left after an upload with this body was read and divided, or not.
async fn divided(body: &[u8]) -> (House, Vec<String>) {
    let house = House::new().await;
    let session = Session::load("order");
    house.upload(&session.content_type, body).await.unwrap();
    house.work().await;
    swept(&house).await;
    let masters = masters(&house);
    (house, masters)
}

#[tokio::test]
async fn what_is_not_understood_whole_is_not_taken_apart() {
    let body = Session::load("order").body;
    let place = body.windows(13).position(|window| window == b"name=\"header\"").unwrap();
    let mut renamed = body.clone();
    renamed[place..place + 13].copy_from_slice(b"name=\"h-ader\"");
    let (house, masters) = divided(&renamed).await;
    assert_eq!(masters, ["upload.multipart"], "nobody knows what that part is");
    assert_eq!(house.app.store.divide_all(None, 9, house.app.jobs.clock.now()).await.unwrap(), None);
    assert_eq!(house.tasks().await, (0, 0));
}

#[tokio::test]
async fn bytes_that_are_in_no_part_stay_with_all_others() {
    let body = Session::load("order").body;
    let ogg = body.windows(4).position(|window| window == b"OggS").unwrap();
    // The headers of the sound are damaged, so nobody finds where it begins.
    let headers = body[..ogg].windows(12).rposition(|window| window == b"\r\nContent-Di").unwrap();
    let mut damaged = body.clone();
    damaged.splice(headers..headers, vec![b'x'; 17_000]);
    let (_, masters) = divided(&damaged).await;
    assert_eq!(masters, ["upload.multipart"]);
}

#[tokio::test]
async fn what_was_superseded_meanwhile_is_not_written_again() {
    let house = House::new().await;
    let session = Session::load("order");
    house.upload(&session.content_type, &session.body[..session.body.len() - session.body.len() / 4]).await.unwrap();
    work_only(&house.app.jobs, &OTHERS).await;
    let (recording, captures) = house.recording().await;
    // A part was written, and then the whole upload comes before anything is switched.
    let key = Part::Sound.of_upload(&recording.prefix, captures[0].attempt);
    house.app.objects.put(&recording, echosphere_store::Purpose::Upload, &key, b"said".to_vec()).await.unwrap();
    house.upload_session("order").await;
    work_only(&house.app.jobs, &OTHERS).await;
    house.work().await;
    assert!(!house.bytes.keys().contains(&key), "it does not wait for the sweeper");
    swept(&house).await;
    assert_eq!(masters(&house), ["chat_history.json", "header.binpb", "sound.ogg"]);
}

#[tokio::test]
async fn an_upload_that_was_cut_is_divided_as_far_as_it_came() {
    let body = Session::load("order").body;
    let (house, masters) = divided(&body[..body.len() - body.len() / 4]).await;
    assert!(
        masters.contains(&"sound.ogg".to_owned()) && !masters.contains(&"upload.multipart".to_owned()),
        "{masters:?}"
    );
    let (recording, captures) = house.recording().await;
    assert_eq!((captures[0].source, recording.state.partial), (Source::Upload, true));
    let stored = house.segments(recording.id).await;
    assert!(stored.iter().any(|segment| matches!(segment.state, SegmentState::Stored(_))));
    // The whole one comes later, and takes its place.
    let upload = house.upload_session("order").await;
    house.work().await;
    swept(&house).await;
    assert_eq!(house.app.store.upload(upload).await.unwrap().unwrap().state, UploadState::Joined);
    assert_eq!(self::masters(&house).len(), 3, "nothing is left of the cut one");
}

#[tokio::test]
async fn the_same_session_again_is_known_by_its_divided_sound() {
    let (house, recording, _) = rendered().await;
    swept(&house).await;
    let again = house.upload_session("order").await;
    house.work().await;
    assert_eq!(house.app.store.upload(again).await.unwrap().unwrap().state, UploadState::Duplicate);
    let found: Vec<RecordingId> = house.recordings().await.into_iter().map(|(found, _)| found.id).collect();
    assert_eq!(found, [recording.id]);
}
