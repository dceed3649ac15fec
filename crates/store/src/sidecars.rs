//! Sidecars: a recording's rows as an object beside its bytes, from which an empty database is made whole again (docs/sidecars.md).

use std::collections::BTreeMap;

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// What the document calls itself.
const FORMAT: &str = "echosphere-recording";

/// A recording's rows, as the schema of a version has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    format: String,
    /// The number of the last migration of the schema that the rows are of.
    pub schema: i64,
    /// The recording.
    pub recording: RecordingId,
    /// Whose it is.
    pub project: ProjectId,
    /// The rows of each table.
    pub tables: BTreeMap<String, SidecarRows>,
}

/// Rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarRows {
    /// The columns.
    pub columns: Vec<String>,
    /// Their values in each row: null, a number, a text, or `{"hex": "…"}` for bytes.
    pub rows: Vec<Vec<Value>>,
}

impl Sidecar {
    pub(crate) fn new(
        schema: i64,
        recording: RecordingId,
        project: ProjectId,
        tables: BTreeMap<String, SidecarRows>,
    ) -> Self {
        Self { format: FORMAT.to_owned(), schema, recording, project, tables }
    }

    /// The document, as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names and values of JSON")
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// It is no JSON, another kind of document, or its rows have more or fewer values than columns.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let corrupt = |reason: String| Error::Corrupt { row: "a sidecar".to_owned(), reason };
        let sidecar: Self = serde_json::from_slice(json).map_err(|error| corrupt(error.to_string()))?;
        if sidecar.format != FORMAT {
            let shown: String = sidecar.format.chars().take(40).collect();
            return Err(corrupt(format!("it calls itself {shown:?}, not {FORMAT:?}")));
        }
        for (name, table) in &sidecar.tables {
            if let Some(row) = table.rows.iter().find(|row| row.len() != table.columns.len()) {
                let (values, columns) = (row.len(), table.columns.len());
                return Err(corrupt(format!("a row of {name:?} has {values} values for {columns} columns")));
            }
        }
        Ok(sidecar)
    }
}

/// A recording whose sidecar is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaleSidecar {
    /// The recording.
    pub recording: RecordingId,
    /// Which change is the last one; given to [`Sidecars::sidecar_written`].
    pub changed: u64,
}

/// The rows of recordings, as they are written beside their bytes.
#[async_trait]
pub trait Sidecars {
    /// Recordings whose rows have changed since their sidecar was written, in the order of their ids, after one; none whose deletion was requested
    /// (the erasure writes those), and none of which an upload is being read: until that is published its sound may not be there. Scope: all
    /// projects.
    async fn stale_sidecars(&self, after: Option<RecordingId>, limit: u32) -> Result<Vec<StaleSidecar>>;

    /// How many of these there are. Scope: all projects.
    async fn count_stale_sidecars(&self) -> Result<u64>;

    /// The rows of a recording; of one that is being deleted only what a deletion needs. `None` when there is no such recording. Scope: id.
    async fn sidecar(&self, recording: RecordingId) -> Result<Option<Sidecar>>;

    /// Notes that the sidecar has all changes up to one. Scope: id.
    async fn sidecar_written(&self, recording: RecordingId, changed: u64) -> Result<()>;

    /// The recordings of a project whose deletion was not requested, in the order of their ids, after one. Scope: project.
    async fn undeleted(&self, project: &ProjectId, after: Option<RecordingId>, limit: u32) -> Result<Vec<RecordingId>>;

    /// Whether there is no recording at all: then the database may be made whole again. Scope: all projects.
    async fn is_empty(&self) -> Result<bool>;

    /// Stores the rows of a sidecar that are not there, in one transaction: of tasks that nobody works on, and of rooms that nobody owns. An object that was in a
    /// place of before is in place 0 then, of which
    /// nobody knows how it is reached.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when it names what this version does not have, or has rows that cannot be. Nothing of it is stored then. Scope: all projects.
    async fn restore(&self, sidecar: &Sidecar) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_of_another_kind_is_refused() {
        let id = "0193a3a0-1111-7222-8333-444455556666";
        let text = |format: &str, rows: &str| {
            format!(
                r#"{{"format":"{format}","schema":1,"recording":"{id}","project":"default","tables":{{"t":{{"columns":["a"],"rows":{rows}}}}}}}"#
            )
        };
        assert!(Sidecar::parse(text(FORMAT, "[[1]]").as_bytes()).is_ok());
        let refused = |text: String| Sidecar::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(refused(text("other", "[[1]]")).contains("other"));
        assert!(refused(text(FORMAT, "[[1, 2]]")).contains("2 values for 1 columns"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Sidecar::parse(&bytes);
        }
    }
}
