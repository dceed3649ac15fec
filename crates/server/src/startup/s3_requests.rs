//! Counts the requests to an S3 server, by what they were for.

use axum::http::StatusCode;
use echosphere_storage::marked::MARKER;
use echosphere_storage::s3::{Observer, Request};

/// Counts requests, and notes by how much the server's clock differs.
#[derive(Debug)]
pub(super) struct S3Requests;

impl Observer for S3Requests {
    fn answered(&self, request: Request, path: &str, status: Option<StatusCode>, ahead: Option<i64>) {
        let status = match status.map(|status| status.as_u16() / 100) {
            None => "none",
            Some(2) => "2xx",
            Some(3) => "3xx",
            Some(4) => "4xx",
            Some(_) => "5xx",
        };
        metrics::counter!(
            "echosphere_s3_requests_total",
            "request" => request.as_str(), "purpose" => purpose(path), "status" => status
        )
        .increment(1);
        if let Some(ahead) = ahead {
            metrics::gauge!("echosphere_s3_clock_difference_seconds").set(ahead as f64 / 1e3);
        }
    }
}

/// What a request is for, by the key of its object.
fn purpose(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match (name, ending) {
        ("upload.multipart", _) => "upload",
        (_, "esc") => "chunk",
        (_, "ogg" | "esl") => "sound_or_log",
        ("chat_history.json" | "header.binpb", _) => "words",
        (_, "ts") => "segment",
        (_, "bin") => "analysis",
        (MARKER, _) => "marker",
        _ if path.contains("/telemetry/") => "telemetry",
        _ if path.contains("/sidecars/") || path.contains("/deleted/") => "sidecar",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::purpose;

    #[test]
    fn each_kind_of_object_is_counted_apart() {
        for (path, expected) in [
            ("/b/recordings/s/id/1/log/000001.esc", "chunk"),
            ("/b/recordings/s/id/1/upload.multipart", "upload"),
            ("/b/recordings/s/id/1/sound.ogg", "sound_or_log"),
            ("/b/recordings/s/id/1/audio/r1/00001.ts", "segment"),
            ("/b/recordings/s/id/1/analysis-r1.bin", "analysis"),
            ("/b/p/echosphere-store-id", "marker"),
            ("/b/sidecars/p/id.json.gz", "sidecar"),
            ("/b", "other"),
        ] {
            assert_eq!(purpose(path), expected, "{path}");
        }
    }
}
