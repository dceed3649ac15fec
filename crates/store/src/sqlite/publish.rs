//! Publishes a new revision of a recording, and ends its rendering: one transaction each.

use std::collections::BTreeSet;

use echosphere_domain::lifecycle::{Deletion, Event};
use echosphere_domain::recording::Recording;
use echosphere_domain::segment::{AUDIO_RENDITION, Location};
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;

use super::codec::{json, word};
use super::{effects, objects, rows, segments, sessions, tasks, telemetry};
use crate::{Error, Lease, Publication, RenderedRevision, Result, UploadState};

const ACTION: &str = "publish a revision";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx(ACTION, error)
}

pub(super) async fn publish(connection: &mut SqliteConnection, wanted: Publication, lease: Lease) -> Result<Recording> {
    tasks::finish(connection, lease).await?;
    let mut recording = rows::recording_by_id(connection, wanted.recording).await?;
    if recording.state.deletion != Deletion::None {
        return Ok(recording);
    }
    let is_known = beside(connection, &wanted).await? == known(&wanted);
    if recording.state.revision != wanted.based_on || !is_known {
        return Err(Error::Conflict(wanted.recording));
    }
    write_capture(connection, &wanted).await?;
    if let Some(upload) = wanted.capture.upload {
        let body = rows::body_of(connection, wanted.capture.id).await?;
        objects::make_live(connection, &body, wanted.now).await?;
        rows::set_state(connection, upload, UploadState::Joined, None).await?;
    }
    if let Some(content) = wanted.content {
        effects::step_recording(connection, &mut recording, Event::Published(content), wanted.now).await?;
    }
    for superseded in &wanted.supersedes {
        rows::supersede(connection, recording.id, *superseded, wanted.now).await?;
    }
    if wanted.content.is_none() {
        telemetry::fill_facts(connection, wanted.recording, &wanted.facts).await?;
        return rows::recording_by_id(connection, wanted.recording).await;
    }
    for (capture, audio) in &wanted.filled {
        let write = sqlx::query("UPDATE captures SET audio = ? WHERE id = ? AND recording = ?").bind(json(audio));
        let write = write.bind(capture.to_string()).bind(recording.id.to_string());
        write.execute(&mut *connection).await.map_err(failed)?;
    }
    replace_segments(connection, &recording, &wanted).await?;
    write_facts(connection, &wanted).await?;
    rows::recording_by_id(connection, wanted.recording).await
}

/// The other captures as they are now, each with its status.
async fn beside(connection: &mut SqliteConnection, wanted: &Publication) -> Result<BTreeSet<(String, String)>> {
    let rows = sqlx::query_as("SELECT id, status FROM captures WHERE recording = ? AND id <> ?")
        .bind(wanted.recording.to_string())
        .bind(wanted.capture.id.to_string())
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    Ok(rows.into_iter().collect())
}

/// The other captures as they were when the decision was made.
fn known(wanted: &Publication) -> BTreeSet<(String, String)> {
    wanted.beside.iter().map(|(id, status)| (id.to_string(), word(*status))).collect()
}

async fn write_capture(connection: &mut SqliteConnection, wanted: &Publication) -> Result<()> {
    let capture = &wanted.capture;
    sqlx::query(
        "UPDATE captures SET status = ?, started_at = ?, ended_at = ?, error = ?, audio = ?, audio_index = ?, transcript = ?
         WHERE id = ?",
    )
    .bind(word(capture.status))
    .bind(capture.started_at.map(WallTime::as_nanos))
    .bind(capture.ended_at.map(WallTime::as_nanos))
    .bind(&capture.error)
    .bind(capture.audio.as_ref().map(json))
    .bind(&wanted.audio_index)
    .bind(wanted.transcript.as_ref().map(json))
    .bind(capture.id.to_string())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn replace_segments(
    connection: &mut SqliteConnection,
    recording: &Recording,
    wanted: &Publication,
) -> Result<()> {
    let old: Vec<String> = sqlx::query_scalar(
        "SELECT object_key FROM segments WHERE recording = ?1 AND rendition = ?2 AND object_key IS NOT NULL
         UNION SELECT analysis FROM recordings WHERE id = ?1 AND analysis IS NOT NULL",
    )
    .bind(recording.id.to_string())
    .bind(AUDIO_RENDITION)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let delete = sqlx::query("DELETE FROM segments WHERE recording = ? AND rendition = ?");
    let delete = delete.bind(recording.id.to_string()).bind(AUDIO_RENDITION);
    delete.execute(&mut *connection).await.map_err(failed)?;
    let revision = recording.state.revision;
    segments::insert(connection, recording.id, AUDIO_RENDITION, revision, &wanted.segments).await?;
    for key in &old {
        segments::condemn_unless_needed(connection, key, wanted.now).await?;
    }
    for segment in &wanted.segments {
        if let Location::Stored { key, .. } = &segment.location {
            objects::make_live(connection, key, wanted.now).await?;
        }
    }
    Ok(())
}

async fn write_facts(connection: &mut SqliteConnection, wanted: &Publication) -> Result<()> {
    sqlx::query(
        "UPDATE recordings SET started_at = ?1, ended_at = ?2, duration = ?3, gaps = ?4, analysis = NULL,
                participants = iif(?5 = '[]', participants, ?5) WHERE id = ?6",
    )
    .bind(wanted.started_at.map(WallTime::as_nanos))
    .bind(wanted.ended_at.map(WallTime::as_nanos))
    .bind(wanted.duration.ticks())
    .bind(json(&wanted.gaps))
    .bind(json(&wanted.participants))
    .bind(wanted.recording.to_string())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    telemetry::fill_facts(connection, wanted.recording, &wanted.facts).await
}

pub(super) async fn finish_render(
    connection: &mut SqliteConnection,
    rendered: RenderedRevision,
    lease: Lease,
) -> Result<()> {
    tasks::finish(connection, lease).await?;
    let done = sqlx::query("UPDATE recordings SET analysis = ? WHERE id = ? AND revision = ? AND deletion = 'none'")
        .bind(rendered.analysis.as_str())
        .bind(rendered.recording.to_string())
        .bind(rendered.revision)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return objects::condemn(connection, rendered.analysis.as_str(), rendered.now).await;
    }
    objects::make_live(connection, &rendered.analysis, rendered.now).await?;
    for (capture, transcript) in &rendered.transcripts {
        let write =
            sqlx::query("UPDATE captures SET transcript = ? WHERE id = ? AND recording = ? AND transcript IS NOT NULL");
        let write = write.bind(json(transcript)).bind(capture.to_string()).bind(rendered.recording.to_string());
        write.execute(&mut *connection).await.map_err(failed)?;
    }
    sessions::place(connection, rendered.recording, rendered.now).await
}
