//! Windows rendered apart against one pass over the whole: the same sound, no click between them.

#![allow(clippy::unwrap_used, reason = "a test may")]

use echosphere_media::aac::FRAME;
use echosphere_media::grid::Grid;
use echosphere_media::ogg::OpusIndex;
use echosphere_media::render::{ChannelMap, Renderer, source_range};
use echosphere_testkit::session::{Session, index};
use echosphere_testkit::sound::{self, Pcm};

/// Renders in windows of a grid and decodes what comes out.
fn render(ogg: &[u8], index: &OpusIndex, target_ms: u64) -> Pcm {
    let grid = Grid::new(index.total_samples(), target_ms);
    let mut renderer = Renderer::new();
    let mut aac = Vec::new();
    for segment in 0..grid.segments() {
        let frames = grid.segment(segment);
        let range = source_range(index, &frames);
        let bytes = &ogg[range.start as usize..range.end as usize];
        aac.extend(renderer.render(index, bytes, ChannelMap::Keep, frames).unwrap().aac);
    }
    sound::decode(&aac, "aac")
}

/// Mean error against the source in dB, of the frames near a seam and of all others; silent frames do not count.
fn errors(source: &Pcm, rendered: &Pcm, seams: &[usize]) -> (f64, f64) {
    let (mut seam, mut elsewhere) = ((0.0, 0), (0.0, 0));
    for frame in 4..source.0.len().min(rendered.0.len()) / (2 * FRAME) - 4 {
        let range = frame * 2 * FRAME..(frame + 1) * 2 * FRAME;
        let signal: f64 = source.0[range.clone()].iter().map(|&x| f64::from(x).powi(2)).sum();
        if signal / (2.0 * FRAME as f64) < 1e4 {
            continue;
        }
        let pairs = source.0[range.clone()].iter().zip(&rendered.0[range]);
        let error: f64 = pairs.map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum();
        let near = seams.iter().any(|&seam| (seam.saturating_sub(3)..=seam + 1).contains(&frame));
        let sum = if near { &mut seam } else { &mut elsewhere };
        *sum = (sum.0 + 10.0 * (error / signal).max(1e-9).log10(), sum.1 + 1);
    }
    (seam.0 / f64::from(seam.1), elsewhere.0 / f64::from(elsewhere.1))
}

#[test]
fn the_error_at_seams_is_no_higher_than_elsewhere() {
    for session in ["order", "reservation"] {
        let ogg = Session::load(session).ogg();
        let (index, source) = (index(&ogg), sound::decode(&ogg, "ogg"));
        // Windows of a second: four times the seams, so that the mean over them means something.
        let grid = Grid::new(index.total_samples(), 1_000);
        let seams: Vec<usize> = (1..grid.segments()).map(|n| grid.segment(n).start as usize).collect();
        let one_pass = errors(&source, &render(&ogg, &index, u64::MAX / 96), &seams);
        let windows = errors(&source, &render(&ogg, &index, 1_000), &seams);
        println!(
            "{session}: in windows {:.1} dB at seams, {:.1} dB elsewhere; in one pass {:.1} and {:.1} dB",
            windows.0, windows.1, one_pass.0, one_pass.1
        );
        assert!(windows.0 <= windows.1 + 1.0, "{windows:?}");
        assert!(windows.0 <= one_pass.0 + 1.0, "{windows:?} {one_pass:?}");
    }
}
