//! People in rooms, and the participants of recordings, on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::lifecycle::Deletion;
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use super::codec::{Reader, json};
use super::{SqliteStore, rows, tombstones};
use crate::{Error, People, Result};

/// The most people of one room that are stored.
const MOST: i64 = 1_000;

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("note who is in a room", error)
}

fn who(identity: &str) -> String {
    hex::encode(Sha256::digest(identity))
}

/// Stores a person. An empty `person` marks somebody who is left out; nothing replaces that mark.
async fn note(
    connection: &mut SqliteConnection,
    project: &ProjectId,
    room_sid: &str,
    (who, person): (&str, &str),
    told_at: WallTime,
) -> Result<()> {
    if tombstones::room_gone(&mut *connection, project, room_sid).await? {
        return Ok(());
    }
    let set = sqlx::query(
        "INSERT INTO people (project, room_sid, who, person, told_at) SELECT ?1, ?2, ?3, ?4, ?5
         WHERE ?4 = '' OR EXISTS (SELECT 1 FROM people WHERE project = ?1 AND room_sid = ?2 AND who = ?3)
            OR (SELECT count(*) FROM people WHERE project = ?1 AND room_sid = ?2) < ?6
         ON CONFLICT (project, room_sid, who) DO UPDATE SET person = excluded.person, told_at = excluded.told_at
         WHERE people.person <> '' AND (excluded.person = '' OR excluded.told_at >= people.told_at)",
    );
    let set = set.bind(project.as_str()).bind(room_sid).bind(who).bind(person).bind(told_at.as_nanos()).bind(MOST);
    set.execute(connection).await.map_err(failed)?;
    Ok(())
}

async fn add(connection: &mut SqliteConnection, id: RecordingId, people: Vec<Participant>) -> Result<()> {
    let recording = rows::recording_by_id(connection, id).await?;
    if recording.state.deletion != Deletion::None {
        return Ok(());
    }
    let mut all = recording.participants;
    for person in people {
        if !all.iter().any(|known| known.identity == person.identity) {
            all.push(person);
        }
    }
    let set = sqlx::query("UPDATE recordings SET participants = ? WHERE id = ?").bind(json(&all)).bind(id.to_string());
    set.execute(connection).await.map_err(failed)?;
    Ok(())
}

#[async_trait]
impl People for SqliteStore {
    async fn note_person(
        &self,
        project: &ProjectId,
        room_sid: &str,
        person: &Participant,
        told_at: WallTime,
    ) -> Result<()> {
        let (project, sid, who, person) = (project.clone(), room_sid.to_owned(), who(&person.identity), json(person));
        self.write("note who is in a room", move |connection| {
            Box::pin(async move { note(connection, &project, &sid, (&who, &person), told_at).await })
        })
        .await
    }

    async fn leave_out(&self, project: &ProjectId, room_sid: &str, identity: &str, now: WallTime) -> Result<()> {
        let (project, sid, who) = (project.clone(), room_sid.to_owned(), who(identity));
        self.write("leave somebody out of a room", move |connection| {
            Box::pin(async move { note(connection, &project, &sid, (&who, ""), now).await })
        })
        .await
    }

    async fn people(&self, project: &ProjectId, room_sid: &str) -> Result<Vec<Participant>> {
        let rows = sqlx::query(
            "SELECT who AS id, person FROM people WHERE project = ? AND room_sid = ? AND person <> ''
             ORDER BY json_extract(person, '$.identity')",
        );
        let rows = rows.bind(project.as_str()).bind(room_sid).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("people", row).json("person")).collect()
    }

    async fn ended_recordings(&self, project: &ProjectId, room_sid: &str) -> Result<Vec<RecordingId>> {
        let rows = sqlx::query(
            "SELECT id FROM recordings WHERE project = ? AND room_sid = ? AND status IN ('COMPLETED', 'FAILED')
             AND deletion = 'none'",
        );
        let rows = rows.bind(project.as_str()).bind(room_sid).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("recordings", row).parse("id")).collect()
    }

    async fn add_participants(&self, recording: RecordingId, people: &[Participant]) -> Result<()> {
        let people = people.to_vec();
        self.write("add participants", move |connection| {
            Box::pin(async move { add(connection, recording, people).await })
        })
        .await
    }

    async fn forget_people(&self, before: WallTime) -> Result<u64> {
        self.write("forget who was in rooms", move |connection| {
            Box::pin(async move {
                let gone = sqlx::query(
                    "DELETE FROM people WHERE told_at < ? AND (project, room_sid) NOT IN
                         (SELECT project, room_sid FROM recordings WHERE room_sid IS NOT NULL
                          AND status NOT IN ('COMPLETED', 'FAILED') AND deletion = 'none')",
                );
                let gone = gone.bind(before.as_nanos()).execute(connection).await.map_err(failed)?;
                Ok(gone.rows_affected())
            })
        })
        .await
    }
}
