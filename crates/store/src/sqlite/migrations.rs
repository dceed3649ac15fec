//! The schema's migrations, in order, and the schema that they make, with which a new database begins. A list instead of
//! `sqlx::migrate!`, because that macro has SQLite built a second time, for the compiler.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqliteConnection};

macro_rules! steps {
    ($($version:literal $name:literal),* $(,)?) => {
        [$((
            $version,
            $name,
            include_str!(concat!("../../migrations/sqlite/", $version, "_", $name, ".sql")),
        )),*]
    };
}

/// Number, name and text of each migration. A released one is never changed: its checksum is in the databases.
const STEPS: [(&str, &str, &str); 14] = steps![
    "0001" "first",
    "0002" "live",
    "0003" "left_out",
    "0005" "http",
    "0006" "over",
    "0010" "sessions",
    "0011" "people",
    "0012" "deletion",
    "0013" "sign_ins",
    "0014" "began",
    "0015" "house",
    "0016" "masters",
    "0017" "places",
    "0018" "sidecars",
];

/// What all migrations make.
const SCHEMA: &str = include_str!("../../schema/sqlite.sql");

/// Brings a database to the current schema: a new one at once, any other by the migrations that it does not have.
pub(super) async fn upgrade(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let tables = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_master").fetch_one(&mut *connection).await?;
    if tables > 0 {
        return all().run(connection).await;
    }
    sqlx::raw_sql(SCHEMA).execute(&mut *connection).await?;
    all().skip(connection, None).await
}

/// Brings a database that is empty, or older, to the schema of an earlier version.
pub(super) async fn upgrade_to(connection: &mut SqliteConnection, version: i64) -> Result<(), MigrateError> {
    let steps: Vec<Migration> = all().iter().filter(|step| step.version <= version).cloned().collect();
    Migrator::with_migrations(steps).run(connection).await
}

/// The number of the last migration.
pub(super) fn last() -> i64 {
    STEPS.last().and_then(|(version, ..)| version.parse().ok()).unwrap_or_default()
}

/// All migrations; those that a database has already are skipped when this runs.
fn all() -> Migrator {
    let step = |(version, name, sql): (&str, &'static str, &'static str)| {
        let version = version.parse().unwrap_or_default();
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(STEPS.map(step).to_vec())
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    #[test]
    fn every_file_is_a_step_and_every_step_has_its_number() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = files.collect();
        files.sort();
        assert_eq!(files, STEPS.map(|(version, name, _)| format!("{version}_{name}.sql")));
        let numbers: Vec<i64> = all().iter().map(|step| step.version).collect();
        assert!(numbers.first() == Some(&1) && numbers.is_sorted(), "{numbers:?}");
    }

    /// What a database has, in the order in which it was made.
    async fn schema(connection: &mut SqliteConnection) -> Vec<String> {
        let made = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> '_sqlx_migrations' ORDER BY rowid";
        sqlx::query_scalar(made).fetch_all(connection).await.unwrap()
    }

    #[tokio::test]
    async fn a_new_database_is_what_all_migrations_make() {
        let [mut migrated, mut new] = [
            SqliteConnection::connect("sqlite::memory:").await.unwrap(),
            SqliteConnection::connect("sqlite::memory:").await.unwrap(),
        ];
        all().run(&mut migrated).await.unwrap();
        upgrade(&mut new).await.unwrap();
        let (migrated, made) = (schema(&mut migrated).await, schema(&mut new).await);
        assert_eq!(made, migrated, "schema/sqlite.sql is to be:\n{};\n", migrated.join(";\n\n"));
        upgrade(&mut new).await.expect("it has all migrations");
        let versions: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
            .fetch_all(&mut new)
            .await
            .unwrap();
        assert_eq!(versions, all().iter().map(|step| step.version).collect::<Vec<_>>());
    }
}
