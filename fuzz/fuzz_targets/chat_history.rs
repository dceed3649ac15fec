//! Any bytes as a chat history: every turn has an id of its own, and what is JSON is read as JSON.
#![no_main]

use std::collections::HashSet;

use echosphere_livekit::lenient_json;
use echosphere_livekit::session_upload::chat_history;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let turns = chat_history::parse(data).transcript.turns;
    let ids: HashSet<_> = turns.iter().map(|turn| &turn.id).collect();
    assert_eq!(ids.len(), turns.len());
    // What is kept of it can be read again, whatever it was.
    let kept = lenient_json::read(data).value.to_string();
    assert!(!lenient_json::read(kept.as_bytes()).damaged);
});
