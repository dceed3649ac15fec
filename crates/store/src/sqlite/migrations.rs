//! The schema's migrations, in order. A list instead of `sqlx::migrate!`, because that macro has SQLite built a second time, for
//! the compiler.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

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
const STEPS: [(&str, &str, &str); 12] = steps![
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
];

/// All migrations; those that a database has already are skipped when this runs.
pub(super) fn all() -> Migrator {
    let step = |(version, name, sql): (&str, &'static str, &'static str)| {
        let version = version.parse().unwrap_or_default();
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(STEPS.map(step).to_vec())
}

#[cfg(test)]
mod tests {
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
}
