//! What livekit-server and an egress worker say to each other (livekit/protocol, `rpc/egress.proto` and `rpc/io.proto`). The messages of the
//! public interface among them are those of the crate `livekit-protocol`, which is nothing but types; its `rpc` messages are not in it.

use livekit_protocol as proto;
use proto::{egress_info, encoded_file_output, image_output, segmented_file_output};

use super::channel::Method;

/// A server asks all workers to begin an egress: [`StartEgressRequest`]; one answers with its `EgressInfo`.
pub const START: Method = Method { service: "EgressInternal", name: "StartEgress" };
/// A server asks the worker of an egress, the topic, to end it: `StopEgressRequest`, answered with its `EgressInfo`. A request for one of
/// many ([`super::queue`]).
pub const STOP: Method = Method { service: "EgressHandler", name: "StopEgress" };
/// A server asks the worker of an egress, the topic, to stream elsewhere: `UpdateStreamRequest`. A request for one of many.
pub const UPDATE_STREAM: Method = Method { service: "EgressHandler", name: "UpdateStream" };
/// A worker tells a server of an egress that it begins: its `EgressInfo`, answered with nothing. What the server knows already is no news
/// to it, and then it sends no `egress_started`.
pub const CREATE: Method = Method { service: "IOInfo", name: "CreateEgress" };
/// A worker tells a server how an egress is: its `EgressInfo`, answered with nothing. The server keeps the last one that it is told,
/// whatever the times in it.
pub const UPDATE: Method = Method { service: "IOInfo", name: "UpdateEgress" };

/// `rpc.StartEgressRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StartEgressRequest {
    /// The egress's id, the same in each attempt to start it.
    #[prost(string, tag = "1")]
    pub egress_id: String,
    /// LiveKit's id of the room.
    #[prost(string, tag = "3")]
    pub room_id: String,
    /// The token with which to join; empty when the worker is to make its own.
    #[prost(string, tag = "8")]
    pub token: String,
    /// The server's URL; empty when it is in the worker's configuration.
    #[prost(string, tag = "9")]
    pub ws_url: String,
    /// LiveKit Cloud's own.
    #[prost(bool, tag = "10")]
    pub cloud_backup_enabled: bool,
    /// LiveKit Cloud's own.
    #[prost(double, tag = "14")]
    pub estimated_cpu: f64,
    /// LiveKit Cloud's own.
    #[prost(int32, tag = "15")]
    pub retry_count: i32,
    /// The room's name; empty when the request says it.
    #[prost(string, tag = "18")]
    pub room_name: String,
    /// What is asked for.
    #[prost(oneof = "Asked", tags = "5, 6, 7, 11, 13, 16, 17")]
    pub request: Option<Asked>,
}

/// What is asked for.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Asked {
    /// Everybody, mixed.
    #[prost(message, tag = "5")]
    RoomComposite(proto::RoomCompositeEgressRequest),
    /// One sound and one picture.
    #[prost(message, tag = "6")]
    TrackComposite(proto::TrackCompositeEgressRequest),
    /// One track as it is.
    #[prost(message, tag = "7")]
    Track(proto::TrackEgressRequest),
    /// A web page.
    #[prost(message, tag = "11")]
    Web(proto::WebEgressRequest),
    /// All that one participant publishes.
    #[prost(message, tag = "13")]
    Participant(proto::ParticipantEgressRequest),
    /// Any of these, as the second version of the interface says it.
    #[prost(message, tag = "16")]
    Egress(proto::StartEgressRequest),
    /// LiveKit Cloud's own.
    #[prost(message, tag = "17")]
    Replay(proto::ExportReplayRequest),
}

impl StartEgressRequest {
    /// The room's name; empty if the request has none.
    pub fn room(&self) -> &str {
        match &self.request {
            _ if !self.room_name.is_empty() => &self.room_name,
            Some(Asked::RoomComposite(it)) => &it.room_name,
            Some(Asked::TrackComposite(it)) => &it.room_name,
            Some(Asked::Track(it)) => &it.room_name,
            Some(Asked::Participant(it)) => &it.room_name,
            Some(Asked::Egress(it)) => &it.room_name,
            Some(Asked::Web(_) | Asked::Replay(_)) | None => "",
        }
    }

    /// The segments that it asks for, of a composite or a participant; `None` if it asks for something else.
    pub fn segments(&self) -> Option<&proto::SegmentedFileOutput> {
        match self.request.as_ref()? {
            Asked::RoomComposite(it) => it.segment_outputs.first(),
            Asked::TrackComposite(it) => it.segment_outputs.first(),
            Asked::Participant(it) => it.segment_outputs.first(),
            Asked::Track(_) | Asked::Web(_) | Asked::Egress(_) | Asked::Replay(_) => None,
        }
    }

    /// The file that it asks for, of a composite or a participant; `None` if it asks for something else.
    pub fn file(&self) -> Option<&proto::EncodedFileOutput> {
        match self.request.as_ref()? {
            Asked::RoomComposite(it) => it.file_outputs.first(),
            Asked::TrackComposite(it) => it.file_outputs.first(),
            Asked::Participant(it) => it.file_outputs.first(),
            Asked::Track(_) | Asked::Web(_) | Asked::Egress(_) | Asked::Replay(_) => None,
        }
    }

    /// What a worker first says of it, at this time in nanoseconds since 1970: that it begins. Its secrets are not in it, nor is a request for
    /// anything but segments, files and images of a composite or a participant.
    pub fn begun(&self, now: i64) -> proto::EgressInfo {
        let results: Vec<_> = self.segments().map(announced).into_iter().collect();
        let file = self.file().map(|file| proto::FileInfo { filename: file.filepath.clone(), ..Default::default() });
        #[expect(deprecated, reason = "workers say it both ways")]
        let result = match (results.first(), &file) {
            (Some(segments), None) => Some(egress_info::Result::Segments(segments.clone())),
            (None, Some(file)) => Some(egress_info::Result::File(file.clone())),
            _ => None,
        };
        proto::EgressInfo {
            egress_id: self.egress_id.clone(),
            room_id: self.room_id.clone(),
            room_name: self.room().to_owned(),
            source_type: proto::EgressSourceType::Sdk.into(),
            status: proto::EgressStatus::EgressStarting.into(),
            started_at: now,
            updated_at: now,
            request: self.request.clone().and_then(without_secrets),
            file_results: file.into_iter().collect(),
            segment_results: results,
            result,
            ..proto::EgressInfo::default()
        }
    }
}

/// The folder of an output's playlists: their own, or else that of the segments. With the `/` at its end, unless it is empty.
pub fn folder(output: &proto::SegmentedFileOutput) -> &str {
    let folder = |path: &'_ str| path.rfind('/').map_or(0, |end| end + 1);
    match folder(&output.playlist_name) {
        0 => &output.filename_prefix[..folder(&output.filename_prefix)],
        end => &output.playlist_name[..end],
    }
}

fn announced(output: &proto::SegmentedFileOutput) -> proto::SegmentsInfo {
    if output.playlist_name.is_empty() {
        let playlist_name = format!("{}.m3u8", output.filename_prefix);
        return announced(&proto::SegmentedFileOutput { playlist_name, ..output.clone() });
    }
    let key = |name: &str| match name.rsplit('/').next() {
        Some(name) if !name.is_empty() => format!("{}{name}", folder(output)),
        _ => String::new(),
    };
    let (playlist_name, live_playlist_name) = (key(&output.playlist_name), key(&output.live_playlist_name));
    proto::SegmentsInfo { playlist_name, live_playlist_name, ..proto::SegmentsInfo::default() }
}

/// Puts their names in the place of secrets, as LiveKit's own worker does. Storage that is not S3's is left out, and so are streams, whose
/// addresses are secrets.
fn without_secrets(mut request: Asked) -> Option<egress_info::Request> {
    let (segments, files, images) = match &mut request {
        Asked::RoomComposite(it) => {
            (it.output, it.stream_outputs) = (None, Vec::new());
            (&mut it.segment_outputs, &mut it.file_outputs, &mut it.image_outputs)
        }
        Asked::TrackComposite(it) => {
            (it.output, it.stream_outputs) = (None, Vec::new());
            (&mut it.segment_outputs, &mut it.file_outputs, &mut it.image_outputs)
        }
        Asked::Participant(it) => {
            it.stream_outputs = Vec::new();
            (&mut it.segment_outputs, &mut it.file_outputs, &mut it.image_outputs)
        }
        Asked::Track(_) | Asked::Web(_) | Asked::Egress(_) | Asked::Replay(_) => return None,
    };
    for output in segments {
        let Some(segmented_file_output::Output::S3(s3)) = output.output.take() else { continue };
        output.output = Some(segmented_file_output::Output::S3(blank(s3)));
    }
    for output in files {
        let Some(encoded_file_output::Output::S3(s3)) = output.output.take() else { continue };
        output.output = Some(encoded_file_output::Output::S3(blank(s3)));
    }
    for output in images {
        let Some(image_output::Output::S3(s3)) = output.output.take() else { continue };
        output.output = Some(image_output::Output::S3(blank(s3)));
    }
    match request {
        Asked::RoomComposite(it) => Some(egress_info::Request::RoomComposite(it)),
        Asked::TrackComposite(it) => Some(egress_info::Request::TrackComposite(it)),
        Asked::Participant(it) => Some(egress_info::Request::Participant(it)),
        Asked::Track(_) | Asked::Web(_) | Asked::Egress(_) | Asked::Replay(_) => None,
    }
}

fn blank(mut s3: proto::S3Upload) -> proto::S3Upload {
    for (secret, name) in [
        (&mut s3.access_key, "{access_key}"),
        (&mut s3.secret, "{secret}"),
        (&mut s3.session_token, "{session_token}"),
        (&mut s3.assume_role_external_id, "{external_id}"),
    ] {
        if !secret.is_empty() {
            name.clone_into(secret);
        }
    }
    s3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(prefix: &str, playlist: &str) -> proto::SegmentedFileOutput {
        proto::SegmentedFileOutput {
            filename_prefix: prefix.to_owned(),
            playlist_name: playlist.to_owned(),
            ..proto::SegmentedFileOutput::default()
        }
    }

    #[test]
    fn playlists_are_in_their_own_folder_or_in_that_of_the_segments() {
        assert_eq!(folder(&output("a/b/segment", "playlist.m3u8")), "a/b/");
        assert_eq!(folder(&output("a/b/segment", "c/playlist.m3u8")), "c/");
        assert_eq!(folder(&output("segment", "playlist.m3u8")), "");
        assert_eq!(announced(&output("a/s", "p.m3u8")).playlist_name, "a/p.m3u8");
        assert_eq!(announced(&output("a/s", "p.m3u8")).live_playlist_name, "");
        assert_eq!(announced(&output("a/s", "")).playlist_name, "a/s.m3u8");
    }

    #[test]
    fn no_secret_of_any_storage_is_repeated() {
        let mut wanted = proto::RoomCompositeEgressRequest::default();
        let s3 = proto::S3Upload { secret: "s3cret".to_owned(), ..proto::S3Upload::default() };
        let gcp = proto::GcpUpload { credentials: "s3cret".to_owned(), ..proto::GcpUpload::default() };
        for kept in [segmented_file_output::Output::S3(s3.clone()), segmented_file_output::Output::Gcp(gcp)] {
            wanted.segment_outputs.push(proto::SegmentedFileOutput { output: Some(kept), ..output("a/s", "p.m3u8") });
        }
        let kept = Some(encoded_file_output::Output::S3(s3.clone()));
        wanted.file_outputs.push(proto::EncodedFileOutput { output: kept, ..Default::default() });
        let kept = Some(image_output::Output::S3(s3));
        wanted.image_outputs.push(proto::ImageOutput { output: kept, ..Default::default() });
        wanted
            .stream_outputs
            .push(proto::StreamOutput { urls: vec!["rtmp://x/s3cret".to_owned()], ..Default::default() });
        let request = Some(Asked::RoomComposite(wanted));
        let info = StartEgressRequest { request, ..StartEgressRequest::default() }.begun(1);
        assert!(!format!("{info:?}").contains("s3cret"));
        assert!(format!("{info:?}").contains("secret: \"{secret}\", session_token: \"\""), "{info:?}");
    }
}
