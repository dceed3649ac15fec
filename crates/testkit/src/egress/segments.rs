//! What an egress of segments writes: these, playlists and a manifest. Keys and texts are those of LiveKit's own worker.

use std::time::Duration;

use bytes::Bytes;
use echosphere_livekit::psrpc::egress;
use livekit_protocol as proto;
use serde_json::json;

use super::bucket::Bucket;
use super::manifest::manifest;

/// How many segments a live playlist lists.
const LIVE: usize = 5;
/// The length of segments when the request says none, in seconds.
const DEFAULT_LENGTH: u32 = 4;

/// The segments of an egress.
pub struct Segments {
    bucket: Bucket,
    request: proto::SegmentedFileOutput,
    /// What it is so far, as it is reported.
    pub info: proto::SegmentsInfo,
    listed: Vec<Listed>,
}

struct Listed {
    name: String,
    length: Duration,
    /// When it begins, in milliseconds since 1970.
    begins: i64,
}

impl Segments {
    /// Nothing has been written.
    pub fn new(bucket: Bucket, request: proto::SegmentedFileOutput, info: proto::SegmentsInfo) -> Self {
        Self { bucket, request, info, listed: Vec::new() }
    }

    /// How many segments there are.
    pub fn written(&self) -> usize {
        self.listed.len()
    }

    /// Writes the next segment, unless its upload gets lost, and lists it.
    pub async fn segment(&mut self, length: Duration, bytes: Bytes, is_lost: bool) -> Result<(), String> {
        let before: Duration = self.listed.iter().map(|listed| listed.length).sum();
        let begins = self.info.started_at / 1_000_000 + before.as_millis() as i64;
        let name = format!("{}{}.ts", last(&self.request.filename_prefix), self.suffix(begins));
        let size = bytes.len() as i64;
        if !is_lost {
            self.put(&name, bytes).await?;
        }
        self.listed.push(Listed { name, length, begins });
        self.info.size += size;
        self.info.segment_count += 1;
        self.playlists(false).await
    }

    /// Writes what says that there is nothing more; returns where the manifest is, if one is wanted.
    pub async fn end(&mut self, info: &proto::EgressInfo) -> Result<String, String> {
        self.info.ended_at = info.ended_at;
        // By the clock: it is not the sum of the segments.
        self.info.duration = info.ended_at - self.info.started_at;
        self.playlists(true).await?;
        if self.request.disable_manifest {
            return Ok(String::new());
        }
        let name = format!("{}.json", info.egress_id);
        self.put(&name, self.manifest(info).into()).await?;
        Ok(self.location(&name))
    }

    fn suffix(&self, begins: i64) -> String {
        if self.request.filename_suffix() == proto::SegmentedFileSuffix::Timestamp {
            let time = jiff::Timestamp::from_millisecond(begins).unwrap();
            return format!("_{}", time.strftime("%Y%m%d%H%M%S%3f"));
        }
        format!("_{:05}", self.listed.len())
    }

    async fn playlists(&mut self, has_ended: bool) -> Result<(), String> {
        let name = last(&self.info.playlist_name).to_owned();
        self.put(&name, self.playlist("#EXT-X-PLAYLIST-TYPE:EVENT\n", 0, has_ended).into()).await?;
        self.info.playlist_location = self.location(&name);
        let live = last(&self.info.live_playlist_name).to_owned();
        if !live.is_empty() {
            let first = self.listed.len().saturating_sub(LIVE);
            self.put(&live, self.playlist("", first, has_ended).into()).await?;
            self.info.live_playlist_location = self.location(&live);
        }
        Ok(())
    }

    fn playlist(&self, kind: &str, first: usize, has_ended: bool) -> String {
        let seconds = self.segment_seconds();
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:4\n{kind}#EXT-X-ALLOW-CACHE:NO\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
        );
        for Listed { name, length, begins } in &self.listed[first..] {
            let begins = jiff::Timestamp::from_millisecond(*begins).unwrap();
            let length = length.as_secs_f64();
            text.push_str(&format!("#EXT-X-PROGRAM-DATE-TIME:{begins}\n#EXTINF:{length:.3},\n{name}\n"));
        }
        if has_ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }

    fn segment_seconds(&self) -> u32 {
        if self.request.segment_duration == 0 { DEFAULT_LENGTH } else { self.request.segment_duration }
    }

    fn manifest(&self, info: &proto::EgressInfo) -> String {
        let segment =
            |listed: &Listed| json!({ "filename": self.key(&listed.name), "location": self.location(&listed.name) });
        let segments: Vec<_> = self.listed.iter().map(segment).collect();
        manifest(info, "playlists", &json!([{ "location": self.info.playlist_location, "segments": segments }]))
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", egress::folder(&self.request))
    }

    fn location(&self, name: &str) -> String {
        self.bucket.location(&self.key(name))
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), String> {
        self.bucket.put(&self.key(name), bytes).await
    }
}

/// What is after the last `/`.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
