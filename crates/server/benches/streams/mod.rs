//! What is kept of what people sent: the packets of each stream in the capture logs of a data directory.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use echosphere_recorder::log::joined::Table;
use echosphere_recorder::log::{Body, chunk};
use echosphere_testkit::server::files;

/// Of each stream in each capture log: how many packets its sequence numbers span, and how many are there.
pub fn streams(data: &Path) -> Vec<(u64, u64)> {
    let mut found: HashMap<([u8; 16], u32), HashSet<u64>> = HashMap::new();
    let logs = files(data)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "esc" || ending == "esl"));
    for path in logs {
        // Between its being listed and read what is kept of a room may have been divided.
        let Ok(bytes) = std::fs::read(path) else { return streams(data) };
        for chunk in chunks(&bytes) {
            let chunk = chunk::decode(&chunk.to_vec().into()).unwrap();
            for entry in chunk.entries {
                if let Some(Body::Packet(packet)) = entry.body {
                    found.entry((*chunk.capture.as_bytes(), packet.stream)).or_default().insert(packet.sequence);
                }
            }
        }
    }
    assert!(!found.is_empty(), "nothing is kept");
    let span = |numbers: &HashSet<u64>| numbers.iter().max().unwrap() - numbers.iter().min().unwrap() + 1;
    found.values().map(|numbers| (span(numbers), numbers.len() as u64)).collect()
}

/// The chunks in an object: one, or all of a log.
fn chunks(bytes: &[u8]) -> Vec<&[u8]> {
    let Some(table) = Table::parse(bytes) else { return vec![bytes] };
    let ranges = (0..).map_while(|number| table.chunk(number));
    ranges.map(|range| &bytes[range.start as usize..range.end as usize]).collect()
}
