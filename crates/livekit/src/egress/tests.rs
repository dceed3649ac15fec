//! Tests of `egress`, on what LiveKit's Egress 1.14.1 really said.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn info(text: &str) -> EgressInfo {
    EgressInfo::read(&serde_json::from_str(text).unwrap()).unwrap()
}

macro_rules! recorded {
    ($name:literal) => {
        info(include_str!(concat!("../../../../testdata/egress/", $name, "/egress_info.json")))
    };
}

#[test]
fn one_that_was_stopped() {
    let stopped = recorded!("stopped");
    assert_eq!((stopped.id.as_str(), &stopped.status), ("EG_hmU2NXxRMyvQ", &Status::Complete));
    assert_eq!((stopped.room_sid.as_str(), stopped.room_name.as_str()), ("RM_a9LJmHP6Eu7o", "support-call-stopped"));
    assert_eq!(stopped.filename_prefix, "recordings/stopped/segment");
    assert_eq!(stopped.updated_at, Some(WallTime::from_nanos(1_795_440_392_264_707_227)));
    assert!(!stopped.was_cut() && !stopped.heard_nothing() && !stopped.backup_storage_used);
    let segments = stopped.segments.unwrap();
    assert_eq!(segments.playlist_name, "recordings/stopped/playlist.m3u8");
    assert_eq!((segments.count, segments.bytes), (Some(9), Some(935_676)));
}

#[test]
fn one_whose_worker_was_killed_counts_nothing() {
    let killed = recorded!("killed");
    assert_eq!((&killed.status, killed.error.as_str(), killed.error_code), (&Status::Failed, "signal: killed", 500));
    let segments = killed.segments.unwrap();
    assert_eq!((segments.count, segments.bytes, segments.started_at), (None, None, None));
}

#[test]
fn one_whose_upload_was_refused_has_no_nonsense_in_it() {
    let refused = recorded!("upload-refused");
    assert_eq!((&refused.status, refused.error_code), (&Status::Failed, 400));
    assert!(refused.error.contains("SignatureDoesNotMatch"));
    let segments = refused.segments.unwrap();
    assert_eq!((segments.count, segments.ended_at), (None, None));
}

#[test]
fn other_kinds_of_requests_are_read_alike() {
    for (text, prefix) in [
        (include_str!("../../../../testdata/egress/participant/egress_info.json"), "seg"),
        (include_str!("../../../../testdata/egress/track-composite/egress_info.json"), "seg"),
    ] {
        let info = info(text);
        assert!(info.filename_prefix.ends_with(prefix), "{info:?}");
        assert_eq!(info.segments.unwrap().count, Some(4));
    }
}

#[test]
fn reports_are_ordered_in_whatever_order_they_come() {
    let webhook = |text: &str| {
        let body: Value = serde_json::from_str(text).unwrap();
        EgressInfo::read(&body["egressInfo"]).unwrap()
    };
    let reports = [
        webhook(include_str!("../../../../testdata/egress/stopped/webhooks/005_egress_started.json")),
        webhook(include_str!("../../../../testdata/egress/stopped/webhooks/007_egress_updated.json")),
        webhook(include_str!("../../../../testdata/egress/stopped/webhooks/008_egress_updated.json")),
        webhook(include_str!("../../../../testdata/egress/stopped/webhooks/010_egress_ended.json")),
    ];
    assert_eq!(
        reports.clone().map(|report| report.status),
        [Status::Starting, Status::Active, Status::Ending, Status::Complete]
    );
    assert!(reports.is_sorted_by_key(EgressInfo::order));
    let response = info(include_str!("../../../../testdata/egress/stopped/start_response.json"));
    assert_eq!((response.id, response.status), (reports[0].id.clone(), Status::Starting));
}

#[test]
fn what_it_says_of_its_end_is_understood() {
    let ended = |status: &str, error: &str, details: &str| {
        let info = json!({ "egress_id": "EG_1", "status": status, "error": error, "details": details });
        EgressInfo::read(&info).unwrap()
    };
    assert!(ended("EGRESS_COMPLETE", "", "End reason: CPU exhausted").was_cut());
    assert!(ended("EGRESS_COMPLETE", "", "End reason: Process killed").was_cut());
    assert!(!ended("EGRESS_FAILED", "", "End reason: CPU exhausted").was_cut());
    assert!(ended("EGRESS_ABORTED", "Start signal not received", "").heard_nothing());
    let unknown = ended("EGRESS_RESTING", "", "");
    assert_eq!(unknown.status, Status::Unknown("EGRESS_RESTING".to_owned()));
    assert!(!unknown.status.is_terminal() && unknown.status.rank() < Status::Active.rank());
    assert_eq!(EgressInfo::read(&json!({ "status": "EGRESS_ACTIVE" })), None);
    assert_eq!(EgressInfo::read(&json!({ "egress_id": "EG_1", "status": 6 })).unwrap().status, Status::LimitReached);
}

proptest! {
    #[test]
    fn either_spelling_says_the_same(count in 1_u32..1_000, at in 1_i64..i64::MAX, text in "[a-z/_]{0,20}") {
        let proto = json!({ "egress_id": "EG_1", "updated_at": at, "segment_results": [{ "segment_count": count, "playlist_name": text }] });
        let protojson = json!({ "egressId": "EG_1", "updatedAt": at.to_string(), "segmentResults": [{ "segmentCount": count.to_string(), "playlistName": text }] });
        prop_assert_eq!(EgressInfo::read(&proto), EgressInfo::read(&protojson));
    }

    #[test]
    fn no_value_makes_it_panic(text in "[\\[\\]{}\",:a-z0-9_]{0,80}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let _ = EgressInfo::read(&value);
        }
    }
}
