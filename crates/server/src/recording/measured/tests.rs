//! Tests of `measured`.

use echosphere_media::tracks::TrackLevels;

use super::*;

const SECOND: u64 = 48_000;

/// Windows of 3.99 s in which stream 7 speaks in every second one.
fn call(windows: Range<u64>, measured: &mut Measured) {
    for number in windows {
        let levels = if number % 2 == 0 { [vec![20; 94], vec![75; 187], vec![20; 93]].concat() } else { vec![20; 374] };
        let window = Window {
            peaks: vec![if number % 2 == 0 { 50 } else { 1 }; 187 * 4],
            tracks: vec![TrackLevels { stream: 7, levels }],
            ..Window::default()
        };
        measured.push(number as u32, &window, 187);
    }
}

fn spoken(measured: &Measured) -> Vec<Range<u64>> {
    measured.spoken().find(|(stream, _)| *stream == 7).map(|(_, spoken)| spoken).unwrap_or_default()
}

fn right(windows: Range<u64>) -> Vec<Range<u64>> {
    let begin = |number: u64| number * 187 * 1_024;
    windows.step_by(2).map(|n| begin(n) + 94 * 512..begin(n) + (94 + 187) * 512).collect()
}

#[test]
fn what_was_spoken_stays_where_it_was_and_memory_stays_flat() {
    let mut measured = Measured::default();
    for at in 0..450 {
        call(at..at + 1, &mut measured);
        assert_eq!(spoken(&measured).len() as u64, at / 2 + 1);
    }
    assert_eq!(spoken(&measured), right(0..450));
    assert!(measured.tracks[&7].levels.capacity() < 2 * (KEPT + BETWEEN));
    assert!(measured.until() > 1_790 * SECOND);
    let waveform = measured.waveform(1_000);
    assert!(waveform.data.contains(&50) && waveform.length() <= 1_000);
}

#[test]
fn what_an_earlier_process_heard_comes_before() {
    let (mut earlier, mut whole) = (Measured::default(), Measured::default());
    call(0..10, &mut earlier);
    call(0..20, &mut whole);
    let mut later = Measured::begin_at(earlier.frames);
    call(10..20, &mut later);
    assert_eq!(later.waveform(100_000).length(), whole.waveform(100_000).length());
    let before = later.windows();
    later.after(earlier);
    assert_eq!(spoken(&later), right(0..20));
    assert!(later.windows() > before && later.until() == whole.until());
    assert_eq!(later.waveform(100_000).length(), whole.waveform(100_000).length());
}

#[test]
fn what_is_drawn_later_is_where_it_would_have_been() {
    let mut drawn = Measured::default();
    let level = |number: u32| [-(number as i8), number as i8, 0, 1];
    let mut expected = Measured::default();
    for number in 0..7 {
        let tracks = vec![TrackLevels { stream: 7, levels: vec![20; 374] }];
        let peaks: Vec<i8> = (0..187).flat_map(|_| level(number)).collect();
        expected.push(number, &Window { peaks, tracks: tracks.clone(), ..Window::default() }, 187);
        drawn.push(number, &Window { tracks, ..Window::default() }, 187);
    }
    assert_eq!((expected.undrawn(), drawn.undrawn()), (None, Some(6)));
    assert!(drawn.waveform(10_000).data.iter().all(|peak| *peak == 0));
    while let Some(number) = drawn.undrawn() {
        let peaks: Vec<i8> = (0..187).flat_map(|_| level(number)).collect();
        drawn.draw(number, u64::from(number) * 187, &peaks);
    }
    assert_eq!(drawn.waveform(10_000), expected.waveform(10_000));
    assert_eq!(drawn.rest, expected.rest);
}
