//! Any bytes to parts that lie inside them.
#![no_main]

use echosphere_livekit::session_upload::multipart::{Lengths, Scanner};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for (content_type, lengths) in [("", Lengths::Ignored), ("multipart/form-data; boundary=x", Lengths::Believed)] {
        let mut scanner = Scanner::new(content_type, lengths);
        data.chunks(31).for_each(|chunk| scanner.push(chunk));
        for part in scanner.finish().parts {
            assert!(part.offset + part.length <= data.len() as u64);
        }
    }
});
