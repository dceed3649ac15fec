//! Any bytes to what a segment is, to its frames of AAC, and to their sound.
#![no_main]

use echosphere_media::aac::Decoder;
use echosphere_media::aac::adts::{Piece, pieces};
use echosphere_media::ts::read;

/// The most samples that are decoded of one input: it is the reader that is to be tried.
const MOST: usize = 1 << 18;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(segment) = read::segment(data) {
        assert!(segment.problems.len() <= read::MOST_PROBLEMS && !segment.streams.is_empty());
        assert!(segment.audio().is_some() || segment.video().is_some());
        let _ = (segment.codecs(), segment.resolution(), segment.channels());
    }
    let Ok(stream) = read::adts(data) else { return };
    let (mut decoder, mut sound) = (Decoder::new(), Vec::new());
    for piece in pieces(&stream) {
        let Piece::Frame { bytes, .. } = piece else { continue };
        let _ = decoder.decode(bytes, &mut sound);
        if sound.len() > MOST {
            break;
        }
    }
    let _ = decoder.finish(&mut sound);
});
