//! Sign-ins and one-time sign-in links, on SQLite.

use async_trait::async_trait;
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::codec::Reader;
use crate::{Error, Result, SignIn, SignIns};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change the sign-ins", error)
}

fn read(row: &SqliteRow) -> Result<SignIn> {
    let row = Reader::new("sign_ins", row);
    Ok(SignIn {
        id: row.text("id")?,
        project: row.project()?,
        credential: row.text("credential")?,
        created_at: row.time("created_at")?,
        seen_at: row.time("seen_at")?,
        ends_at: row.time("ends_at")?,
    })
}

#[async_trait]
impl SignIns for SqliteStore {
    async fn begin_sign_in(&self, sign_in: &SignIn, most: u32) -> Result<()> {
        let sign_in = sign_in.clone();
        self.write("keep a sign-in", move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO sign_ins (id, project, credential, created_at, seen_at, ends_at) VALUES (?, ?, ?, ?, ?, ?)",
                )
                .bind(&sign_in.id)
                .bind(sign_in.project.as_str())
                .bind(&sign_in.credential)
                .bind(sign_in.created_at.as_nanos())
                .bind(sign_in.seen_at.as_nanos())
                .bind(sign_in.ends_at.as_nanos())
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
                sqlx::query(
                    "DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins ORDER BY seen_at DESC, id LIMIT -1 OFFSET ?)",
                )
                .bind(most)
                .execute(connection)
                .await
                .map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn sign_in(&self, id: &str) -> Result<Option<SignIn>> {
        let row = sqlx::query("SELECT * FROM sign_ins WHERE id = ?").bind(id).fetch_optional(&self.readers).await;
        row.map_err(|error| Error::from_sqlx("read a sign-in", error))?.as_ref().map(read).transpose()
    }

    async fn see_sign_in(&self, id: &str, at: WallTime) -> Result<()> {
        let id = id.to_owned();
        self.write("note a sign-in", move |connection| {
            Box::pin(async move {
                let set = sqlx::query("UPDATE sign_ins SET seen_at = max(seen_at, ?) WHERE id = ?");
                set.bind(at.as_nanos()).bind(id).execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn end_sign_in(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.write("end a sign-in", move |connection| {
            Box::pin(async move {
                let gone = sqlx::query("DELETE FROM sign_ins WHERE id = ?");
                let gone = gone.bind(id).execute(connection).await.map_err(failed)?;
                Ok(gone.rows_affected() > 0)
            })
        })
        .await
    }

    async fn end_sign_ins_but(&self, credentials: &[String]) -> Result<u64> {
        let kept = serde_json::to_string(credentials).unwrap_or_default();
        self.write("end sign-ins", move |connection| {
            Box::pin(async move {
                let gone = sqlx::query("DELETE FROM sign_ins WHERE credential NOT IN (SELECT value FROM json_each(?))");
                let gone = gone.bind(kept).execute(connection).await.map_err(failed)?;
                Ok(gone.rows_affected())
            })
        })
        .await
    }

    async fn take_sign_in_link(&self, nonce: &str, expires_at: WallTime) -> Result<bool> {
        let nonce = nonce.to_owned();
        self.write("take a sign-in link", move |connection| {
            Box::pin(async move {
                let taken = sqlx::query(
                    "INSERT INTO used_sign_in_links (nonce, expires_at) VALUES (?, ?) ON CONFLICT (nonce) DO NOTHING",
                );
                let taken = taken.bind(nonce).bind(expires_at.as_nanos()).execute(connection).await.map_err(failed)?;
                Ok(taken.rows_affected() > 0)
            })
        })
        .await
    }

    async fn forget_sign_ins(&self, now: WallTime, seen_before: WallTime) -> Result<u64> {
        self.write("forget sign-ins", move |connection| {
            Box::pin(async move {
                let ended = sqlx::query("DELETE FROM sign_ins WHERE ends_at <= ? OR seen_at < ?");
                let ended = ended.bind(now.as_nanos()).bind(seen_before.as_nanos());
                let ended = ended.execute(&mut *connection).await.map_err(failed)?;
                let used = sqlx::query("DELETE FROM used_sign_in_links WHERE expires_at <= ?");
                let used = used.bind(now.as_nanos()).execute(connection).await.map_err(failed)?;
                Ok(ended.rows_affected() + used.rows_affected())
            })
        })
        .await
    }
}
