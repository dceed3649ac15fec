//! Recordings of rooms while they go on, on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::lifecycle::{Deletion, Event, Status};
use echosphere_domain::recording::{Capture, Participant, Recording, Source, Track};
use echosphere_domain::segment::{AUDIO_RENDITION, Location, Segment};
use echosphere_domain::time::{MediaTime, WallTime};
use sqlx::{Row, SqliteConnection};

use super::codec::{Reader, json};
use super::{SqliteStore, codec, effects, idempotency, objects, rows, segments};
use crate::{Begun, Error, LeftOut, Live, LiveRow, NewLive, Once, Redactions, Repeated, Result, Stretch};

const ACTION: &str = "change a live recording";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx(ACTION, error)
}

async fn begin(connection: &mut SqliteConnection, new: NewLive) -> Result<Begun> {
    if let Some(once) = &new.once
        && let Some(repeated) = idempotency::known(&mut *connection, &new.project, once, new.now).await?
    {
        return Ok(Begun::Repeated(repeated));
    }
    let row = sqlx::query(
        "SELECT id FROM recordings WHERE project = ? AND room_name = ? AND status IN ('STARTING', 'ACTIVE')
         AND deletion = 'none' AND is_over = 0 AND id IN (SELECT recording FROM live)",
    );
    let row = row.bind(new.project.as_str()).bind(&new.room_name).fetch_optional(&mut *connection).await;
    if let Some(row) = row.map_err(failed)? {
        return Ok(Begun::Already(Reader::new("recordings", &row).parse("id")?));
    }
    let recording = Recording {
        room_name: Some(new.room_name.clone()),
        labels: new.labels.clone(),
        ..Recording::starting(new.recording, new.project.clone(), new.session_id.clone(), new.now)
    };
    rows::insert_recording(connection, &recording).await?;
    let capture = Capture::processing(new.capture, recording.id, 1, Source::Recorder);
    rows::insert_capture(connection, &capture, &new.project).await?;
    // A pause from the start is like any other: later sources must know of it.
    let pauses: Vec<Stretch> = new.paused.then_some(Stretch { from: new.now, to: None }).into_iter().collect();
    sqlx::query(
        "INSERT INTO live (recording, capture, settings, paused, pauses, excluded) VALUES (?, ?, ?, ?, ?, '[]')",
    )
    .bind(recording.id.to_string())
    .bind(capture.id.to_string())
    .bind(&new.settings)
    .bind(new.paused)
    .bind(json(&pauses))
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if let Some(once) = &new.once {
        idempotency::note(connection, &new.project, once, recording.id, new.now).await?;
    }
    Ok(Begun::New(Box::new((recording, capture))))
}

async fn joined(connection: &mut SqliteConnection, recording: RecordingId, sid: &str) -> Result<Option<RecordingId>> {
    let row = sqlx::query(
        "SELECT other.id FROM recordings AS other JOIN recordings AS ours ON ours.project = other.project
         WHERE ours.id = ? AND other.id <> ours.id AND other.room_sid = ? AND other.status IN ('STARTING', 'ACTIVE')
         AND other.deletion = 'none' AND other.is_over = 0",
    );
    let row = row.bind(recording.to_string()).bind(sid).fetch_optional(&mut *connection).await.map_err(failed)?;
    if let Some(row) = row {
        return Ok(Some(Reader::new("recordings", &row).parse("id")?));
    }
    let set = sqlx::query("UPDATE recordings SET room_sid = ? WHERE id = ?").bind(sid).bind(recording.to_string());
    set.execute(connection).await.map_err(failed)?;
    Ok(None)
}

async fn append(
    connection: &mut SqliteConnection,
    id: RecordingId,
    list: Vec<Segment>,
    duration: MediaTime,
    participants: Vec<Participant>,
    now: WallTime,
) -> Result<()> {
    let recording = rows::recording_by_id(connection, id).await?;
    if recording.state.deletion != Deletion::None || recording.state.status != Status::Active {
        return Ok(());
    }
    segments::insert(connection, id, AUDIO_RENDITION, recording.state.revision, &list).await?;
    for segment in &list {
        if let Location::Stored { key, .. } = &segment.location {
            objects::make_live(connection, key, now).await?;
        }
    }
    let set = sqlx::query(
        "UPDATE recordings SET duration = ?1, participants = iif(?2 = '[]', participants, ?2) WHERE id = ?3",
    );
    let set = set.bind(duration.ticks()).bind(json(&participants)).bind(id.to_string());
    set.execute(connection).await.map_err(failed)?;
    Ok(())
}

async fn pauses(connection: &mut SqliteConnection, recording: RecordingId) -> Result<Vec<Stretch>> {
    let row = sqlx::query("SELECT recording AS id, pauses FROM live WHERE recording = ?").bind(recording.to_string());
    let row = row.fetch_optional(connection).await.map_err(failed)?;
    row.as_ref().map_or(Ok(Vec::new()), |row| Reader::new("live", row).json("pauses"))
}

async fn pause(connection: &mut SqliteConnection, recording: RecordingId, paused: bool, at: WallTime) -> Result<()> {
    let mut stretches = pauses(connection, recording).await?;
    match stretches.iter_mut().find(|stretch| stretch.to.is_none()) {
        None if paused => stretches.push(Stretch { from: at, to: None }),
        Some(open) if !paused => open.to = Some(at),
        Some(_) | None => return Ok(()),
    }
    let set = sqlx::query("UPDATE live SET paused = ?, pauses = ? WHERE recording = ?");
    let set = set.bind(paused).bind(json(&stretches)).bind(recording.to_string());
    set.execute(connection).await.map_err(failed)?;
    Ok(())
}

/// What must not be kept of the room of a recording, or of a project's room or job.
async fn redactions(
    store: &SqliteStore,
    recording: Option<RecordingId>,
    project: Option<&ProjectId>,
    job_id: Option<&str>,
    room_sid: Option<&str>,
) -> Result<Redactions> {
    let rows = sqlx::query(
        "WITH named AS (SELECT id FROM recordings WHERE id = ?1
                        UNION SELECT id FROM recordings WHERE project = ?2 AND room_sid = ?4
                        UNION SELECT recording FROM captures WHERE project = ?2 AND job_id = ?3),
              same_room AS (SELECT id FROM named UNION SELECT other.id FROM recordings AS other JOIN recordings AS ours
                            ON ours.project = other.project AND ours.room_sid = other.room_sid
                            WHERE ours.id IN (SELECT id FROM named))
         SELECT recording AS id, pauses, left_out, settings FROM live WHERE recording IN (SELECT id FROM same_room)",
    );
    let rows = rows.bind(recording.map(|id| id.to_string())).bind(project.map(ProjectId::as_str)).bind(job_id);
    let rows = rows.bind(room_sid).fetch_all(&store.readers).await.map_err(failed)?;
    let mut all = Redactions::default();
    for row in &rows {
        let row = Reader::new("live", row);
        all.pauses.extend(row.json::<Vec<Stretch>>("pauses")?);
        all.left_out.extend(row.json::<Vec<LeftOut>>("left_out")?);
        all.options.push(row.text("settings")?);
    }
    Ok(all)
}

async fn give_up(connection: &mut SqliteConnection, ended_before: WallTime, now: WallTime) -> Result<u64> {
    let captures = sqlx::query(
        "SELECT captures.id, captures.recording AS mine FROM captures JOIN recordings ON recordings.id = captures.recording
         WHERE captures.source = 'recorder' AND json_extract(captures.audio, '$.chunks') > 0
         AND json_extract(captures.audio, '$.is_gone') IS NULL AND recordings.status = 'COMPLETED'
         AND recordings.deletion = 'none' AND recordings.ended_at < ? AND recordings.analysis IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM segments WHERE segments.recording = recordings.id AND segments.state = 'renderable')",
    );
    let captures = captures.bind(ended_before.as_nanos()).fetch_all(&mut *connection).await.map_err(failed)?;
    for row in &captures {
        let row = Reader::new("captures", row);
        let (capture, recording) = (row.text("id")?, row.text("mine")?);
        for (statement, id) in [
            ("UPDATE captures SET audio = json_set(audio, '$.is_gone', json('true')) WHERE id = ?", &capture),
            ("UPDATE recordings SET tracks = '[]' WHERE id = ?", &recording),
        ] {
            sqlx::query(statement).bind(id).execute(&mut *connection).await.map_err(failed)?;
        }
        let condemn =
            sqlx::query("UPDATE objects SET state = 'condemned', since = ? WHERE recording = ? AND purpose = 'log'");
        condemn.bind(now.as_nanos()).bind(recording).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(captures.len() as u64)
}

#[async_trait]
impl Live for SqliteStore {
    async fn begin_live(&self, new: &NewLive) -> Result<Begun> {
        let new = new.clone();
        self.write("begin a recording", move |connection| Box::pin(async move { begin(connection, new).await })).await
    }

    async fn repeated(&self, project: &ProjectId, once: &Once, now: WallTime) -> Result<Option<Repeated>> {
        idempotency::known(&self.readers, project, once, now).await
    }

    async fn note_tracks(&self, recording: RecordingId, tracks: &[Track]) -> Result<()> {
        let tracks = json(tracks);
        self.write("note tracks", move |connection| {
            Box::pin(async move {
                let set = sqlx::query("UPDATE recordings SET tracks = ? WHERE id = ? AND deletion = 'none'");
                let set = set.bind(tracks).bind(recording.to_string());
                set.execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn room_joined(&self, recording: RecordingId, room_sid: &str) -> Result<Option<RecordingId>> {
        let sid = room_sid.to_owned();
        self.write("note a joined room", move |connection| {
            Box::pin(async move { joined(connection, recording, &sid).await })
        })
        .await
    }

    async fn heard(&self, recording: RecordingId, started_at: WallTime) -> Result<()> {
        self.write("note the first sound", move |connection| {
            Box::pin(async move {
                let mut row = rows::recording_by_id(connection, recording).await?;
                effects::step_recording(connection, &mut row, Event::Heard, started_at).await?;
                let set = sqlx::query("UPDATE recordings SET started_at = ifnull(started_at, ?) WHERE id = ?");
                let set = set.bind(started_at.as_nanos()).bind(recording.to_string());
                set.execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn append_segments(
        &self,
        recording: RecordingId,
        segments: &[Segment],
        duration: MediaTime,
        participants: &[Participant],
        now: WallTime,
    ) -> Result<()> {
        let (segments, participants) = (segments.to_vec(), participants.to_vec());
        self.write("append segments", move |connection| {
            Box::pin(async move { append(connection, recording, segments, duration, participants, now).await })
        })
        .await
    }

    async fn note_pause(&self, recording: RecordingId, paused: bool, at: WallTime) -> Result<()> {
        self.write("note a pause", move |connection| {
            Box::pin(async move { pause(connection, recording, paused, at).await })
        })
        .await
    }

    async fn note_excluded(&self, recording: RecordingId, identity: &str) -> Result<()> {
        let identity = identity.to_owned();
        self.write("note an exclusion", move |connection| {
            Box::pin(async move {
                let set = sqlx::query(
                    "UPDATE live SET excluded = json_insert(excluded, '$[#]', ?1) WHERE recording IN
                         (SELECT id FROM recordings WHERE id = ?2 AND deletion = 'none')
                     AND NOT EXISTS (SELECT 1 FROM json_each(excluded) WHERE value = ?1)",
                );
                set.bind(identity).bind(recording.to_string()).execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn excluded(&self, recording: RecordingId) -> Result<Vec<String>> {
        let row = sqlx::query("SELECT recording AS id, excluded FROM live WHERE recording = ?");
        let row = row.bind(recording.to_string()).fetch_optional(&self.readers).await.map_err(failed)?;
        row.as_ref().map_or(Ok(Vec::new()), |row| Reader::new("live", row).json("excluded"))
    }

    async fn note_left_out(&self, recording: RecordingId, who: LeftOut) -> Result<()> {
        self.write("note somebody who is left out", move |connection| {
            Box::pin(async move {
                let set = sqlx::query(
                    "UPDATE live SET left_out = json_insert(left_out, '$[#]', json(?1)) WHERE recording = ?2
                     AND NOT EXISTS (SELECT 1 FROM json_each(left_out) WHERE value = json(?1))",
                );
                set.bind(json(&who)).bind(recording.to_string()).execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn redactions(&self, recording: RecordingId) -> Result<Redactions> {
        redactions(self, Some(recording), None, None, None).await
    }

    async fn redactions_of(
        &self,
        project: &ProjectId,
        job_id: Option<&str>,
        room_sid: Option<&str>,
    ) -> Result<Redactions> {
        redactions(self, None, Some(project), job_id, room_sid).await
    }

    async fn room_over(&self, recording: RecordingId) -> Result<()> {
        self.write("note that a room is over", move |connection| {
            Box::pin(async move {
                let set = sqlx::query("UPDATE recordings SET is_over = 1 WHERE id = ?").bind(recording.to_string());
                set.execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn room_ended(&self, recording: RecordingId, now: WallTime) -> Result<()> {
        self.write("end a recording", move |connection| {
            Box::pin(async move {
                let mut row = rows::recording_by_id(connection, recording).await?;
                effects::step_recording(connection, &mut row, Event::RoomEnded, now).await
            })
        })
        .await
    }

    async fn give_up_logs(&self, ended_before: WallTime, now: WallTime) -> Result<u64> {
        self.write("give up capture logs", move |connection| {
            Box::pin(async move { give_up(connection, ended_before, now).await })
        })
        .await
    }

    async fn recorded_room(&self, project: &ProjectId, room_sid: &str) -> Result<bool> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM recordings JOIN live ON live.recording = recordings.id WHERE project = ? AND room_sid = ?",
        )
        .bind(project.as_str())
        .bind(room_sid)
        .fetch_one(&self.readers)
        .await
        .map_err(failed)?;
        Ok(count > 0)
    }

    async fn live_settings(&self, recording: RecordingId) -> Result<Option<String>> {
        let settings = sqlx::query_scalar("SELECT settings FROM live WHERE recording = ?").bind(recording.to_string());
        settings.fetch_optional(&self.readers).await.map_err(failed)
    }

    async fn live(&self) -> Result<Vec<LiveRow>> {
        let rows = sqlx::query(
            "SELECT recordings.*, live.capture, live.settings, live.paused FROM recordings JOIN live ON live.recording = recordings.id
             WHERE recordings.status IN ('STARTING', 'ACTIVE') AND recordings.deletion = 'none' ORDER BY recordings.created_at",
        );
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        let mut live = Vec::with_capacity(rows.len());
        for row in &rows {
            let id: String = row.try_get("capture").map_err(failed)?;
            let capture = sqlx::query("SELECT * FROM captures WHERE id = ?").bind(&id);
            let Some(capture) = capture.fetch_optional(&self.readers).await.map_err(failed)? else { continue };
            live.push(LiveRow {
                recording: codec::recording(row)?,
                capture: codec::capture(&capture)?,
                settings: row.try_get("settings").map_err(failed)?,
                paused: row.try_get("paused").map_err(failed)?,
            });
        }
        Ok(live)
    }
}
