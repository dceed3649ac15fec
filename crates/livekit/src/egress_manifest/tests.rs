//! Tests of `egress_manifest`.

use super::*;
use proptest::prelude::*;

const STOPPED: &[u8] = include_bytes!("../../../../testdata/egress/stopped/EG_hmU2NXxRMyvQ.json");

#[test]
fn what_livekit_wrote_of_segments() {
    let manifest = Manifest::parse(STOPPED).unwrap();
    assert_eq!((manifest.egress_id.as_str(), manifest.room_sid.as_str()), ("EG_hmU2NXxRMyvQ", "RM_a9LJmHP6Eu7o"));
    assert_eq!(manifest.room_name, "support-call-stopped");
    assert_eq!(manifest.started_at, Some(WallTime::from_nanos(1_795_440_357_640_167_493)));
    assert_eq!(manifest.ended_at, Some(WallTime::from_nanos(1_795_440_392_264_707_227)));
    let expected: Vec<String> = (0..9).map(|n| format!("recordings/stopped/segment_0000{n}.ts")).collect();
    assert_eq!(manifest.playlists, [expected]);
    assert!(manifest.files.is_empty() && !manifest.is_damaged);
}

#[test]
fn what_livekit_wrote_of_a_participant_and_of_one_file() {
    let participant = include_bytes!("../../../../testdata/egress/participant/EG_7Jf9hRsyEahU.json");
    assert_eq!(Manifest::parse(participant).unwrap().playlists[0].len(), 4);
    let file = include_bytes!("../../../../testdata/egress/room-ogg/EG_cq4rbi8CiLHk.json");
    let file = Manifest::parse(file).unwrap();
    assert_eq!((file.files, file.playlists), (vec!["recordings/kind-roomogg/call.ogg".to_owned()], vec![]));
}

#[test]
fn a_manifest_that_is_cut_gives_what_came() {
    let cut = Manifest::parse(&STOPPED[..900]).unwrap();
    assert!(cut.is_damaged && (3..9).contains(&cut.playlists[0].len()), "{cut:?}");
}

#[test]
fn times_may_be_texts_and_what_is_no_time_is_none() {
    let times = |text: &str| {
        let manifest = Manifest::parse(format!("{{\"egress_id\":\"EG_1\",\"started_at\":{text}}}").as_bytes()).unwrap();
        manifest.started_at.map(WallTime::as_nanos)
    };
    assert_eq!(times("\"1795440357640167493\""), Some(1_795_440_357_640_167_493));
    for bad in ["0", "-1795440357640167493", "1e300", "null", "\"soon\"", "[]"] {
        assert_eq!(times(bad), None, "{bad}");
    }
}

#[test]
fn an_object_without_a_key_is_left_out_and_said() {
    let text = r#"{"egress_id":"EG_1","playlists":[{"segments":[{"filename":"a"},{"location":"https://x/b"},7]},{}]}"#;
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!((manifest.playlists, manifest.is_damaged), (vec![vec!["a".to_owned()], vec![]], true));
}

#[test]
fn what_is_no_manifest_or_too_much_is_said() {
    for other in ["", "[]", "{}", "{\"egress_id\":7}", "{\"egress_id\":\"\"}", "not json"] {
        assert_eq!(Manifest::parse(other.as_bytes()), Err(Error::NotAManifest), "{other}");
    }
    assert_eq!(Manifest::parse(&vec![b' '; LONGEST + 1]), Err(Error::TooLong));
    let files = r#"{"filename":"a"},"#.repeat(MOST_OBJECTS + 1);
    let many = format!("{{\"egress_id\":\"EG_1\",\"files\":[{}]}}", files.trim_end_matches(','));
    let many = Manifest::parse(many.as_bytes()).unwrap();
    assert_eq!((many.files.len(), many.is_damaged), (MOST_OBJECTS, true));
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(at in 0_usize..1584, byte in any::<u8>(), end in 0_usize..1584) {
        let mut bytes = STOPPED.to_vec();
        bytes[at] = byte;
        let _ = Manifest::parse(&bytes);
        let _ = Manifest::parse(&bytes[..end]);
    }
}
