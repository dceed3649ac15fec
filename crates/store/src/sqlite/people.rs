//! Implements `People` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;

use super::SqliteStore;
use super::codec::Reader;
use crate::{Error, People, Result, rules};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read who was in a room", error)
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
        let (project, sid, person) = (project.clone(), room_sid.to_owned(), person.clone());
        self.write("note who is in a room", move |rows| {
            Box::pin(async move { rules::people::note(rows, &project, &sid, &person, told_at).await })
        })
        .await
    }

    async fn leave_out(&self, project: &ProjectId, room_sid: &str, identity: &str, now: WallTime) -> Result<()> {
        let (project, sid, identity) = (project.clone(), room_sid.to_owned(), identity.to_owned());
        self.write("leave somebody out of a room", move |rows| {
            Box::pin(async move { rules::people::leave_out(rows, &project, &sid, &identity, now).await })
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
        self.write("add participants", move |rows| {
            Box::pin(async move { rules::people::add(rows, recording, people).await })
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
