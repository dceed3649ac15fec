//! What an egress writes: segments or a file.

use echosphere_livekit::psrpc::egress::StartEgressRequest;
use livekit_protocol as proto;
use proto::{egress_info, encoded_file_output, segmented_file_output};

use super::bucket::Bucket;
use super::file::File;
use super::recorded::Recorded;
use super::segments::Segments;

/// What an egress writes.
pub enum Output {
    /// Segments, and playlists of them.
    Segments(Segments),
    /// A file.
    File(File),
}

impl Output {
    /// What a request asks for, into its own bucket or else into the worker's; `None` when it is something else, or there is no bucket.
    pub fn new(request: &StartEgressRequest, begun: &proto::EgressInfo, own: Option<&Bucket>) -> Option<Self> {
        if let Some((wanted, info)) = request.segments().zip(begun.segment_results.first()) {
            let bucket = match &wanted.output {
                Some(segmented_file_output::Output::S3(s3)) => Bucket::named(s3),
                Some(_) => return None,
                None => own?.clone(),
            };
            return Some(Self::Segments(Segments::new(bucket, wanted.clone(), info.clone())));
        }
        let (wanted, info) = request.file().zip(begun.file_results.first())?;
        let bucket = match &wanted.output {
            Some(encoded_file_output::Output::S3(s3)) => Bucket::named(s3),
            Some(_) => return None,
            None => own?.clone(),
        };
        Some(Self::File(File::new(bucket, wanted.clone(), info.clone())))
    }

    /// The first packet came.
    pub fn begins(&mut self, now: i64) {
        match self {
            Self::Segments(it) => it.info.started_at = now,
            Self::File(it) => it.info.started_at = now,
        }
    }

    /// How many segments it has written.
    pub fn written(&self) -> usize {
        if let Self::Segments(it) = self { it.written() } else { 0 }
    }

    /// The number of the segment that comes next, if there is one.
    pub fn next(&self, recorded: &Recorded) -> Option<usize> {
        let Self::Segments(it) = self else { return None };
        (it.written() < recorded.segments.len()).then(|| it.written())
    }

    /// Writes the next segment, unless its upload gets lost, and lists it.
    pub async fn segment(&mut self, recorded: &Recorded, is_lost: bool) -> Result<(), String> {
        let (Some(number), Self::Segments(it)) = (self.next(recorded), self) else { return Ok(()) };
        let segment = recorded.segments[number].clone();
        it.segment(segment.length, segment.bytes, is_lost).await
    }

    /// Writes what is written at a good end; returns where the manifest is, if one is wanted.
    pub async fn end(&mut self, recorded: &Recorded, info: &proto::EgressInfo) -> Result<String, String> {
        match self {
            Self::Segments(it) => it.end(info).await,
            Self::File(it) => it.end(recorded.file.clone().expect("what is played has a file"), info).await,
        }
    }

    /// It ends badly. LiveKit's worker computes the length of what it does not have from an end of 0.
    pub fn breaks_off(&mut self) {
        match self {
            Self::Segments(it) => it.info.duration = -it.info.started_at,
            Self::File(it) => it.info.duration = -it.info.started_at,
        }
    }

    /// Says in a report what it is so far.
    #[expect(deprecated, reason = "workers say it both ways")]
    pub fn describe(&self, info: &mut proto::EgressInfo) {
        match self {
            Self::Segments(it) => {
                info.segment_results = vec![it.info.clone()];
                info.result = Some(egress_info::Result::Segments(it.info.clone()));
            }
            Self::File(it) => {
                info.file_results = vec![it.info.clone()];
                info.result = Some(egress_info::Result::File(it.info.clone()));
            }
        }
    }
}
