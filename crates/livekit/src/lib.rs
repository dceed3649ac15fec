//! LiveKit's wire formats as far as EchoSphere uses them: access tokens, the agents SDK's session uploads and telemetry, webhooks, what Egress says
//! and leaves, and the messages by which servers and egress workers call one another.
//!
//! Everything is parsed leniently: unknown fields are ignored, unknown items kept as unknown. No I/O, no clock.

pub mod egress;
pub mod egress_manifest;
pub mod lenient_json;
pub mod protojson;
pub mod psrpc;
pub mod session_upload;
pub mod telemetry;
pub mod token;
pub mod webhook;
