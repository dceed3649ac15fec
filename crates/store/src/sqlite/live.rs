//! Implements `Live` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, NodeId, ProjectId, RecordingId};
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{Participant, Track};
use echosphere_domain::rendition::Rendition;
use echosphere_domain::segment::Segment;
use echosphere_domain::time::{MediaTime, WallTime};

use super::SqliteStore;
use super::codec::{self, Reader};
use crate::rows::RoomRows;
use crate::{
    Begun, Error, LeftOut, Live, LiveRow, NewLive, Once, OwnedRoom, Redactions, Repeated, Result, Stretch, rules,
};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read live recordings", error)
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
         SELECT recording AS id, pauses, left_out, options FROM rooms WHERE recording IN (SELECT id FROM same_room)",
    );
    let rows = rows.bind(recording.map(|id| id.to_string())).bind(project.map(ProjectId::as_str)).bind(job_id);
    let rows = rows.bind(room_sid).fetch_all(&store.readers).await.map_err(failed)?;
    let mut all = Redactions::default();
    for row in &rows {
        all.options.push(codec::options(row)?);
        let row = Reader::new("rooms", row);
        all.pauses.extend(row.json::<Vec<Stretch>>("pauses")?);
        all.left_out.extend(row.json::<Vec<LeftOut>>("left_out")?);
    }
    Ok(all)
}

#[async_trait]
impl Live for SqliteStore {
    async fn begin_live(&self, new: &NewLive) -> Result<Begun> {
        let new = new.clone();
        self.write("begin a recording", move |rows| Box::pin(async move { rules::rooms::begin(rows, &new).await }))
            .await
    }

    async fn repeated(&self, project: &ProjectId, once: &Once, now: WallTime) -> Result<Option<Repeated>> {
        let mut reader = self.reader("look an Idempotency-Key up").await?;
        rules::once::known(&mut *reader, project, once, now).await
    }

    async fn claim_rooms(&self, owner: NodeId, now: WallTime, lease_until: WallTime) -> Result<Vec<LiveRow>> {
        self.write("claim rooms", move |rows| {
            Box::pin(async move { rules::rooms::claim(rows, owner, now, lease_until).await })
        })
        .await
    }

    async fn captures_elsewhere(&self, owner: NodeId) -> Result<Vec<CaptureId>> {
        let rows = sqlx::query(
            "SELECT rooms.capture AS id FROM recordings JOIN rooms ON rooms.recording = recordings.id
             WHERE recordings.status IN ('STARTING', 'ACTIVE') AND recordings.deletion = 'none' AND rooms.owner <> ?",
        );
        let rows = rows.bind(owner.to_string()).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("rooms", row).parse("id")).collect()
    }

    async fn prolong_rooms(&self, owner: NodeId, lease_until: WallTime) -> Result<Vec<RecordingId>> {
        self.write("prolong the leases of rooms", move |rows| {
            Box::pin(async move { rows.prolong_leases(owner, lease_until).await })
        })
        .await
    }

    async fn note_tracks(&self, recording: RecordingId, tracks: &[Track]) -> Result<()> {
        let tracks = tracks.to_vec();
        self.write("note tracks", move |rows| {
            Box::pin(async move { rules::rooms::note_tracks(rows, recording, &tracks).await })
        })
        .await
    }

    async fn room_joined(&self, room: OwnedRoom, room_sid: &str) -> Result<Option<RecordingId>> {
        let sid = room_sid.to_owned();
        self.write("note a joined room", move |rows| {
            Box::pin(async move { rules::rooms::joined(rows, room, &sid).await })
        })
        .await
    }

    async fn heard(&self, room: OwnedRoom, started_at: WallTime) -> Result<()> {
        self.write("note the first sound", move |rows| {
            Box::pin(async move { rules::rooms::heard(rows, room, started_at).await })
        })
        .await
    }

    async fn append_segments(
        &self,
        room: OwnedRoom,
        rendition: &Rendition,
        segments: &[Segment],
        duration: MediaTime,
        participants: &[Participant],
        now: WallTime,
    ) -> Result<()> {
        let (rendition, segments, people) = (rendition.clone(), segments.to_vec(), participants.to_vec());
        self.write("append segments", move |rows| {
            Box::pin(
                async move { rules::rooms::append(rows, room, (&rendition, &segments), duration, &people, now).await },
            )
        })
        .await
    }

    async fn excluded(&self, recording: RecordingId) -> Result<Vec<String>> {
        self.reader("read who is excluded").await?.excluded_from(recording).await
    }

    async fn note_left_out(&self, room: OwnedRoom, who: LeftOut) -> Result<()> {
        self.write("note somebody who is left out", move |rows| {
            Box::pin(async move { rules::rooms::note_left_out(rows, room, who).await })
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

    async fn room_over(&self, room: OwnedRoom, now: WallTime) -> Result<()> {
        self.write("note that a room is over", move |rows| {
            Box::pin(async move { rules::rooms::over(rows, room, now).await })
        })
        .await
    }

    async fn room_ended(&self, room: OwnedRoom, now: WallTime) -> Result<()> {
        self.write("end a recording", move |rows| Box::pin(async move { rules::rooms::ended(rows, room, now).await }))
            .await
    }

    async fn recorded_room(&self, project: &ProjectId, room_sid: &str) -> Result<bool> {
        let recorded = sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT 1 FROM recordings JOIN rooms ON rooms.recording = recordings.id
                            WHERE project = ? AND room_sid = ?)",
        );
        recorded.bind(project.as_str()).bind(room_sid).fetch_one(&self.readers).await.map_err(failed)
    }

    async fn recording_options(&self, recording: RecordingId) -> Result<Option<RecordingOptions>> {
        let row = sqlx::query("SELECT recording AS id, options FROM rooms WHERE recording = ?");
        let row = row.bind(recording.to_string()).fetch_optional(&self.readers).await.map_err(failed)?;
        row.as_ref().map(codec::options).transpose()
    }
}
