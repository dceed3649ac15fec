//! The database: all rows that EchoSphere keeps, behind one trait, [`Store`]. The bytes of recordings are in object storage.
//!
//! [`Store`] is the boundary. Each method is one use case, and writes in one transaction (except [`Deletions::scrub`] and
//! [`Deletions::rewrite`], which work on the whole database file), so that a caller never holds a transaction open and a
//! second database can be put behind the same boundary. SQLite is the embedded default.
//!
//! What is decided about rows (effects, conflicts, who joins what) is in `rules`, written once for every database over the statements
//! in `rows`, which each database implements.
//!
//! Each method's comment says its scope, unless the method is about the database itself:
//!
//! - *Scope: project.* It is given a project, and reads and writes only that project's rows.
//! - *Scope: id.* It is given the id or object key of something that this server made, and does not check whose it is. The id
//!   in a request is looked up first by a method with the scope *project*, or the row's project is compared with the caller's.
//! - *Scope: all projects.* Background work, metrics, and limits of the whole server.

mod changes;
mod deletions;
mod error;
mod inbox;
mod live;
mod masters;
mod objects;
mod people;
mod places;
mod project_rules;
mod recordings;
mod rows;
mod rules;
mod segments;
mod sessions;
mod sidecars;
mod sign_ins;
pub mod sqlite;
mod tasks;
mod telemetry;
mod uploads;

pub use changes::{Changed, Changes};
pub use deletions::{Belongings, Deletions, Erasure, Gone, SessionIds};
pub use error::{Error, Result};
pub use inbox::{Answer, Applied, Command, Event, EventId, Inbox, Origin, What};
pub use live::{Begun, LeftOut, Live, LiveRow, NewLive, Once, OwnedRoom, Redactions, Repeated, Stretch};
pub use masters::{Divided, Masters};
pub use objects::{Objects, Purpose, SweepCandidate};
pub use people::People;
pub use places::{ElsewhereObject, Place, PlaceId, Places};
pub use project_rules::ProjectRules;
pub use recordings::{Cursor, Filter, ListPage, Publication, Recordings, RenderedRevision};
pub use segments::{Segments, StoredSegment};
pub use sessions::{Own, OwnRecording, SameRoom, Sessions, SplitSession};
pub use sidecars::{Sidecar, SidecarRows, Sidecars, StaleSidecar};
pub use sign_ins::{SignIn, SignIns};
pub use sqlite::belongs::{BELONGS, Belongs, Fate};
pub use tasks::{Claim, Failure, Lease, NewTask, TaskCounts, TaskKind, Tasks};
pub use telemetry::{SessionFacts, Telemetry, TelemetryRequest};
pub use uploads::{Join, Joined, Sealed, Upload, UploadState, Uploads};

/// Everything that the rest of EchoSphere needs of a database.
#[async_trait::async_trait]
pub trait Store:
    Uploads
    + Deletions
    + Recordings
    + Sessions
    + Masters
    + Live
    + Inbox
    + People
    + ProjectRules
    + Segments
    + Objects
    + Places
    + Sidecars
    + Tasks
    + Telemetry
    + SignIns
    + Send
    + Sync
    + 'static
{
    /// Whether the database answers and accepts writes; for `/readyz`.
    async fn ping(&self) -> Result<()>;

    /// What is watched: whoever watches a recording or the inbox is told there of what this process writes.
    fn changes(&self) -> &Changes;

    /// Waits for running calls, and leaves the database ready to be closed.
    async fn close(&self);
}
