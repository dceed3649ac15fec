//! Tests of background work: each kind of task, with objects in memory and a clock that the test sets.

use std::time::Duration;

use echosphere_domain::id::UploadId;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::{Deletion, Reason, Status};
use echosphere_domain::recording::{Capture, CaptureStatus, Recording, Source};
use echosphere_domain::segment::SegmentState;
use echosphere_recorder::log::ended;
use echosphere_store::{Purpose, UploadState};

use super::{clean, unneeded};
use crate::rendering::Priority;
use crate::testing::{House, room_chunk};

const HOUR: Duration = Duration::from_secs(3600);
/// The body of an upload of which nothing can be read.
const UNREADABLE: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"header\"\r\n\r\nnot a header\r\n--b--\r\n";

/// A server with a session that was uploaded and is rendered whole.
pub(super) async fn rendered() -> (House, Recording, Vec<Capture>) {
    let house = House::new().await;
    house.upload_session("order").await;
    house.work().await;
    let (recording, captures) = house.recording().await;
    (house, recording, captures)
}

/// The same, when its deletion was requested.
async fn being_deleted() -> (House, Recording) {
    let (house, recording, _) = rendered().await;
    house.app.store.request_deletion(&house.project(), recording.id, house.app.jobs.clock.now()).await.unwrap();
    (house, recording)
}

/// A server with an upload in quarantine.
async fn quarantined() -> (House, UploadId) {
    let house = House::new().await;
    let upload = house.upload("multipart/form-data; boundary=b", UNREADABLE).await.unwrap();
    house.work().await;
    (house, upload)
}

mod ingest {
    use super::*;

    #[tokio::test]
    async fn a_session_upload_becomes_a_recording_that_plays_before_anything_is_rendered() {
        let house = House::new().await;
        let upload = house.upload_session("order").await;
        let claim = house.app.store.upload(upload).await.unwrap().unwrap();
        assert_eq!(claim.state, UploadState::Received);
        house.work().await;
        let (recording, captures) = house.recording().await;
        assert_eq!((recording.state.status, recording.state.partial), (Status::Completed, false));
        assert_eq!((captures.len(), captures[0].source), (1, Source::Upload));
        for master in ["sound.ogg", "chat_history.json", "header.binpb"] {
            assert_eq!(house.stored(master).len(), 1, "{master} is kept");
        }
        assert!(!house.app.data.spool(upload).exists(), "and the spooled body is not");
        assert_eq!(house.tasks().await, (0, 0));
    }

    #[tokio::test]
    async fn the_same_session_again_changes_nothing() {
        let (house, ..) = rendered().await;
        let before = house.bytes.keys();
        house.upload_session("order").await;
        house.work().await;
        let (recording, captures) = house.recording().await;
        assert_eq!((captures.len(), recording.state.revision), (1, 1));
        assert_eq!(house.bytes.keys(), before);
    }

    #[tokio::test]
    async fn a_body_that_nothing_can_be_read_of_is_kept_in_quarantine_as_it_came() {
        let (house, upload) = quarantined().await;
        assert!(house.recordings().await.is_empty());
        let row = house.app.store.upload(upload).await.unwrap().unwrap();
        assert_eq!(row.state, UploadState::Quarantined);
        assert_eq!(std::fs::read(house.app.data.spool(upload)).unwrap(), UNREADABLE);
        assert!(house.bytes.keys().is_empty(), "nobody knows whether it may be kept");
    }

    #[tokio::test]
    async fn a_full_storage_costs_time_and_nothing_else() {
        let house = House::new().await;
        house.upload_session("order").await;
        house.bytes.set_full(true);
        house.work().await;
        assert_eq!(house.tasks().await, (1, 0), "it is tried again");
        assert!(house.bytes.keys().is_empty());
        house.bytes.set_full(false);
        assert_eq!(house.work().await, 0, "later");
        house.pass(Duration::from_secs(10));
        house.work().await;
        assert_eq!(house.recording().await.0.state.status, Status::Completed);
    }
}

mod render {
    use super::*;

    #[tokio::test]
    async fn every_segment_is_stored_and_what_is_measured_is_kept() {
        let (house, recording, _) = rendered().await;
        let segments = house.segments(recording.id).await;
        assert!(segments.len() > 10);
        for segment in &segments {
            let SegmentState::Stored(location) = &segment.state else { panic!("{segment:?}") };
            let (key, length) = (location.own().unwrap(), location.range.unwrap().length);
            assert_eq!(house.app.objects.head(key).await.unwrap().unwrap().size, length);
        }
        assert!(house.app.store.analysis(recording.id).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn without_its_master_a_segment_is_a_gap_that_says_why() {
        let (house, recording, captures) = rendered().await;
        let segments = house.segments(recording.id).await;
        let SegmentState::Stored(location) = &segments[3].state else { panic!("{segments:?}") };
        let key = location.own().unwrap();
        assert!(house.bytes.lose(key) && house.bytes.lose(&house.stored("sound.ogg")[0]));
        let rendered =
            house.app.rendering.render_now(&recording, &captures, &segments[3], Priority::Interactive).await.unwrap();
        assert!(rendered.is_none());
        let (recording, _) = house.recording().await;
        let gaps: Vec<_> = recording.gaps.iter().map(|gap| gap.reason.as_str()).collect();
        assert_eq!((recording.state.partial, &gaps[..]), (true, &["storage_lost"][..]));
    }

    #[tokio::test]
    async fn a_segment_that_storage_lost_is_rendered_again_byte_for_byte() {
        let (house, recording, captures) = rendered().await;
        let segment = house.segments(recording.id).await.remove(3);
        let SegmentState::Stored(location) = &segment.state else { panic!("{segment:?}") };
        let key = location.own().unwrap();
        let before = house.app.objects.get(key).await.unwrap();
        assert!(house.bytes.lose(key));
        house.app.rendering.render_now(&recording, &captures, &segment, Priority::Interactive).await.unwrap().unwrap();
        assert_eq!(house.app.objects.get(key).await.unwrap(), before);
    }
}

mod erase {
    use super::*;

    #[tokio::test]
    async fn nothing_of_a_deleted_recording_is_left_in_storage() {
        let (house, recording) = being_deleted().await;
        house.work().await;
        assert_eq!(house.left(), []);
        let (gone, _) = house.app.store.recording(&house.project(), recording.id).await.unwrap().unwrap();
        assert_eq!(gone.state.deletion, Deletion::Done);
    }

    #[tokio::test]
    async fn a_deletion_goes_on_when_storage_is_back_however_often_it_failed() {
        let (house, _) = being_deleted().await;
        house.bytes.set_full(true);
        for _ in 0..50 {
            house.work().await;
            house.pass(2 * HOUR);
        }
        assert_eq!(house.tasks().await, (1, 0), "it is never given up");
        assert!(!house.bytes.keys().is_empty());
        house.bytes.set_full(false);
        house.work().await;
        assert_eq!(house.left(), []);
    }

    #[tokio::test]
    async fn nothing_is_written_for_a_recording_that_is_being_deleted() {
        let (house, recording) = being_deleted().await;
        house.work().await;
        let key = recording.prefix.analysis(1, 9);
        let put = house.app.objects.put(&recording, Purpose::Analysis, &key, b"late".to_vec()).await;
        assert!(put.unwrap_err().is_deleted());
        let put = house.app.objects.put_announced(recording.id, &key, b"late".to_vec()).await;
        assert!(put.unwrap_err().is_deleted(), "also of what was announced before");
        assert_eq!(house.left(), []);
    }
}

mod sweeping {
    use super::*;

    #[tokio::test]
    async fn what_was_announced_and_never_needed_goes_in_time_and_all_else_stays() {
        let (house, recording, _) = rendered().await;
        let is_needed = |key: &ObjectKey| !key.as_str().ends_with("upload.multipart");
        let needed: Vec<_> = house.bytes.keys().into_iter().filter(is_needed).collect();
        let key = recording.prefix.analysis(1, 9);
        house.app.objects.put(&recording, Purpose::Analysis, &key, b"never needed".to_vec()).await.unwrap();
        let start = house.app.jobs.clock.now().after(Duration::from_secs(1));
        unneeded::old(&house.app.jobs, start).await.unwrap();
        assert!(house.bytes.keys().contains(&key), "it may still be written");
        house.pass(house.app.config.sweep_after + HOUR);
        unneeded::old(&house.app.jobs, start).await.unwrap();
        assert_eq!(house.bytes.keys(), needed);
    }

    #[tokio::test]
    async fn what_somebody_wrote_for_us_and_nobody_needs_goes_and_nothing_beside_it() {
        let (house, recording, _) = rendered().await;
        let key = |name: &str| ObjectKey::parse(format!("{}/9/{name}", recording.prefix.as_str())).unwrap();
        let (project, now) = (house.project(), house.app.jobs.clock.now());
        let folder = key("attempt");
        house.app.store.announce_folder(&project, recording.id, Purpose::Segment, &folder, now).await.unwrap();
        let taken = key("attempt/taken.ts");
        house.app.objects.put(&recording, Purpose::Log, &taken, b"a live one".to_vec()).await.unwrap();
        let theirs = [key("attempt/0.ts"), key("attempt/deep/1.ts"), key("attempt-2/0.ts")];
        for key in &theirs {
            echosphere_storage::ObjectStore::put(&house.bytes, key, b"theirs".as_slice().into()).await.unwrap();
        }
        house.pass(house.app.config.sweep_after + HOUR);
        unneeded::old(&house.app.jobs, house.app.jobs.clock.now()).await.unwrap();
        let left = house.bytes.keys();
        assert!(left.contains(&taken) && left.contains(&theirs[2]), "{left:?}");
        assert!(!left.contains(&theirs[0]) && !left.contains(&theirs[1]), "{left:?}");
        assert!(house.app.store.known_objects(&[folder]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_in_quarantine_goes_when_its_time_is_over() {
        let (house, upload) = quarantined().await;
        clean::expire_quarantine(&house.app.jobs).await.unwrap();
        assert!(house.app.data.spool(upload).exists());
        house.pass(house.app.config.quarantine + HOUR);
        clean::expire_quarantine(&house.app.jobs).await.unwrap();
        assert!(!house.app.data.spool(upload).exists());
        assert!(house.app.store.upload(upload).await.unwrap().is_none());
    }
}

/// A room that has ended and whose capture log is in storage.
pub(super) async fn room(house: &House, seconds: u64, end: Option<&str>) {
    let (recording, capture) = house.begin_room("call").await;
    let now = house.app.jobs.clock.now();
    let chunk = room_chunk(capture.id, "call", now, seconds, end);
    let key = recording.prefix.log_chunk(capture.attempt, 0);
    house.app.objects.put(&recording, Purpose::Log, &key, chunk).await.unwrap();
    house.app.store.room_joined(house.room(recording.id), "RM_call").await.unwrap();
    if seconds > 0 {
        house.app.store.heard(house.room(recording.id), now).await.unwrap();
    }
    house.pass(Duration::from_secs(seconds));
    house.app.store.room_ended(house.room(recording.id), house.app.jobs.clock.now()).await.unwrap();
}

mod finalize {
    use super::*;

    #[tokio::test]
    async fn a_room_that_ended_becomes_a_recording_of_what_was_heard() {
        let house = House::new().await;
        room(&house, 9, Some(ended::STOPPED)).await;
        house.work().await;
        let (recording, captures) = house.recording().await;
        assert_eq!((recording.state.status, recording.state.partial), (Status::Completed, false));
        assert_eq!((captures[0].status, captures[0].error.as_deref()), (CaptureStatus::Complete, None));
        // The timeline begins 0.2 s before the first packet (`Assembler`), and one AAC frame is filled up.
        let off = recording.duration.as_millis() - 9_200;
        assert!((0..=22).contains(&off), "{off} ms");
        assert_eq!(recording.participants.iter().map(|who| who.identity.as_str()).collect::<Vec<_>>(), ["helper"]);
        assert_eq!(recording.tracks.iter().map(|track| track.id.as_str()).collect::<Vec<_>>(), ["TR_helper"]);
        let segments = house.segments(recording.id).await;
        assert!(segments.iter().all(|segment| matches!(segment.state, SegmentState::Stored(_))));
    }

    #[tokio::test]
    async fn a_log_without_an_end_is_partial_and_says_so() {
        let house = House::new().await;
        room(&house, 5, None).await;
        house.work().await;
        let (recording, captures) = house.recording().await;
        assert_eq!((recording.state.status, recording.state.partial), (Status::Completed, true));
        assert_eq!(captures[0].error.as_deref(), Some("the recorder did not come to its end"));
    }

    #[tokio::test]
    async fn a_room_in_which_nobody_spoke_is_completed_and_silent() {
        let house = House::new().await;
        room(&house, 0, Some(ended::STOPPED)).await;
        house.work().await;
        let (recording, _) = house.recording().await;
        assert_eq!((recording.state.status, recording.state.reason), (Status::Completed, Some(Reason::NoAudio)));
        assert_eq!((house.stored(".esl").len(), house.stored(".esc").len()), (2, 0), "what was written there is kept");
    }
}
