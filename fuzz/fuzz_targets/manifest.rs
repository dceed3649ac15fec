//! Any bytes to the manifest of an egress.
#![no_main]

use echosphere_livekit::egress_manifest::{MOST_OBJECTS, MOST_PLAYLISTS, Manifest};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(manifest) = Manifest::parse(data) else { return };
    assert!(!manifest.egress_id.is_empty() && manifest.playlists.len() <= MOST_PLAYLISTS);
    assert!(manifest.playlists.iter().chain([&manifest.files]).all(|keys| keys.len() <= MOST_OBJECTS));
});
