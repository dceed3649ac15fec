//! Any bytes as the header, and as telemetry.
#![no_main]

use echosphere_livekit::session_upload::header::Header;
use echosphere_livekit::telemetry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = Header::parse(data);
    telemetry::read("application/x-protobuf", data);
    telemetry::read("application/json", data);
    let _ = telemetry::inflate(data, 1 << 20);
});
