//! Divides what is kept of a capture into sound, words and header, so that one can go without the other.
//!
//! The parts are written and read back before the rows are switched to them, and only what the rows no longer name is deleted. After an
//! interruption the whole is still there, and the task begins anew.

mod log;
mod upload;

use std::sync::Arc;

use echosphere_domain::id::CaptureId;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::master::{self, Master, Part};
use echosphere_domain::recording::{Capture, CaptureStatus, Recording};
use echosphere_storage::Pieces;
use echosphere_store::{Claim, Divided, Purpose};
use futures_util::StreamExt;

use super::{Error, Jobs, payload, unneeded};
use crate::error;
use crate::objects::Proof;

/// Captures looked for per query.
const BATCH: u32 = 100;

/// What became of a whole master.
enum Outcome {
    /// It was divided.
    Divided {
        /// The parts, written and read back.
        parts: Vec<(Part, Master)>,
        /// The objects that they replace.
        replaced: Vec<ObjectKey>,
    },
    /// It cannot be divided, for this reason.
    Whole(&'static str),
}

/// What is to be divided.
struct Whole<'a> {
    recording: &'a Recording,
    capture: &'a Capture,
    masters: &'a [(Part, Master)],
}

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let (project, id, capture) = payload::part::<CaptureId>(claim)?;
    let found = jobs.store.recording(&project, id).await?;
    let found = found.filter(|(recording, _)| !recording.state.deletion.is_requested());
    let found = found.and_then(|(recording, captures)| {
        let capture = captures.into_iter().find(|known| known.id == capture)?;
        Some((recording, capture))
    });
    let masters = jobs.store.masters(capture).await?;
    let whole = master::of(&masters, Part::Whole).cloned();
    let (Some((recording, capture)), Some(whole)) = (found, whole) else {
        return Ok(jobs.store.complete(&claim.lease).await?);
    };
    if capture.status == CaptureStatus::Superseded {
        // An earlier attempt may have written parts of what nobody needs any more.
        let parts = [Part::Sound, Part::Words, Part::Header];
        let of = |part: Part| {
            [part.of_upload(&recording.prefix, capture.attempt), part.of_log(&recording.prefix, capture.attempt)]
        };
        jobs.objects.forget(&parts.map(of).concat()).await?;
        return Ok(jobs.store.complete(&claim.lease).await?);
    }
    // What is left on the disk is for rooms that are being recorded: dividing can wait.
    jobs.data
        .check_free(jobs.config.recorder.min_free_disk)
        .map_err(error::Error::io("divide what is kept of a capture"))?;
    let what = Whole { recording: &recording, capture: &capture, masters: &masters };
    let outcome = match &whole {
        Master::Log { .. } => log::divide(jobs, &what, &whole).await?,
        Master::File(_) => upload::divide(jobs, &what, &whole).await?,
        Master::Ogg(_) | Master::Segments => Outcome::Whole("it is not of a kind that is divided"),
    };
    match outcome {
        Outcome::Divided { parts, replaced } => {
            let (recording, now) = (recording.id, jobs.clock.now());
            let divided = Divided { recording, capture: capture.id, whole, parts, replaced, now };
            let is_divided = jobs.store.divided(&divided, &claim.lease).await?;
            tracing::debug!(%recording, capture = %capture.id, is_divided, "what is kept of a capture was divided");
            unneeded::at_once(jobs).await;
        }
        Outcome::Whole(why) => {
            tracing::warn!(recording = %recording.id, capture = %capture.id, why, "what is kept of a capture stays whole");
            jobs.store.stays_whole(capture.id, why, &claim.lease).await?;
        }
    }
    Ok(())
}

/// An error when the server is stopping: the next process begins anew.
fn go_on(jobs: &Jobs) -> Result<(), Error> {
    if jobs.stop.is_cancelled() { Err(error::Error::Stopping.into()) } else { Ok(()) }
}

/// Writes a part of a master, and reads it back.
async fn write(jobs: &Jobs, what: &Whole<'_>, purpose: Purpose, to: &ObjectKey, pieces: Pieces) -> Result<(), Error> {
    let (proof, pieces) = Proof::of(pieces);
    jobs.objects.put(what.recording, purpose, to, pieces).await?;
    let back = jobs.objects.pieces(to.clone(), 0..u64::MAX).take_until(jobs.stop.clone().cancelled_owned());
    let is_it = proof.is(back.boxed()).await.map_err(error::Error::from)?;
    go_on(jobs)?;
    if is_it {
        return Ok(());
    }
    let differs = std::io::Error::other(format!("{to} does not read as it was written"));
    Err(error::Error::io("divide what is kept of a capture")(differs).into())
}

/// Queues a task for each capture that an earlier version read.
pub(super) async fn old_ones(jobs: Arc<Jobs>) {
    let mut after = None;
    while !jobs.stop.is_cancelled() {
        match jobs.store.divide_all(after, BATCH, jobs.clock.now()).await {
            Ok(Some(last)) => after = Some(last),
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "what is kept whole of captures is divided after the next start");
                return;
            }
        }
    }
    jobs.bell.ring();
}

#[cfg(test)]
mod tests;
