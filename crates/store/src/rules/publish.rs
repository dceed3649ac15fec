//! Publishes a new revision of a recording, and ends its rendering: one transaction each.

use std::collections::{BTreeMap, BTreeSet};

use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::Event;
use echosphere_domain::recording::Recording;

use super::{captures, lifecycle, masters, objects, segments, sessions, tasks};
use crate::rows::Rows;
use crate::{Error, Lease, Publication, RenderedRevision, Result, UploadState};

/// Writes a capture that was read and, if content is given, switches to a new revision; returns the recording as it is now.
pub(crate) async fn publish(rows: &mut dyn Rows, wanted: &Publication, lease: &Lease) -> Result<Recording> {
    tasks::finish(rows, lease).await?;
    let mut recording = rows.recording(wanted.recording).await?;
    if recording.state.deletion.is_requested() {
        return Ok(recording);
    }
    if recording.state.revision != wanted.based_on || !are_others_unchanged(rows, wanted).await? {
        return Err(Error::Conflict(wanted.recording));
    }
    rows.set_read(wanted).await?;
    masters::note_read(rows, &wanted.capture, wanted.log.as_ref()).await?;
    let turns = wanted.transcript.as_ref().map(|transcript| transcript.turns.as_slice());
    captures::replace_turns(rows, wanted.capture.id, turns.unwrap_or_default()).await?;
    if let Some(upload) = wanted.capture.upload {
        for key in masters::keys(rows, wanted.capture.id).await? {
            objects::make_live(rows, &key, wanted.now).await?;
        }
        rows.set_upload_state(upload, UploadState::Joined, None).await?;
    }
    if let Some(content) = wanted.content {
        lifecycle::step(rows, &mut recording, Event::Published(content), wanted.now).await?;
    }
    for superseded in &wanted.supersedes {
        captures::supersede(rows, recording.id, *superseded, wanted.now).await?;
    }
    if wanted.content.is_some() {
        for (capture, audio) in &wanted.filled {
            rows.set_audio(recording.id, *capture, audio).await?;
        }
        replace_segments(rows, &recording, wanted).await?;
        rows.set_extent(wanted).await?;
        rows.set_analysis(recording.id, None).await?;
        if !wanted.participants.is_empty() {
            rows.set_participants(recording.id, &wanted.participants).await?;
        }
    }
    rows.fill_facts(recording.id, &wanted.facts).await?;
    masters::queue_divide(rows, &recording, wanted.capture.id, wanted.now).await?;
    rows.recording(recording.id).await
}

/// Whether the other captures are as they were when the decision was made.
async fn are_others_unchanged(rows: &mut dyn Rows, wanted: &Publication) -> Result<bool> {
    let now = rows.captures_of(wanted.recording).await?;
    let now = now.iter().filter(|other| other.id != wanted.capture.id).map(|other| (other.id, other.status));
    let then = wanted.beside.iter().copied();
    Ok(now.collect::<BTreeMap<_, _>>() == then.collect::<BTreeMap<_, _>>())
}

async fn replace_segments(rows: &mut dyn Rows, recording: &Recording, wanted: &Publication) -> Result<()> {
    let mut old: BTreeSet<ObjectKey> = rows.analysis_of(recording.id).await?.into_iter().collect();
    let rendition = &wanted.rendition;
    old.extend(rows.delete_segments(recording.id, &rendition.id).await?);
    rows.put_rendition(recording.id, rendition).await?;
    rows.insert_segments(recording.id, &rendition.id, recording.state.revision, &wanted.segments).await?;
    let since = captures::condemned_since(rows, recording, wanted.now).await?;
    for key in &old {
        segments::condemn_unless_needed(rows, key, since).await?;
    }
    segments::make_live(rows, &wanted.segments, wanted.now).await
}

/// Ends the rendering of a revision.
pub(crate) async fn finish_render(rows: &mut dyn Rows, rendered: &RenderedRevision, lease: &Lease) -> Result<()> {
    tasks::finish(rows, lease).await?;
    let Some(recording) = rows.find_recording(rendered.recording).await? else {
        return objects::condemn(rows, &rendered.analysis, rendered.now).await;
    };
    if recording.state.revision != rendered.revision || recording.state.deletion.is_requested() {
        let since = captures::condemned_since(rows, &recording, rendered.now).await?;
        return objects::condemn(rows, &rendered.analysis, since).await;
    }
    rows.set_analysis(recording.id, Some(&rendered.analysis)).await?;
    objects::make_live(rows, &rendered.analysis, rendered.now).await?;
    for (capture, transcript) in &rendered.transcripts {
        if rows.set_alignment(recording.id, *capture, &transcript.alignment).await? {
            captures::replace_turns(rows, *capture, &transcript.turns).await?;
        }
    }
    if rows.captured_room(recording.id).await? {
        sessions::place(rows, &recording, rendered.now).await?;
    }
    Ok(())
}
