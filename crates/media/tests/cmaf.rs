//! Opus in fragmented MP4 against its source: what another decoder makes of both is the same, sample by sample.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::Range;

use echosphere_media::cmaf::{self, Cut, Layout};
use echosphere_media::ogg::OpusIndex;
use echosphere_testkit::session::{Session, index};
use echosphere_testkit::sound;

fn cut(ogg: &[u8], index: &OpusIndex, window: Range<i64>) -> Cut {
    let range = index.byte_range(window.clone());
    cmaf::cut(index, &ogg[range.start as usize..range.end as usize], window)
}

/// The windows of this length, in samples.
fn windows(index: &OpusIndex, length: i64) -> impl Iterator<Item = Range<i64>> {
    let total = index.total_samples() as i64;
    (0..=total.div_euclid(length))
        .map(move |n| n * length..total.min((n + 1) * length))
        .filter(|window| !window.is_empty())
}

#[test]
fn what_is_heard_is_the_source_sample_by_sample() {
    for session in ["order", "reservation"] {
        let ogg = Session::load(session).ogg();
        let index = index(&ogg);
        let source = sound::decode(&ogg, "ogg");
        for (layout, is_swapped) in [(Layout::Stereo, false), (Layout::Swapped, true)] {
            let mut file = cmaf::init(layout, 0);
            for (number, window) in (1..).zip(windows(&index, 4 * 48_000)) {
                let cut = cut(&ogg, &index, window);
                file.extend(cmaf::segment(number, cut.decode_time(), &cut.samples));
            }
            // ffmpeg decodes every packet of a fragmented file whole: the edit list and the length of the last one are left to us.
            let heard = sound::decode(&file, "mp4").0[2 * cmaf::EDIT as usize..][..source.0.len()].to_vec();
            let mut expected = source.0.clone();
            if is_swapped {
                expected.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.swap(0, 1));
            }
            let differing = heard.iter().zip(&expected).filter(|(heard, expected)| heard != expected).count();
            assert_eq!(differing, 0, "{session} {layout:?}");
        }
    }
}

#[test]
fn windows_that_touch_have_touching_cuts_of_any_length() {
    let ogg = Session::load("order").ogg();
    let index = index(&ogg);
    let total = index.total_samples() as i64;
    let whole = cut(&ogg, &index, 0..total);
    assert_eq!(whole.duration(), (total + 312) as u64);
    for length in [1_000, 48_000, 191_488, 1_440_000] {
        let mut at = whole.start;
        let mut all = Vec::new();
        for window in windows(&index, length) {
            let part = cut(&ogg, &index, window.clone());
            assert_eq!(part.start, at, "{window:?}");
            assert!(window.start == 0 || index.edge(window.start) == at, "known without reading it");
            assert!((0..960).contains(&(part.start - window.start)) || window.start == 0, "{window:?} {}", part.start);
            at += part.duration() as i64;
            all.extend(part.samples);
        }
        assert_eq!(all, whole.samples, "{length}");
    }
}
