//! Compares an upload with earlier ones of its job: the SDK resends what it is unsure about, and a cut upload may come whole later.

use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};
use std::path::Path;

use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Extent, Source};

use super::Read;
use crate::error;
use crate::jobs::{Error, Jobs};

/// Bytes compared at a time.
const PIECE: u64 = 1 << 20;

/// Whether an upload is to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is; these captures of the same job have nothing that it does not have.
    New {
        /// Captures whose place it takes.
        supersedes: Vec<CaptureId>,
    },
    /// A capture of the same job already has all that it has.
    Duplicate,
}

/// How two uploads of one job are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sameness {
    /// The bytes of the sound.
    Bytes,
    /// The length of the sound: its bytes depend on what had to be redacted when each of them came.
    Length,
}

/// Compares what was read with the recording's other uploads of the same job.
pub(super) async fn compare(
    jobs: &Jobs,
    read: &Read,
    captures: &[Capture],
    path: &Path,
    sameness: Sameness,
) -> Result<Verdict, Error> {
    let new = &read.input.capture;
    let length = |capture: &Capture| length(capture, sameness);
    let mut supersedes = Vec::new();
    for other in captures.iter().filter(|other| is_same_session(new, other)) {
        let (shorter, longer) = (length(new).min(length(other)), length(new).max(length(other)));
        if sameness == Sameness::Bytes && shorter > 0 && !begins_alike(jobs, new, other, path, shorter).await? {
            continue;
        }
        let new_is_longer = length(new) == longer;
        match (new.status, other.status) {
            // The whole version of one that was cut.
            (CaptureStatus::Complete, CaptureStatus::Partial) if new_is_longer => supersedes.push(other.id),
            (CaptureStatus::Partial, CaptureStatus::Partial) if new_is_longer && length(other) < longer => {
                supersedes.push(other.id);
            }
            (_, CaptureStatus::Complete) if length(other) == longer => return Ok(Verdict::Duplicate),
            (CaptureStatus::Partial, CaptureStatus::Partial) => return Ok(Verdict::Duplicate),
            _ => {}
        }
    }
    Ok(Verdict::New { supersedes })
}

fn is_same_session(new: &Capture, other: &Capture) -> bool {
    let kept = matches!(other.status, CaptureStatus::Complete | CaptureStatus::Partial);
    let job = match (&new.job_id, &other.job_id) {
        (Some(new), Some(other)) => new == other,
        // SDKs before 1.6 send no job id; two uploads of one room with the same start are one session.
        _ => new.started_at.is_some() && new.started_at == other.started_at,
    };
    other.id != new.id && other.source == Source::Upload && kept && job
}

fn length(capture: &Capture, sameness: Sameness) -> u64 {
    let length = |audio: &Audio| match sameness {
        Sameness::Bytes => audio.extent().map_or(0, |extent| extent.length),
        Sameness::Length => audio.samples,
    };
    capture.audio.as_ref().map_or(0, length)
}

/// Whether the first `length` bytes of both sounds are the same.
async fn begins_alike(jobs: &Jobs, new: &Capture, other: &Capture, path: &Path, length: u64) -> Result<bool, Error> {
    let extent = |capture: &Capture| capture.audio.as_ref().and_then(Audio::extent);
    let (Some(new), Some(other)) = (extent(new), extent(other)) else { return Ok(false) };
    let mut at = 0;
    while at < length {
        let count = PIECE.min(length - at);
        let stored = jobs.objects.get_range(&other.key, other.offset + at..other.offset + at + count).await?;
        let spooled = read_file(path, &new, at, count);
        let spooled = spooled.map_err(error::Error::io("read a spooled upload"))?;
        if stored != spooled {
            return Ok(false);
        }
        at += count;
    }
    Ok(true)
}

fn read_file(path: &Path, extent: &Extent, at: u64, count: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(extent.offset + at))?;
    let mut bytes = Vec::new();
    file.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}
