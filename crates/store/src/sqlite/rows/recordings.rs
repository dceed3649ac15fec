//! Implements `RecordingRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::{ObjectKey, RecordingPrefix};
use echosphere_domain::lifecycle::State;
use echosphere_domain::recording::{Gap, Participant, Recording, Track};
use echosphere_domain::time::{MediaTime, WallTime};
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::RecordingRows;
use crate::sqlite::codec::{self, Reader, json, word};
use crate::sqlite::conditions::CAPTURED_ROOM;
use crate::{Error, Publication, Result, SessionFacts};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change a recording", error)
}

/// Sets one column of a recording.
macro_rules! set {
    ($rows:ident, $id:ident, $assignment:literal, $value:expr) => {{
        let set = sqlx::query(concat!("UPDATE recordings SET ", $assignment, " WHERE id = ?"));
        let set = set.bind($value).bind($id.to_string()).execute($rows).await;
        set.map(|_| ()).map_err(failed)
    }};
}

#[async_trait]
impl RecordingRows for SqliteConnection {
    async fn find_recording(&mut self, id: RecordingId) -> Result<Option<Recording>> {
        let row = sqlx::query("SELECT * FROM recordings WHERE id = ?").bind(id.to_string());
        row.fetch_optional(self).await.map_err(failed)?.as_ref().map(codec::recording).transpose()
    }

    async fn recording(&mut self, id: RecordingId) -> Result<Recording> {
        self.find_recording(id).await?.ok_or_else(|| Error::NotFound(format!("recording {id}")))
    }

    async fn recording_in(&mut self, project: &ProjectId, id: RecordingId) -> Result<Option<Recording>> {
        Ok(self.find_recording(id).await?.filter(|recording| recording.project == *project))
    }

    async fn recordings_in_room(&mut self, project: &ProjectId, room_sid: &str) -> Result<Vec<Recording>> {
        let rows = sqlx::query("SELECT * FROM recordings WHERE project = ? AND room_sid = ?");
        let rows = rows.bind(project.as_str()).bind(room_sid).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(codec::recording).collect()
    }

    async fn insert_recording(&mut self, recording: &Recording) -> Result<()> {
        let inserted = sqlx::query(
            "INSERT INTO recordings (id, project, session_id, room_name, room_sid, prefix, status, partial, revision,
                                     deletion, tier, created_at, duration, gaps, tags, labels, participants)
             VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, 0, '[]', '[]', ?, '[]')",
        )
        .bind(recording.id.to_string())
        .bind(recording.project.as_str())
        .bind(&recording.session_id)
        .bind(&recording.room_name)
        .bind(&recording.room_sid)
        .bind(recording.prefix.as_str())
        .bind(recording.state.status.as_str())
        .bind(codec::deletion_word(recording.state.deletion))
        .bind(word(recording.state.tier))
        .bind(recording.created_at.as_nanos())
        .bind(json(&recording.labels))
        .execute(self)
        .await;
        inserted.map(|_| ()).map_err(failed)
    }

    async fn set_state(&mut self, id: RecordingId, state: &State) -> Result<()> {
        let set = sqlx::query(
            "UPDATE recordings SET status = ?, partial = ?, reason = ?, revision = ?, is_over = ?, deletion = ?, delete_at = ?,
                    is_held = ?, tier = ? WHERE id = ?",
        )
        .bind(state.status.as_str())
        .bind(state.partial)
        .bind(state.reason.map(word))
        .bind(state.revision)
        .bind(state.is_over)
        .bind(codec::deletion_word(state.deletion))
        .bind(state.delete_at.map(WallTime::as_nanos))
        .bind(state.is_held)
        .bind(word(state.tier))
        .bind(id.to_string())
        .execute(self)
        .await;
        set.map(|_| ()).map_err(|error| Error::from_sqlx("step a recording", error))
    }

    async fn set_started(&mut self, id: RecordingId, at: WallTime) -> Result<()> {
        set!(self, id, "started_at = ifnull(started_at, ?)", at.as_nanos())
    }

    async fn set_ended(&mut self, id: RecordingId, at: WallTime) -> Result<()> {
        set!(self, id, "ended_at = ifnull(ended_at, ?)", at.as_nanos())
    }

    async fn set_room_sid(&mut self, id: RecordingId, room_sid: &str) -> Result<()> {
        set!(self, id, "room_sid = ?", room_sid)
    }

    async fn set_session_id(&mut self, id: RecordingId, session_id: Option<&str>) -> Result<()> {
        set!(self, id, "session_id = ?", session_id)
    }

    async fn set_prefix(&mut self, id: RecordingId, prefix: &RecordingPrefix) -> Result<()> {
        set!(self, id, "prefix = ?", prefix.as_str())
    }

    async fn set_duration(&mut self, id: RecordingId, duration: MediaTime) -> Result<()> {
        set!(self, id, "duration = ?", duration.ticks())
    }

    async fn set_participants(&mut self, id: RecordingId, people: &[Participant]) -> Result<()> {
        set!(self, id, "participants = ?", json(people))
    }

    async fn set_tracks(&mut self, id: RecordingId, tracks: &[Track]) -> Result<()> {
        set!(self, id, "tracks = ?", json(tracks))
    }

    async fn set_gaps(&mut self, id: RecordingId, gaps: &[Gap]) -> Result<()> {
        set!(self, id, "gaps = ?", json(gaps))
    }

    async fn set_extent(&mut self, publication: &Publication) -> Result<()> {
        let set =
            sqlx::query("UPDATE recordings SET started_at = ?, ended_at = ?, duration = ?, gaps = ? WHERE id = ?");
        let set = set.bind(publication.started_at.map(WallTime::as_nanos));
        let set = set.bind(publication.ended_at.map(WallTime::as_nanos)).bind(publication.duration.ticks());
        let set = set.bind(json(&publication.gaps)).bind(publication.recording.to_string());
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn fill_facts(&mut self, id: RecordingId, facts: &SessionFacts) -> Result<()> {
        let filled = sqlx::query(
            "UPDATE recordings SET room_name = coalesce(room_name, ?), agent_name = coalesce(agent_name, ?),
                    tags = iif(tags = '[]', ?, tags), simulated = max(simulated, ?) WHERE id = ? AND deletion = 'none'",
        );
        let filled = filled.bind(&facts.room_name).bind(&facts.agent_name).bind(json(&facts.tags));
        let filled = filled.bind(facts.simulated).bind(id.to_string()).execute(self).await;
        filled.map(|_| ()).map_err(failed)
    }

    async fn analysis_of(&mut self, id: RecordingId) -> Result<Option<ObjectKey>> {
        let row = sqlx::query("SELECT id, analysis FROM recordings WHERE id = ?").bind(id.to_string());
        let row = row.fetch_optional(self).await.map_err(failed)?;
        row.map_or(Ok(None), |row| Reader::new("recordings", &row).maybe_parse("analysis"))
    }

    async fn set_analysis(&mut self, id: RecordingId, analysis: Option<&ObjectKey>) -> Result<()> {
        set!(self, id, "analysis = ?", analysis.map(ObjectKey::as_str))
    }

    async fn captured_room(&mut self, id: RecordingId) -> Result<bool> {
        let query = format!("SELECT EXISTS (SELECT 1 FROM recordings WHERE id = ? AND {CAPTURED_ROOM})");
        let captured = sqlx::query_scalar::<_, bool>(AssertSqlSafe(query)).bind(id.to_string());
        captured.fetch_one(self).await.map_err(failed)
    }
}
