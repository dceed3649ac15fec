//! LiveKit's wire, as far as EchoSphere speaks it: access tokens, the agents SDK's session uploads and its telemetry.
//!
//! Everything is parsed leniently: unknown fields are ignored, unknown items kept as unknown. No I/O, no clock.

pub mod lenient_json;
pub mod session_upload;
pub mod telemetry;
pub mod token;
pub mod webhook;
