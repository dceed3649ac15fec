//! Tests of `analysis`.

use super::*;
use proptest::prelude::*;

fn capture() -> CaptureId {
    CaptureId::new(uuid::Uuid::from_u128(7))
}

#[test]
fn a_track_keeps_its_time_whenever_it_is_heard() {
    let window = |tracks: &[(u32, u8)]| Window {
        levels: vec![50; 8],
        peaks: vec![1; 8],
        tracks: tracks.iter().map(|&(stream, level)| TrackLevels { stream, levels: vec![level; 4] }).collect(),
        ..Window::default()
    };
    let mut measured = CaptureAnalysis::new(capture());
    measured.push(&window(&[(0, 60)]), 2);
    measured.push(&Window::default(), 1);
    measured.push(&window(&[(0, 61), (3, 70)]), 2);
    measured.push(&window(&[(3, 71)]), 2);
    assert_eq!((measured.peaks.len(), measured.levels.len()), (7 * 4, 7 * 4));
    assert_eq!(measured.tracks[0].levels, [&[60; 4][..], &[0; 2], &[61; 4], &[0; 4]].concat());
    assert_eq!(measured.tracks[1].levels, [&[0; 6][..], &[70; 4], &[71; 4]].concat());
    let analysis = Analysis { captures: vec![measured] };
    assert_eq!(Analysis::from_bytes(&analysis.to_bytes()), Some(analysis));
}

#[test]
fn what_earlier_versions_wrote_is_read() {
    let bytes = [WITHOUT_TRACKS, &capture().as_uuid().as_bytes()[..], &[1, 0, 0, 0, 9], &[2, 0, 0, 0, 40, 41]].concat();
    let read = Analysis::from_bytes(&bytes).unwrap();
    assert_eq!((&read.captures[0].peaks[..], &read.captures[0].levels[..]), (&[9][..], &[40, 41][..]));
    let tracks = [1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 60];
    let read = Analysis::from_bytes(&[NOT_COMPRESSED, &bytes[4..], &tracks].concat()).unwrap();
    assert_eq!(read.captures[0].tracks, [TrackLevels { stream: 3, levels: vec![60] }]);
}

#[test]
fn levels_take_little_space_and_a_torn_object_is_none() {
    let level = |n: usize| if (n / 900).is_multiple_of(2) { 0 } else { 60 + (n * n / 7 % 12) as u8 };
    let measured = CaptureAnalysis { levels: (0..100_000).map(level).collect(), ..CaptureAnalysis::new(capture()) };
    let bytes = Analysis { captures: vec![measured] }.to_bytes();
    assert!(bytes.len() < 50_000, "{}", bytes.len());
    assert_eq!(Analysis::from_bytes(&bytes[..bytes.len() / 2]), None);
}

proptest! {
    #[test]
    fn stored_and_taken_back(peaks in prop::collection::vec(any::<i8>(), 0..50), levels in prop::collection::vec(any::<u8>(), 0..50)) {
        let tracks = vec![TrackLevels { stream: 5, levels: levels.clone() }];
        let analysis = Analysis { captures: vec![CaptureAnalysis { capture: capture(), peaks, levels, tracks }] };
        prop_assert_eq!(Analysis::from_bytes(&analysis.to_bytes()), Some(analysis));
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in prop_oneof![Just(MAGIC), Just(NOT_COMPRESSED), Just(WITHOUT_TRACKS)]) {
        let _ = Analysis::from_bytes(&[magic, bytes.as_slice()].concat());
        let mut encoder = ZlibEncoder::new(MAGIC.to_vec(), Compression::fast());
        encoder.write_all(&bytes).unwrap();
        let _ = Analysis::from_bytes(&encoder.finish().unwrap());
    }
}
