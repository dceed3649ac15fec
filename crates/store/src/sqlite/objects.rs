//! Implements `Objects` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::codec::{Reader, json};
use crate::{Error, Objects, Purpose, Result, SweepCandidate, rules};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("look for objects", error)
}

#[async_trait]
impl Objects for SqliteStore {
    async fn announce(
        &self,
        project: &ProjectId,
        recording: Option<RecordingId>,
        purpose: Purpose,
        keys: &[ObjectKey],
        now: WallTime,
    ) -> Result<()> {
        let (project, keys) = (project.clone(), keys.to_vec());
        self.write("announce objects", move |rows| {
            Box::pin(async move { rules::objects::announce(rows, &project, recording, purpose, &keys, now).await })
        })
        .await
    }

    async fn announce_folder(
        &self,
        project: &ProjectId,
        recording: RecordingId,
        purpose: Purpose,
        folder: &ObjectKey,
        now: WallTime,
    ) -> Result<()> {
        let (project, folder) = (project.clone(), folder.clone());
        self.write("announce a folder", move |rows| {
            Box::pin(
                async move { rules::objects::announce_folder(rows, &project, recording, purpose, &folder, now).await },
            )
        })
        .await
    }

    async fn known_objects(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>> {
        let rows = sqlx::query(
            "SELECT key AS id FROM objects WHERE store = 'main' AND key IN (SELECT value FROM json_each(?))",
        );
        let rows = rows.bind(json(keys)).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("objects", row).parse("id")).collect()
    }

    async fn sweepable(&self, condemned: WallTime, announced: WallTime, limit: u32) -> Result<Vec<SweepCandidate>> {
        let rows = sqlx::query(
            "SELECT key AS id, is_prefix FROM objects
             WHERE (state = 'condemned' AND since < ?) OR (state = 'announced' AND since < ?) ORDER BY since LIMIT ?",
        )
        .bind(condemned.as_nanos())
        .bind(announced.as_nanos())
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let candidate = |row: &SqliteRow| {
            let row = Reader::new("objects", row);
            Ok(SweepCandidate { key: row.parse("id")?, is_folder: row.flag("is_prefix")? })
        };
        rows.iter().map(candidate).collect()
    }

    async fn swept(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>> {
        let keys = keys.to_vec();
        self.write("forget objects", move |rows| Box::pin(async move { rules::objects::swept(rows, keys).await })).await
    }
}
