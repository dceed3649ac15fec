//! Implements `PeopleRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;

use crate::rows::PeopleRows;
use crate::sqlite::codec::json;
use crate::{Error, Result};

#[async_trait]
impl PeopleRows for SqliteConnection {
    async fn put_person(
        &mut self,
        project: &ProjectId,
        room_sid: &str,
        who: &str,
        person: Option<&Participant>,
        told_at: WallTime,
        most: u32,
    ) -> Result<()> {
        let put = sqlx::query(
            "INSERT INTO people (project, room_sid, who, person, told_at) SELECT ?1, ?2, ?3, ?4, ?5
             WHERE ?4 = '' OR EXISTS (SELECT 1 FROM people WHERE project = ?1 AND room_sid = ?2 AND who = ?3)
                OR (SELECT count(*) FROM people WHERE project = ?1 AND room_sid = ?2) < ?6
             ON CONFLICT (project, room_sid, who) DO UPDATE SET person = excluded.person, told_at = excluded.told_at
             WHERE people.person <> '' AND (excluded.person = '' OR excluded.told_at >= people.told_at)",
        );
        let put = put.bind(project.as_str()).bind(room_sid).bind(who).bind(person.map(json).unwrap_or_default());
        let put = put.bind(told_at.as_nanos()).bind(most).execute(self).await;
        put.map(|_| ()).map_err(|error| Error::from_sqlx("note who is in a room", error))
    }
}
