//! The traits by which rules read and write rows inside of a transaction. Each database implements them.
//!
//! A value that implements them is a transaction that has begun.

mod captures;
mod deletions;
mod inbox;
mod masters;
mod objects;
mod once;
mod people;
mod recordings;
mod rooms;
mod segments;
mod sessions;
mod tasks;
mod telemetry;
mod tombstones;
mod turns;
mod uploads;

pub(crate) use captures::{CaptureRows, Undone};
pub(crate) use deletions::DeletionRows;
pub(crate) use inbox::InboxRows;
pub(crate) use masters::MasterRows;
pub(crate) use objects::{ObjectRows, ObjectState};
pub(crate) use once::{OnceRows, StoredRequest};
pub(crate) use people::PeopleRows;
pub(crate) use recordings::RecordingRows;
pub(crate) use rooms::{Room, RoomRows};
pub(crate) use segments::SegmentRows;
pub(crate) use sessions::{CapturedRoom, SessionInRoom, SessionRows};
pub(crate) use tasks::TaskRows;
pub(crate) use telemetry::TelemetryRows;
pub(crate) use tombstones::{Scope, Tombstone, TombstoneRows};
pub(crate) use turns::TurnRows;
pub(crate) use uploads::UploadRows;

/// All rows, in one transaction.
pub(crate) trait Rows:
    RecordingRows
    + CaptureRows
    + MasterRows
    + TurnRows
    + SessionRows
    + ObjectRows
    + SegmentRows
    + TaskRows
    + RoomRows
    + InboxRows
    + OnceRows
    + UploadRows
    + TelemetryRows
    + TombstoneRows
    + DeletionRows
    + PeopleRows
    + Send
{
}
