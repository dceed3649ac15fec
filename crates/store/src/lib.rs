//! The rows: what EchoSphere knows, apart from the bytes.
//!
//! [`Store`] is the border. Each method is one use case and one transaction, so that a caller never holds a
//! transaction open and a second database can be put behind the same border. SQLite is the embedded default.

mod deletions;
mod error;
mod inbox;
mod live;
mod objects;
mod people;
mod recordings;
mod segments;
mod sessions;
mod sign_ins;
pub mod sqlite;
mod tasks;
mod telemetry;
mod uploads;

pub use deletions::{Belongings, Deletions, Erasure, Gone, SessionIds};
pub use error::{Error, Result};
pub use inbox::{Inbox, Webhook};
pub use live::{Begun, LeftOut, Live, LiveRow, NewLive, Once, Redactions, Repeated, Stretch};
pub use objects::{Objects, Purpose, SweepCandidate};
pub use people::People;
pub use recordings::{Cursor, Filter, ListPage, Publication, Recordings, RenderedRevision};
pub use segments::{Segments, StoredSegment};
pub use sessions::{Own, OwnRecording, Part, SameRoom, Sessions};
pub use sign_ins::{SignIn, SignIns};
pub use sqlite::belongs::{BELONGS, Belongs, Fate};
pub use tasks::{Claim, Failure, Lease, NewTask, TaskCounts, TaskKind, Tasks};
pub use telemetry::{SessionFacts, Telemetry, TelemetryRequest};
pub use uploads::{Join, Joined, Sealed, Upload, UploadState, Uploads};

/// Everything that the rest of EchoSphere asks of a database.
#[async_trait::async_trait]
pub trait Store:
    Uploads
    + Deletions
    + Recordings
    + Sessions
    + Live
    + Inbox
    + People
    + Segments
    + Objects
    + Tasks
    + Telemetry
    + SignIns
    + Send
    + Sync
    + 'static
{
    /// Whether the database answers and takes writes; for `/readyz`.
    async fn ping(&self) -> Result<()>;

    /// Finishes what is queued and closes the database.
    async fn close(&self);
}
