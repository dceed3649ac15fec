//! Implements `Places` on SQLite.

use async_trait::async_trait;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::codec::{Reader, json};
use crate::{ElsewhereObject, Error, Place, PlaceId, Places, Result};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("look where objects are", error)
}

/// The place that is written to: the first one before any is named.
pub(super) const HERE: &str = "ifnull((SELECT id FROM places ORDER BY used_since DESC, id DESC LIMIT 1), 1)";

/// What is moved: all that is needed, but sidecars, which are written anew here.
const TO_MOVE: &str = "state = 'live' AND is_prefix = 0 AND purpose <> 'sidecar'";

fn located(row: &SqliteRow) -> Result<(ObjectKey, PlaceId)> {
    let row = Reader::new("objects", row);
    Ok((row.parse("id")?, PlaceId(row.number("place")?)))
}

#[async_trait]
impl Places for SqliteStore {
    async fn places(&self) -> Result<Vec<Place>> {
        let rows = sqlx::query("SELECT id, marker, settings FROM places ORDER BY used_since DESC, id DESC");
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        let place = |row: &SqliteRow| {
            let row = Reader::new("places", row);
            Ok(Place { id: PlaceId(row.number("id")?), marker: row.text("marker")?, settings: row.text("settings")? })
        };
        rows.iter().map(place).collect()
    }

    async fn use_place(&self, marker: &str, settings: &str, now: WallTime) -> Result<PlaceId> {
        let (marker, settings) = (marker.to_owned(), settings.to_owned());
        self.write("use a place", move |connection| {
            Box::pin(async move {
                let used = sqlx::query_scalar::<_, i64>(
                    "INSERT INTO places (marker, settings, used_since)
                         VALUES (?, ?, max(?, ifnull((SELECT max(used_since) + 1 FROM places), 0)))
                     ON CONFLICT (marker) DO UPDATE SET settings = excluded.settings, used_since = excluded.used_since
                     RETURNING id",
                );
                let used = used.bind(marker).bind(settings).bind(now.as_nanos());
                let id = used.fetch_one(&mut *connection).await.map_err(failed)?;
                // What is elsewhere now has its sidecar elsewhere.
                let stale = format!(
                    "UPDATE sidecars SET changed = changed + 1 WHERE recording IN (SELECT recording FROM objects
                         WHERE store = 'main' AND purpose = 'sidecar' AND place <> {HERE})"
                );
                sqlx::query(AssertSqlSafe(stale)).execute(connection).await.map_err(failed)?;
                u32::try_from(id).map(PlaceId).map_err(|_| Error::Corrupt {
                    row: format!("places.id of {id}"),
                    reason: "out of range".to_owned(),
                })
            })
        })
        .await
    }

    async fn is_in_use(&self, place: PlaceId) -> Result<bool> {
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM objects WHERE place = ?1) OR EXISTS (SELECT 1 FROM leftovers WHERE place = ?1)",
        );
        found.bind(place.0).fetch_one(&self.readers).await.map_err(failed)
    }

    async fn forget_unused_places(&self) -> Result<u64> {
        self.write("forget places", |connection| {
            Box::pin(async move {
                let gone = format!(
                    "DELETE FROM places WHERE id <> {HERE}
                     AND NOT EXISTS (SELECT 1 FROM objects WHERE place = places.id)
                     AND NOT EXISTS (SELECT 1 FROM leftovers WHERE place = places.id)"
                );
                let gone = sqlx::query(AssertSqlSafe(gone)).execute(connection).await.map_err(failed)?;
                Ok(gone.rows_affected())
            })
        })
        .await
    }

    async fn elsewhere(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, PlaceId)>> {
        let rows = format!(
            "SELECT key AS id, place FROM objects
             WHERE store = 'main' AND key IN (SELECT value FROM json_each(?)) AND place <> {HERE}"
        );
        let rows = sqlx::query(AssertSqlSafe(rows)).bind(json(keys));
        rows.fetch_all(&self.readers).await.map_err(failed)?.iter().map(located).collect()
    }

    async fn copies(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, PlaceId)>> {
        let rows = format!(
            "SELECT key AS id, place FROM objects
                 WHERE store = 'main' AND key IN (SELECT value FROM json_each(?1)) AND place <> {HERE}
             UNION SELECT key, place FROM leftovers WHERE key IN (SELECT value FROM json_each(?1)) AND place <> {HERE}"
        );
        let rows = sqlx::query(AssertSqlSafe(rows)).bind(json(keys));
        rows.fetch_all(&self.readers).await.map_err(failed)?.iter().map(located).collect()
    }

    async fn all_elsewhere(&self, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ElsewhereObject>> {
        let rows = format!(
            "SELECT key AS id, place, project, recording FROM objects
             WHERE store = 'main' AND key > ? AND place <> {HERE} AND {TO_MOVE} ORDER BY key LIMIT ?"
        );
        let rows = sqlx::query(AssertSqlSafe(rows)).bind(after.map_or("", ObjectKey::as_str)).bind(limit);
        let object = |row: &SqliteRow| {
            let ((key, place), row) = (located(row)?, Reader::new("objects", row));
            Ok(ElsewhereObject { key, place, project: row.project()?, recording: row.maybe_parse("recording")? })
        };
        rows.fetch_all(&self.readers).await.map_err(failed)?.iter().map(object).collect()
    }

    async fn count_elsewhere(&self) -> Result<u64> {
        let count = format!("SELECT count(*) FROM objects WHERE store = 'main' AND place <> {HERE} AND {TO_MOVE}");
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count));
        count.fetch_one(&self.readers).await.map(i64::unsigned_abs).map_err(failed)
    }

    async fn moved(&self, key: &ObjectKey, from: PlaceId, left_until: WallTime) -> Result<bool> {
        let key = key.clone();
        self.write("move an object", move |connection| {
            Box::pin(async move {
                let moved = format!(
                    "UPDATE objects SET place = {HERE}
                     WHERE store = 'main' AND key = ?1 AND place = ?2 AND state = 'live'"
                );
                let moved = sqlx::query(AssertSqlSafe(moved)).bind(key.as_str()).bind(from.0);
                if moved.execute(&mut *connection).await.map_err(failed)?.rows_affected() == 0 {
                    return Ok(false);
                }
                let left = sqlx::query(
                    "INSERT INTO leftovers (key, place, until) VALUES (?, ?, ?)
                     ON CONFLICT (key, place) DO UPDATE SET until = excluded.until",
                );
                let left = left.bind(key.as_str()).bind(from.0).bind(left_until.as_nanos());
                left.execute(&mut *connection).await.map_err(failed)?;
                let here = format!("DELETE FROM leftovers WHERE key = ? AND place = {HERE}");
                let here = sqlx::query(AssertSqlSafe(here)).bind(key.as_str());
                here.execute(connection).await.map(|_| true).map_err(failed)
            })
        })
        .await
    }

    async fn left_behind(
        &self,
        before: WallTime,
        after: Option<&(ObjectKey, PlaceId)>,
        limit: u32,
    ) -> Result<Vec<(ObjectKey, PlaceId)>> {
        let rows = format!(
            "SELECT key AS id, place FROM leftovers
             WHERE until < ? AND (key, place) > (?, ?) AND place <> {HERE} ORDER BY key, place LIMIT ?"
        );
        let (key, place) = after.map_or(("", 0), |(key, place)| (key.as_str(), place.0));
        let rows = sqlx::query(AssertSqlSafe(rows)).bind(before.as_nanos()).bind(key).bind(place).bind(limit);
        rows.fetch_all(&self.readers).await.map_err(failed)?.iter().map(located).collect()
    }

    async fn nothing_left(&self, key: &ObjectKey, place: PlaceId) -> Result<()> {
        let key = key.clone();
        self.write("note what is left nowhere", move |connection| {
            Box::pin(async move {
                let noted = sqlx::query("DELETE FROM leftovers WHERE key = ? AND place = ?");
                noted.bind(key.as_str()).bind(place.0).execute(connection).await.map(|_| ()).map_err(failed)
            })
        })
        .await
    }
}
