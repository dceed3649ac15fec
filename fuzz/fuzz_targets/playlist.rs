//! Any bytes to a media playlist, and its segments to keys.
#![no_main]

use echosphere_media::hls::read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(playlist) = read::media(data) else { return };
    assert!(playlist.segments.len() <= read::MOST_SEGMENTS);
    for segment in &playlist.segments {
        assert!(!segment.name.is_empty());
        let Some(key) = segment.key("recordings/1/playlist.m3u8") else { continue };
        assert!(key.starts_with("recordings/1/") && !key.split('/').any(|part| matches!(part, "" | "." | "..")));
    }
});
