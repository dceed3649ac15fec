//! Implements `Objects` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use super::SqliteStore;
use super::codec::Reader;
use crate::{Error, Objects, Purpose, Result, SweepCandidate, rules};

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

    async fn sweepable(&self, condemned: WallTime, announced: WallTime, limit: u32) -> Result<Vec<SweepCandidate>> {
        let rows = sqlx::query(
            "SELECT key AS id FROM objects
             WHERE (state = 'condemned' AND since < ?) OR (state = 'announced' AND since < ?) ORDER BY since LIMIT ?",
        )
        .bind(condemned.as_nanos())
        .bind(announced.as_nanos())
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(|error| Error::from_sqlx("look for unneeded objects", error))?;
        rows.iter().map(|row| Ok(SweepCandidate { key: Reader::new("objects", row).parse("id")? })).collect()
    }

    async fn swept(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>> {
        let keys = keys.to_vec();
        self.write("forget objects", move |rows| Box::pin(async move { rules::objects::swept(rows, keys).await })).await
    }
}
