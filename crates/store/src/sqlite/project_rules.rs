//! Implements `ProjectRules` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::rule::Rule;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::codec::{Reader, json};
use crate::{Error, ProjectRules, Result};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read or write a project's rules", error)
}

fn rule(row: &SqliteRow) -> Result<Rule> {
    Reader::new("rules", row).json("rule")
}

#[async_trait]
impl ProjectRules for SqliteStore {
    async fn project_rules(&self, project: &ProjectId) -> Result<Vec<Rule>> {
        let rows = sqlx::query("SELECT project AS id, rule FROM rules WHERE project = ? ORDER BY position");
        let rows = rows.bind(project.as_str()).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(rule).collect()
    }

    async fn set_project_rules(&self, project: &ProjectId, rules: &[Rule]) -> Result<()> {
        let (project, rules) = (project.clone(), json(rules));
        self.write("write a project's rules", move |connection| {
            Box::pin(async move {
                let deleted = sqlx::query("DELETE FROM rules WHERE project = ?").bind(project.as_str());
                deleted.execute(&mut *connection).await.map_err(failed)?;
                let inserted =
                    sqlx::query("INSERT INTO rules (project, position, rule) SELECT ?, key, value FROM json_each(?)");
                inserted.bind(project.as_str()).bind(rules).execute(connection).await.map(|_| ()).map_err(failed)
            })
        })
        .await
    }
}
