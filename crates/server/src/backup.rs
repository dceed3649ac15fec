//! `echosphere backup`: a copy of the database, taken while the server runs or not.

use std::io;
use std::path::{Path, PathBuf};

use echosphere_store::sqlite;

use crate::config::{Config, Place};
use crate::data_dir;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is such a file already.
    #[error("{0} is there already, and a backup never overwrites a file; name another one")]
    Exists(PathBuf),
    /// There is nothing to copy.
    #[error("there is no database {0}; set ECHOSPHERE_DATA_DIR, or --config, as the server has it")]
    NoDatabase(PathBuf),
    /// The database.
    #[error(transparent)]
    Store(#[from] echosphere_store::Error),
    /// The copy cannot be written.
    #[error("cannot write {file}: {source}")]
    Write {
        /// The copy.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Copies the database of a configuration into a new file; returns what has to be said about it. Whatever goes wrong, there is no
/// file of that name afterwards, or the one that was there before.
///
/// # Errors
///
/// There is a file of that name, there is no database, or one of them cannot be read or written.
pub async fn run(config: &Config, file: &Path) -> Result<String, Error> {
    let database = data_dir::database_of(config);
    if !database.exists() {
        return Err(Error::NoDatabase(database));
    }
    if file.symlink_metadata().is_ok() {
        return Err(Error::Exists(file.to_path_buf()));
    }
    let failed = |source| Error::Write { file: file.to_path_buf(), source };
    let name = file.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Of mode 0600, and removed when it is dropped.
    let copy = tempfile::Builder::new().prefix(name).suffix(".part").tempfile_in(folder).map_err(failed)?;
    sqlite::backup(&database, copy.path()).await?;
    copy.as_file().sync_all().map_err(failed)?;
    let size = copy.as_file().metadata().map_err(failed)?.len();
    copy.persist_noclobber(file).map_err(|kept| match kept.error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(file.to_path_buf()),
        _ => failed(kept.error),
    })?;
    data_dir::sync_folder(folder).map_err(failed)?;
    Ok(report(config, file, size))
}

/// What was written, and what else belongs to a whole backup.
fn report(config: &Config, file: &Path, size: u64) -> String {
    let storage = &config.storage;
    let objects = match &storage.place {
        Place::DataDir => config.data_dir.join("objects").display().to_string(),
        Place::Folder(folder) => folder.display().to_string(),
        Place::S3 { prefix: None } => format!("s3://{}", storage.bucket),
        Place::S3 { prefix: Some(prefix) } => format!("s3://{}/{prefix}", storage.bucket),
    };
    let data = config.data_dir.display();
    format!(
        "{} has all rows of the database as they were at one moment ({} KiB).\n\
         A whole backup also has:\n  \
         {objects}: the objects, copied after the rows\n  \
         {data}/secrets, {data}/store-id, {data}/node-id, and the configuration\n\
         What rooms said in the last seconds and uploads that object storage does not have yet lie in {data}/journal, {data}/chunks and {data}/spool.",
        file.display(),
        size.div_ceil(1024),
    )
}
