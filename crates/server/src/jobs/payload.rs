//! Parses the payloads of tasks: project and recording, and for some kinds a revision or a capture.

use std::str::FromStr;

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_store::Claim;

use super::Error;

/// `{project}/{recording}`.
pub(super) fn recording(claim: &Claim) -> Result<(ProjectId, RecordingId), Error> {
    let parse = || {
        let (project, recording) = claim.payload.split_once('/')?;
        Some((ProjectId::parse(project).ok()?, recording.parse().ok()?))
    };
    parse().ok_or_else(|| Error::Payload(claim.payload.clone()))
}

/// `{project}/{recording}/{part}`: a revision, or a capture.
pub(super) fn part<T: FromStr>(claim: &Claim) -> Result<(ProjectId, RecordingId, T), Error> {
    let parse = || {
        let mut parts = claim.payload.splitn(3, '/');
        let project = ProjectId::parse(parts.next()?).ok()?;
        Some((project, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    parse().ok_or_else(|| Error::Payload(claim.payload.clone()))
}
