//! Deletion on SQLite: lists what to erase, and scrubs erased bytes from the database file.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::{self, ObjectKey};
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::codec::Reader;
use super::erasure::{failed, parameters, rows_of};
use super::{SqliteStore, gaps};
use crate::rows::TombstoneRows;
use crate::{Belongings, Deletions, Erasure, Error, Gone, Lease, Result, SessionIds, rules};

const ACTION: &str = "erase what was deleted";
/// How long folding the write-ahead log in waits for readers at a time, in milliseconds; writers wait meanwhile.
const FOLD_PATIENCE: u32 = 250;

async fn belongings(connection: &mut SqliteConnection, what: Erasure) -> Result<Belongings> {
    let keys = |rows: Vec<SqliteRow>| -> Result<Vec<ObjectKey>> {
        rows.iter().map(|row| Reader::new("objects", row).parse("id")).collect()
    };
    let mut found = Belongings::default();
    let listed = "SELECT key AS id FROM objects WHERE recording = ?1 AND is_prefix = 0 UNION SELECT key FROM telemetry WHERE {telemetry}";
    found.objects = keys(rows_of(connection, what, listed).await?)?;
    found.folders = folders(connection, what).await?;
    let announced = "SELECT key AS id FROM objects WHERE recording = ?1 AND is_prefix = 1";
    found.folders.extend(keys(rows_of(connection, what, announced).await?)?);
    for folder in &found.folders {
        // Objects that were redacted and wait for the sweeper, and those that were only announced.
        let of_folder = sqlx::query(
            "SELECT key AS id FROM objects WHERE store = 'main' AND key > ?1 || '/' AND key < ?1 || '0' AND (recording IS NULL OR recording = ?2) AND is_prefix = 0",
        );
        let of_folder = of_folder.bind(folder.as_str()).bind(parameters(what).0).fetch_all(&mut *connection).await;
        found.objects.extend(keys(of_folder.map_err(failed)?)?);
    }
    found.objects.sort();
    found.objects.dedup();
    let of_uploads = rows_of(connection, what, "SELECT id FROM uploads WHERE {uploads}").await?;
    for row in &of_uploads {
        found.uploads.push(Reader::new("uploads", row).parse("id")?);
    }
    let recorded = "SELECT id FROM captures WHERE recording = ?1 AND source = 'recorder'";
    for row in &rows_of(connection, what, recorded).await? {
        found.captures.push(Reader::new("captures", row).parse("id")?);
    }
    found.is_awaited = !rows_of(connection, what, "SELECT 1 FROM uploads WHERE {awaited}").await?.is_empty();
    let composed = "SELECT 1 FROM captures AS copy JOIN captures AS room ON copy.copy_of = room.id WHERE copy.recording = ?1
        AND (EXISTS (SELECT 1 FROM tasks WHERE kind = 'compose' AND payload = room.project || '/' || room.recording)
             OR EXISTS (SELECT 1 FROM tasks WHERE kind = 'divide' AND lease_until IS NOT NULL AND payload = room.project || '/' || room.recording || '/' || room.id)
             OR EXISTS (SELECT 1 FROM tasks JOIN recordings ON recordings.id = room.recording WHERE kind = 'render' AND lease_until IS NOT NULL
                        AND payload LIKE room.project || '/' || room.recording || '/%'
                        AND payload <> room.project || '/' || room.recording || '/' || recordings.revision)
             OR EXISTS (SELECT 1 FROM objects WHERE recording = room.recording AND state = 'condemned' AND since = 0))";
    found.is_heard_elsewhere = !rows_of(connection, what, composed).await?.is_empty();
    Ok(found)
}

/// The recording's own folder, and those of its telemetry.
async fn folders(connection: &mut SqliteConnection, what: Erasure) -> Result<Vec<ObjectKey>> {
    let mut folders = Vec::new();
    for row in &rows_of(connection, what, "SELECT id, prefix FROM recordings WHERE id = ?1").await? {
        folders.push(Reader::new("recordings", row).parse("prefix")?);
    }
    let of_telemetry = "SELECT project, job_id AS id FROM {gone} WHERE job_id IS NOT NULL
                        UNION SELECT project, room_sid FROM {rooms}";
    for row in &rows_of(connection, what, of_telemetry).await? {
        let row = Reader::new("tombstones", row);
        folders.push(key::telemetry_folder(&row.project()?, &row.text("id")?));
    }
    Ok(folders)
}

/// Folds the write-ahead log in; returns whether it is empty now.
async fn fold(connection: &mut SqliteConnection) -> Result<bool> {
    let set = |millis: u32| AssertSqlSafe(format!("PRAGMA busy_timeout = {millis}"));
    sqlx::query(set(FOLD_PATIENCE)).execute(&mut *connection).await.map_err(failed)?;
    let folded = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
    let usual = u32::try_from(super::BUSY_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    sqlx::query(set(usual)).execute(&mut *connection).await.map_err(failed)?;
    let busy: i64 = folded.map_err(failed)?.try_get(0).map_err(failed)?;
    Ok(busy == 0)
}

/// Overwrites what pages have between their rows. Holds the write lock meanwhile, so that no page changes.
async fn clear_gaps(connection: &mut SqliteConnection, file: Arc<ManuallyDrop<File>>) -> Result<()> {
    // Pages in the memory of this connection would be written back as they were.
    sqlx::query("PRAGMA shrink_memory").execute(&mut *connection).await.map_err(failed)?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(failed)?;
    let cleared = tokio::task::spawn_blocking(move || gaps::clear(&file)).await;
    sqlx::query("ROLLBACK").execute(&mut *connection).await.map_err(failed)?;
    let cleared = cleared.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    cleared.map(|_| ()).map_err(|error| Error::from_sqlx(ACTION, sqlx::Error::Io(error)))
}

#[async_trait]
impl Deletions for SqliteStore {
    async fn gone(&self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>> {
        self.reader("read a tombstone").await?.gone_of(project, session).await
    }

    async fn upload_gone(&self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>> {
        self.reader("read a tombstone").await?.gone_of_upload(project, session).await
    }

    async fn refuse(&self, project: &ProjectId, session: &SessionIds, reason: Gone, now: WallTime) -> Result<bool> {
        let (project, session) = (project.clone(), session.clone());
        self.write("refuse a session", move |rows| {
            Box::pin(async move { rules::deletion::refuse(rows, &project, &session, reason, now).await })
        })
        .await
    }

    async fn room_names(&self, project: &ProjectId, session: &SessionIds) -> Result<Vec<String>> {
        let names = sqlx::query_scalar(
            "SELECT DISTINCT name FROM (
                 SELECT room_name AS name FROM inbox WHERE project = ?1 AND room_sid = ?3 AND ?3 <> ''
                 UNION ALL SELECT room_name FROM recordings WHERE project = ?1 AND (room_sid = ?3
                     OR id IN (SELECT recording FROM captures WHERE project = ?1 AND job_id = ?2))
                 UNION ALL SELECT room_name FROM uploads WHERE project = ?1 AND (room_sid = ?3 OR job_id = ?2)
                 UNION ALL SELECT json_extract(facts, '$.room_name') FROM telemetry
                     WHERE project = ?1 AND (room_sid = ?3 OR job_id = ?2)
             ) WHERE name <> '' LIMIT 20",
        );
        let names = names.bind(project.as_str()).bind(&session.job_id).bind(&session.room_sid);
        names.fetch_all(&self.readers).await.map_err(failed)
    }

    async fn belongings(&self, what: Erasure) -> Result<Belongings> {
        self.write("list what is erased", move |connection| Box::pin(async move { belongings(connection, what).await }))
            .await
    }

    async fn kept_elsewhere(&self, what: Erasure, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>> {
        let mut kept = Vec::new();
        for key in keys {
            let others: i64 = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM objects WHERE store = 'main' AND key = ?1 AND recording IS NOT NULL AND recording IS NOT ?2)",
            )
            .bind(key.as_str())
            .bind(parameters(what).0)
            .fetch_one(&self.readers)
            .await
            .map_err(failed)?;
            if others != 0 {
                kept.push(key.clone());
            }
        }
        Ok(kept)
    }

    async fn forget_objects(&self, keys: &[ObjectKey]) -> Result<()> {
        let keys = keys.to_vec();
        self.write(ACTION, move |rows| Box::pin(async move { rules::objects::forget(rows, &keys).await })).await
    }

    async fn erase_rows(&self, what: Erasure) -> Result<()> {
        self.write(ACTION, move |rows| Box::pin(async move { rules::deletion::erase_rows(rows, what).await })).await
    }

    async fn scrub(&self) -> Result<()> {
        const ACTION: &str = "fold the write-ahead log into the database";
        let later = |reason: String| Error::Interrupted { action: ACTION, reason };
        let mut writer = self.writer.alone().await;
        let file = self.file.clone();
        // In a tokio task of its own: the caller may be dropped in the middle of it.
        let scrubbed = tokio::spawn(async move {
            if !fold(&mut writer.connection).await? {
                return Err(later("somebody reads the database".to_owned()));
            }
            match file {
                Some(file) => clear_gaps(&mut writer.connection, file).await,
                None => Ok(()),
            }
        });
        scrubbed.await.unwrap_or_else(|error| Err(Error::Interrupted { action: ACTION, reason: error.to_string() }))
    }

    async fn finish_erase(&self, what: Erasure, lease: &Lease, now: WallTime) -> Result<()> {
        let lease = *lease;
        self.write("end a deletion", move |rows| {
            Box::pin(async move { rules::deletion::finish(rows, what, &lease, now).await })
        })
        .await
    }

    async fn resume_deletions(&self, now: WallTime) -> Result<u64> {
        self.write("resume deletions", move |rows| Box::pin(async move { rules::deletion::resume(rows, now).await }))
            .await
    }

    async fn deleted(&self, after: Option<RecordingId>, limit: u32) -> Result<Vec<RecordingId>> {
        let rows = sqlx::query("SELECT id FROM recordings WHERE deletion = 'done' AND id > ? ORDER BY id LIMIT ?");
        let rows = rows.bind(after.map(|id| id.to_string()).unwrap_or_default()).bind(limit);
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("recordings", row).parse("id")).collect()
    }

    async fn unfinished_telemetry(&self) -> Result<Vec<ObjectKey>> {
        let rows = sqlx::query("SELECT key AS id FROM objects WHERE state = 'announced' AND purpose = 'telemetry'");
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("objects", row).parse("id")).collect()
    }

    async fn is_done_once(&self, name: &str) -> Result<bool> {
        let done = sqlx::query_scalar::<_, i64>("SELECT EXISTS (SELECT 1 FROM upkeep WHERE name = ?)").bind(name);
        Ok(done.fetch_one(&self.readers).await.map_err(failed)? != 0)
    }

    async fn done_once(&self, name: &str, now: WallTime) -> Result<()> {
        let name = name.to_owned();
        self.write("note what is done once", move |connection| {
            Box::pin(async move {
                let noted = sqlx::query("INSERT INTO upkeep (name, done_at) VALUES (?, ?) ON CONFLICT DO NOTHING");
                noted.bind(name).bind(now.as_nanos()).execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn rewrite(&self) -> Result<()> {
        self.write("make Idempotency-Keys unreadable", |rows| {
            Box::pin(async move { rules::once::make_unreadable(rows).await })
        })
        .await?;
        let mut writer = self.writer.alone().await;
        sqlx::query("VACUUM").execute(&mut writer.connection).await.map_err(failed)?;
        fold(&mut writer.connection).await?;
        writer.connection.ping().await.map_err(failed)
    }
}
