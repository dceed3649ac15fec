//! What is kept of what people sent: the packets of each stream in the capture logs of a data directory.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use echosphere_recorder::log::{Body, chunk};

/// Of each stream in each capture log: how many packets its sequence numbers span, and how many are there.
pub fn streams(data: &Path) -> Vec<(u64, u64)> {
    let mut found: HashMap<([u8; 16], u32), HashSet<u64>> = HashMap::new();
    for path in chunks(data) {
        let chunk = chunk::decode(&std::fs::read(path).unwrap()).unwrap();
        for entry in chunk.entries {
            if let Some(Body::Packet(packet)) = entry.body {
                found.entry((*chunk.capture.as_bytes(), packet.stream)).or_default().insert(packet.sequence);
            }
        }
    }
    let span = |numbers: &HashSet<u64>| numbers.iter().max().unwrap() - numbers.iter().min().unwrap() + 1;
    found.values().map(|numbers| (span(numbers), numbers.len() as u64)).collect()
}

fn chunks(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(chunks(&path));
        } else if path.extension().is_some_and(|ending| ending == "esc") {
            found.push(path);
        }
    }
    found
}
