//! Implements `RoomRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{NodeId, ProjectId, RecordingId};
use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::{Room, RoomRows};
use crate::sqlite::codec::{self, Reader, json};
use crate::{Error, LeftOut, NewLive, Result, Stretch};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change a live recording", error)
}

fn room(row: &SqliteRow) -> Result<Room> {
    let recording = codec::recording(row)?;
    let options = codec::options(row)?;
    let row = Reader::new("rooms", row);
    Ok(Room {
        recording,
        capture: row.parse("capture")?,
        options,
        paused: row.flag("paused")?,
        owner: row.maybe_parse("owner")?,
        lease_until: row.maybe_time("lease_until")?,
    })
}

/// Reads a list that a column of a room has.
async fn list<T: DeserializeOwned>(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    column: &'static str,
) -> Result<Vec<T>> {
    let query = format!("SELECT recording AS id, {column} FROM rooms WHERE recording = ?");
    let row = sqlx::query(AssertSqlSafe(query)).bind(recording.to_string());
    let row = row.fetch_optional(connection).await.map_err(failed)?;
    row.as_ref().map_or(Ok(Vec::new()), |row| Reader::new("rooms", row).json(column))
}

/// Writes a list into a column of a room.
async fn set_list<T: Serialize>(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    column: &'static str,
    list: &[T],
) -> Result<()> {
    let query = format!("UPDATE rooms SET {column} = ? WHERE recording = ?");
    let set = sqlx::query(AssertSqlSafe(query)).bind(json(list)).bind(recording.to_string());
    set.execute(connection).await.map(|_| ()).map_err(failed)
}

#[async_trait]
impl RoomRows for SqliteConnection {
    async fn insert_room(&mut self, new: &NewLive, pauses: &[Stretch]) -> Result<()> {
        let inserted = sqlx::query(
            "INSERT INTO rooms (recording, capture, options, paused, pauses, excluded, owner, lease_until)
             VALUES (?, ?, ?, ?, ?, '[]', ?, ?)",
        );
        let inserted = inserted.bind(new.recording.to_string()).bind(new.capture.to_string()).bind(json(&new.options));
        let inserted = inserted.bind(new.options.paused).bind(json(pauses));
        let inserted = inserted.bind(new.owner.to_string()).bind(new.lease_until.as_nanos());
        inserted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn live_of_name(&mut self, project: &ProjectId, room_name: &str) -> Result<Vec<Recording>> {
        let rows = sqlx::query(
            "SELECT * FROM recordings WHERE project = ? AND room_name = ? AND status IN ('STARTING', 'ACTIVE')
             AND id IN (SELECT recording FROM rooms)",
        );
        let rows = rows.bind(project.as_str()).bind(room_name).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(codec::recording).collect()
    }

    async fn live_rooms(&mut self) -> Result<Vec<Room>> {
        let rows = sqlx::query(
            "SELECT recordings.*, rooms.capture, rooms.options, rooms.paused, rooms.owner, rooms.lease_until
             FROM recordings JOIN rooms ON rooms.recording = recordings.id
             WHERE recordings.status IN ('STARTING', 'ACTIVE') AND recordings.deletion = 'none' ORDER BY recordings.created_at",
        );
        rows.fetch_all(self).await.map_err(failed)?.iter().map(room).collect()
    }

    async fn owner_of(&mut self, recording: RecordingId) -> Result<Option<NodeId>> {
        let row = sqlx::query("SELECT recording AS id, owner FROM rooms WHERE recording = ?");
        let row = row.bind(recording.to_string()).fetch_optional(self).await.map_err(failed)?;
        row.map_or(Ok(None), |row| Reader::new("rooms", &row).maybe_parse("owner"))
    }

    async fn set_owner(&mut self, recording: RecordingId, owner: NodeId, lease_until: WallTime) -> Result<()> {
        let set = sqlx::query("UPDATE rooms SET owner = ?, lease_until = ? WHERE recording = ?");
        let set = set.bind(owner.to_string()).bind(lease_until.as_nanos()).bind(recording.to_string());
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn clear_owner(&mut self, recording: RecordingId) -> Result<()> {
        let set = sqlx::query("UPDATE rooms SET owner = NULL, lease_until = NULL WHERE recording = ?");
        set.bind(recording.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn prolong_leases(&mut self, owner: NodeId, lease_until: WallTime) -> Result<Vec<RecordingId>> {
        let rows = sqlx::query(
            "UPDATE rooms SET lease_until = ? WHERE owner = ? AND recording IN (SELECT id FROM recordings
                 WHERE status IN ('STARTING', 'ACTIVE') AND deletion = 'none') RETURNING recording AS id",
        );
        let rows = rows.bind(lease_until.as_nanos()).bind(owner.to_string()).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("rooms", row).parse("id")).collect()
    }

    async fn pauses(&mut self, recording: RecordingId) -> Result<Vec<Stretch>> {
        list(self, recording, "pauses").await
    }

    async fn set_pauses(&mut self, recording: RecordingId, paused: bool, pauses: &[Stretch]) -> Result<()> {
        let set = sqlx::query("UPDATE rooms SET paused = ?, pauses = ? WHERE recording = ?").bind(paused);
        let set = set.bind(json(pauses)).bind(recording.to_string());
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn excluded_from(&mut self, recording: RecordingId) -> Result<Vec<String>> {
        list(self, recording, "excluded").await
    }

    async fn set_excluded(&mut self, recording: RecordingId, identities: &[String]) -> Result<()> {
        set_list(self, recording, "excluded", identities).await
    }

    async fn left_out_of(&mut self, recording: RecordingId) -> Result<Vec<LeftOut>> {
        list(self, recording, "left_out").await
    }

    async fn set_left_out(&mut self, recording: RecordingId, all: &[LeftOut]) -> Result<()> {
        set_list(self, recording, "left_out", all).await
    }
}
