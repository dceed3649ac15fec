//! Any bytes as a chunk of a capture log, and what is made of the entries that come out.
#![no_main]

use echosphere_recorder::log::chunk;
use echosphere_recorder::sound::{Assembler, Index, Layout};
use echosphere_recorder::room_transcript::RoomTranscript;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Index::from_bytes(bytes);
    let bytes = bytes.to_vec().into();
    let (Ok(chunk), Ok(packets)) = (chunk::decode(&bytes), chunk::packets(&bytes)) else { return };
    let (mut assembler, mut words) = (Assembler::new(Layout::AgentLeft, 1_000_000_000), RoomTranscript::default());
    for entry in &chunk.entries {
        assembler.take(entry, 0);
        words.take(entry);
    }
    let _ = words.transcript();
    if let Some(index) = assembler.index() {
        let _ = index.tracks(packets, &(0..48_000));
    }
});
