//! Any bytes as a chat history: every turn has an id of its own.
#![no_main]

use std::collections::HashSet;

use echosphere_livekit::session_upload::chat_history;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let turns = chat_history::parse(data).transcript.turns;
    let ids: HashSet<_> = turns.iter().map(|turn| &turn.id).collect();
    assert_eq!(ids.len(), turns.len());
});
