//! A whole hour rendered on two threads, against `ffmpeg -c:a aac -b:a 64k` on the same file: CPU and wall time, one run each.
//!
//! `cargo bench --package echosphere-media`

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use echosphere_media::grid::Grid;
use echosphere_media::ogg::IndexBuilder;
use echosphere_media::render::{ChannelMap, Renderer, source_range};
use echosphere_testkit::session::hour_of_ogg;

/// CPU seconds of this process, or of its ended children, so far.
fn cpu(children: bool) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let at = if children { 13 } else { 11 };
    let ticks: f64 = fields[at].parse::<f64>().unwrap() + fields[at + 1].parse::<f64>().unwrap();
    ticks / 100.0
}

fn main() {
    let ogg = hour_of_ogg();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hour.ogg");
    std::fs::write(&file, &ogg).unwrap();

    let (began, before) = (Instant::now(), cpu(false));
    let mut builder = IndexBuilder::default();
    ogg.chunks(1 << 19).for_each(|chunk| builder.push(chunk));
    let index = builder.finish().unwrap();
    println!(
        "index of {:.0} min, {:.1} MB: {:.0} ms",
        index.total_samples() as f64 / 2_880_000.0,
        ogg.len() as f64 / 1e6,
        began.elapsed().as_secs_f64() * 1e3
    );

    let (next, grid) = (AtomicU32::new(0), Grid::new(index.total_samples(), 4_000));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut renderer = Renderer::new();
                loop {
                    let segment = next.fetch_add(1, Ordering::Relaxed);
                    if segment >= grid.segments() {
                        return;
                    }
                    let frames = grid.segment(segment);
                    let range = source_range(&index, &frames);
                    let bytes = &ogg[range.start as usize..range.end as usize];
                    let window = renderer.render(&index, bytes, ChannelMap::Swap, frames.clone()).unwrap();
                    std::hint::black_box(window.to_ts(segment, frames.start));
                }
            });
        }
    });
    let ours = (cpu(false) - before, began.elapsed().as_secs_f64());

    let (began, before) = (Instant::now(), cpu(true));
    let arguments = ["-v", "error", "-y", "-c:a", "libopus", "-i"];
    let status = Command::new("ffmpeg")
        .args(arguments)
        .arg(&file)
        .args(["-c:a", "aac", "-b:a", "64k"])
        .arg(dir.path().join("out.ts"))
        .status();
    assert!(status.unwrap().success());
    let ffmpeg = (cpu(true) - before, began.elapsed().as_secs_f64());

    println!("EchoSphere, 2 threads: {:6.1} s CPU  {:6.1} s wall", ours.0, ours.1);
    println!("ffmpeg -c:a aac 64k:   {:6.1} s CPU  {:6.1} s wall", ffmpeg.0, ffmpeg.1);
    println!("ratio:                 {:6.2} x CPU  {:6.2} x wall", ffmpeg.0 / ours.0, ffmpeg.1 / ours.1);
}
