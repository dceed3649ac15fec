//! Prints, for each stream of a capture log and each five seconds of it, the least and the middle delay of its packets: what the
//! clock of `echosphere_recorder::clock` is made from. `cargo run --example delays -- FOLDER_OF_CHUNKS`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::collections::BTreeMap;

use echosphere_recorder::log::{Body, chunk};

fn main() {
    let folder = std::env::args().nth(1).expect("a folder of chunks");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut delays: BTreeMap<(u32, i64), Vec<f64>> = BTreeMap::new();
    let mut first: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    for file in files {
        for entry in chunk::decode(&std::fs::read(file).unwrap().into()).unwrap().entries {
            if let Some(Body::Packet(packet)) = entry.body {
                let rtp = packet.rtp as i64;
                let (rtp0, at0) = *first.entry(packet.stream).or_insert((rtp, entry.at));
                let delay = (entry.at - at0) as f64 / 1e6 - (rtp - rtp0) as f64 / 48.0;
                delays.entry((packet.stream, (rtp - rtp0) / 240_000)).or_default().push(delay);
            }
        }
    }
    for ((stream, bucket), mut list) in delays {
        list.sort_by(f64::total_cmp);
        println!(
            "stream {stream} {:>4} s: least {:7.2} ms, middle {:7.2} ms, {} packets",
            bucket * 5,
            list[0],
            list[list.len() / 2],
            list.len()
        );
    }
}
