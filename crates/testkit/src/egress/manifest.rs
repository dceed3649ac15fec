//! What an egress leaves beside what it wrote, at a good end.

use livekit_protocol as proto;
use serde_json::{Value, json};

/// The manifest of an egress that wrote these (`playlists` or `files`).
pub fn manifest(info: &proto::EgressInfo, kind: &str, written: &Value) -> String {
    let manifest = json!({
        "egress_id": info.egress_id,
        "room_id": info.room_id,
        "room_name": info.room_name,
        "started_at": info.started_at,
        "ended_at": info.ended_at,
        kind: written,
    });
    manifest.to_string()
}
