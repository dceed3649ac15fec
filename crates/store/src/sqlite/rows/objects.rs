//! Implements `ObjectRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::{ObjectRows, ObjectState};
use crate::sqlite::codec::json;
use crate::sqlite::places::HERE;
use crate::{Error, Purpose, Result};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change an object's row", error)
}

const fn purpose_word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Upload => "upload",
        Purpose::Log => "log",
        Purpose::LogPart => "log_part",
        Purpose::Segment => "segment",
        Purpose::Analysis => "analysis",
        Purpose::Sidecar => "sidecar",
        Purpose::Deletion => "deletion",
        Purpose::Telemetry => "telemetry",
        Purpose::Quarantine => "quarantine",
    }
}

const fn state_word(state: ObjectState) -> &'static str {
    match state {
        ObjectState::Announced => "announced",
        ObjectState::Live => "live",
        ObjectState::Condemned => "condemned",
    }
}

#[async_trait]
impl ObjectRows for SqliteConnection {
    async fn put_objects(
        &mut self,
        project: &ProjectId,
        recording: Option<RecordingId>,
        purpose: Purpose,
        keys: &[ObjectKey],
        state: ObjectState,
        since: WallTime,
    ) -> Result<()> {
        // What is written anew in another place than before leaves a copy there. Of what is live only a sidecar is another one then.
        let written_anew = "(state <> 'live' OR purpose = 'sidecar')";
        let keys = json(keys);
        let left = format!(
            "INSERT INTO leftovers (key, place, until) SELECT key, place, ?2 FROM objects
             WHERE store = 'main' AND key IN (SELECT value FROM json_each(?1)) AND place <> {HERE} AND {written_anew}
             ON CONFLICT (key, place) DO UPDATE SET until = excluded.until"
        );
        let left = sqlx::query(AssertSqlSafe(left)).bind(keys.clone()).bind(since.as_nanos());
        left.execute(&mut *self).await.map_err(failed)?;
        let put = format!(
            "INSERT INTO objects (store, key, project, recording, purpose, state, since, place)
             SELECT 'main', value, ?2, ?3, ?4, ?5, ?6, {HERE} FROM json_each(?1) WHERE true
             ON CONFLICT (store, key) DO UPDATE SET state = excluded.state, since = excluded.since, place = excluded.place
             WHERE {written_anew}"
        );
        let put = sqlx::query(AssertSqlSafe(put)).bind(keys);
        let put = put.bind(project.as_str()).bind(recording.map(|id| id.to_string()));
        let put = put.bind(purpose_word(purpose)).bind(state_word(state)).bind(since.as_nanos());
        put.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_folder(&mut self, key: &ObjectKey) -> Result<()> {
        let set = sqlx::query("UPDATE objects SET is_prefix = 1 WHERE store = 'main' AND key = ?").bind(key.as_str());
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_object_state(&mut self, key: &ObjectKey, state: ObjectState, since: WallTime) -> Result<bool> {
        let set = sqlx::query("UPDATE objects SET state = ?, since = ? WHERE store = 'main' AND key = ?")
            .bind(state_word(state));
        let set = set.bind(since.as_nanos()).bind(key.as_str()).execute(self).await.map_err(failed)?;
        Ok(set.rows_affected() == 1)
    }

    async fn set_object_states(&mut self, keys: &[ObjectKey], state: ObjectState, since: WallTime) -> Result<()> {
        let set = sqlx::query(
            "UPDATE objects SET state = ?, since = ? WHERE store = 'main' AND key IN (SELECT value FROM json_each(?))",
        );
        let set = set.bind(state_word(state)).bind(since.as_nanos()).bind(json(keys));
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn give_object(&mut self, key: &ObjectKey, from: Option<RecordingId>, to: RecordingId) -> Result<()> {
        let set = sqlx::query(
            "UPDATE objects SET recording = ?1 WHERE store = 'main' AND key = ?2 AND (?3 IS NULL OR recording = ?3)",
        );
        let set = set.bind(to.to_string()).bind(key.as_str()).bind(from.map(|id| id.to_string()));
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn condemn_logs(&mut self, recording: RecordingId, since: WallTime) -> Result<()> {
        let set = sqlx::query(
            "UPDATE objects SET state = 'condemned', since = ? WHERE recording = ? AND purpose IN ('log', 'log_part')",
        );
        set.bind(since.as_nanos()).bind(recording.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn delete_unneeded(&mut self, key: &ObjectKey) -> Result<bool> {
        let deleted =
            sqlx::query("DELETE FROM objects WHERE store = 'main' AND key = ? AND state <> 'live'").bind(key.as_str());
        let is_deleted = deleted.execute(&mut *self).await.map_err(failed)?.rows_affected() == 1;
        if is_deleted {
            forget_leftovers(self, key).await?;
        }
        Ok(is_deleted)
    }

    async fn delete_object(&mut self, key: &ObjectKey) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM objects WHERE store = 'main' AND key = ?").bind(key.as_str());
        deleted.execute(&mut *self).await.map_err(failed)?;
        forget_leftovers(self, key).await
    }
}

/// An object is deleted in every place where it has a copy.
async fn forget_leftovers(connection: &mut SqliteConnection, key: &ObjectKey) -> Result<()> {
    let forgotten = sqlx::query("DELETE FROM leftovers WHERE key = ?").bind(key.as_str());
    forgotten.execute(connection).await.map(|_| ()).map_err(failed)
}
