//! Tests of `hls::read`.

use super::*;
use crate::hls::{self, Address, Kind};
use proptest::prelude::*;

const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-ALLOW-CACHE:NO\n#EXT-X-TARGETDURATION:4\n\
                    #EXT-X-MEDIA-SEQUENCE:0\n";

fn read(body: &str) -> Playlist {
    media(format!("{HEAD}{body}").as_bytes()).unwrap()
}

#[test]
fn what_livekit_wrote_of_a_call_that_was_stopped() {
    let playlist = media(include_bytes!("../../../../../testdata/egress/stopped/playlist.m3u8")).unwrap();
    assert!(playlist.is_ended && !playlist.is_cut);
    assert_eq!((playlist.target_seconds, playlist.media_sequence, playlist.segments.len()), (Some(4), 0, 9));
    let first = Segment {
        name: "segment_00000.ts".to_owned(),
        ticks: Some(3994 * 90),
        wall_millis: Some(1_795_440_358_042),
        discontinuity: false,
    };
    assert_eq!(playlist.segments[0], first);
    assert_eq!(playlist.segments[8].ticks, Some(2020 * 90));
    let total: u64 = playlist.segments.iter().filter_map(|segment| segment.ticks).sum();
    assert_eq!(total, 33_972 * 90);
    // Each begins when the one before ends, to the millisecond to which both are written.
    for pair in playlist.segments.windows(2) {
        let length = pair[0].ticks.unwrap().cast_signed() / 90;
        assert!((pair[1].wall_millis.unwrap() - pair[0].wall_millis.unwrap() - length).abs() <= 1, "{pair:?}");
    }
    let key = first.key("recordings/stopped/playlist.m3u8");
    assert_eq!(key.as_deref(), Some("recordings/stopped/segment_00000.ts"));
}

#[test]
fn a_live_playlist_says_how_many_segments_it_no_longer_lists() {
    let playlist = media(include_bytes!("../../../../../testdata/egress/stopped/live.m3u8")).unwrap();
    assert_eq!((playlist.media_sequence, playlist.segments.len(), playlist.is_ended), (4, 5, true));
    assert_eq!(playlist.segments[0].name, "segment_00004.ts");
}

#[test]
fn what_livekit_left_when_it_was_killed_has_no_end() {
    let playlist = media(include_bytes!("../../../../../testdata/egress/killed/playlist.m3u8")).unwrap();
    assert_eq!((playlist.segments.len(), playlist.is_ended, playlist.is_cut), (2, false, false));
}

#[test]
fn lines_may_end_as_on_windows_and_unknown_tags_are_passed_over() {
    let text = "\u{feff}#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n# a remark\r\n#EXT-X-CUE-OUT:DURATION=3\r\n\r\n\
                #EXTINF:3.99,a title, with a comma\r\na b.ts\r\n#EXT-X-DISCONTINUITY\r\n\
                #EXT-X-PROGRAM-DATE-TIME:2026-11-23T15:09:03.4+01:00\r\n#EXTINF:4\r\nsub/b.ts\r\n#EXT-X-ENDLIST";
    let playlist = media(text.as_bytes()).unwrap();
    let [first, second] = &playlist.segments[..] else { panic!("{playlist:?}") };
    assert_eq!((first.name.as_str(), first.ticks, first.wall_millis), ("a b.ts", Some(359_100), None));
    assert_eq!((second.name.as_str(), second.ticks), ("sub/b.ts", Some(360_000)));
    assert_eq!(second.wall_millis, Some(1_795_442_943_400));
    assert!(!first.discontinuity && second.discontinuity && playlist.is_ended && !playlist.is_cut);
}

#[test]
fn a_value_that_cannot_be_read_costs_only_itself() {
    for bad in ["", "-1", "1e3", "NaN", "99999999999999999999999", "86400", ".", "4,0"] {
        let playlist = read(&format!("#EXT-X-PROGRAM-DATE-TIME:yesterday\n#EXTINF:{bad},\na.ts\n#EXTINF:.5,\nb.ts\n"));
        let expected = if bad == "4,0" { Some(360_000) } else { None };
        assert_eq!((playlist.segments[0].ticks, playlist.segments[0].wall_millis), (expected, None), "{bad}");
        assert_eq!(playlist.segments[1].ticks, Some(45_000));
    }
    assert_eq!(read("#EXTINF:3.9938231292517,\na.ts\n").segments[0].ticks, Some(359_444));
}

#[test]
fn a_playlist_that_is_cut_gives_what_came_whole() {
    let whole = format!("{HEAD}#EXTINF:3.994,\na.ts\n#EXTINF:2.020,\nb.ts\n#EXT-X-ENDLIST\n");
    let (of_a, of_b) = (whole.find("a.ts\n").unwrap() + 5, whole.find("b.ts\n").unwrap() + 5);
    for end in "#EXTM3U\n".len()..=whole.len() {
        let playlist = media(&whole.as_bytes()[..end]).unwrap();
        assert_eq!(playlist.segments.len(), usize::from(end >= of_a) + usize::from(end >= of_b), "{end}");
        assert_eq!(playlist.is_ended, end >= whole.len() - 1, "{end}");
        let is_between =
            whole.as_bytes()[end - 1] == b'\n' && !whole[..end].ends_with("4,\n") && !whole[..end].ends_with("0,\n");
        assert_eq!(playlist.is_cut, !is_between && !playlist.is_ended, "{end}");
    }
}

#[test]
fn what_is_no_media_playlist_of_whole_files_is_said() {
    assert_eq!(media(b""), Err(Error::NotAPlaylist));
    assert_eq!(media(b"<?xml"), Err(Error::NotAPlaylist));
    let of = |body: &str| media(format!("{HEAD}{body}\n").as_bytes()).unwrap_err();
    assert_eq!(of("#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8"), Error::Multivariant);
    assert_eq!(of("#EXT-X-BYTERANGE:100@0"), Error::Unsupported("EXT-X-BYTERANGE"));
    assert_eq!(of("#EXT-X-MAP:URI=\"init.mp4\""), Error::Unsupported("EXT-X-MAP"));
    assert_eq!(of("#EXT-X-KEY:METHOD=AES-128,URI=\"key\""), Error::Unsupported("EXT-X-KEY"));
    assert!(read("#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\na.ts\n").segments.len() == 1);
}

#[test]
fn what_is_too_much_is_refused() {
    let lines = |count: usize| format!("{HEAD}{}", "a\n".repeat(count));
    assert_eq!(media(lines(MOST_SEGMENTS).as_bytes()).unwrap().segments.len(), MOST_SEGMENTS);
    assert_eq!(media(lines(MOST_SEGMENTS + 1).as_bytes()), Err(Error::TooManySegments));
    let long = format!("{HEAD}#{}\n", "-".repeat(LONGEST));
    assert_eq!(media(long.as_bytes()), Err(Error::TooLong));
}

#[test]
fn a_segment_lies_beside_its_playlist_or_nowhere() {
    let key = |name: &str, playlist: &str| Segment { name: name.to_owned(), ..Segment::default() }.key(playlist);
    assert_eq!(key("a.ts", "p.m3u8").as_deref(), Some("a.ts"));
    assert_eq!(key("x/a b.ts", "calls/1/p.m3u8").as_deref(), Some("calls/1/x/a b.ts"));
    let elsewhere =
        ["/a.ts", "../a.ts", "x/../../a.ts", "./a.ts", "x//a.ts", "https://example.org/a.ts", "a.ts?b=c", "a\u{0}"];
    for name in elsewhere.iter().copied().chain([&*"a".repeat(1020)]) {
        assert_eq!(key(name, "calls/p.m3u8"), None, "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(#EXTM3U\n)?(#EXT(INF|-X-(PROGRAM-DATE-TIME|DISCONTINUITY|ENDLIST|KEY)):?|[0-9a-zT:.,/+-]{1,8}|\n|\\PC)*") {
        if let Ok(playlist) = media(text.as_bytes()) {
            prop_assert!(playlist.segments.iter().all(|segment| !segment.name.is_empty() && !segment.name.contains('\n')));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = media(&[HEAD.as_bytes(), &bytes].concat());
    }

    #[test]
    fn what_we_write_is_read_back(segments in prop::collection::vec((0_u64..90_000_000, 0_i64..4_000_000_000_000, any::<bool>()), 0..20)) {
        let written: Vec<hls::Segment> = segments.iter().map(|&(ticks, wall_millis, discontinuity)| {
            hls::Segment { ticks, wall_millis, discontinuity, gap: false, map: None }
        }).collect();
        for kind in [Kind::Ended, Kind::Growing] {
            let text = hls::media(kind, &written, &mut |address, out| {
                let Address::Segment(position) = address else { return };
                out.push_str(&format!("{position}.ts"));
            });
            let read = media(text.as_bytes()).unwrap();
            prop_assert_eq!((read.is_ended, read.is_cut), (kind == Kind::Ended, false));
            let expected: Vec<Segment> = written.iter().enumerate().map(|(position, segment)| Segment {
                name: format!("{position}.ts"),
                ticks: Some(segment.ticks),
                wall_millis: Some(segment.wall_millis),
                discontinuity: segment.discontinuity,
            }).collect();
            prop_assert_eq!(read.segments, expected);
        }
    }
}
