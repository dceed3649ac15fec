//! The use cases: what is decided about rows, written once for every database over [`Rows`](crate::rows::Rows). Each function is a
//! part of one transaction, and nothing here uses a clock or randomness.

pub(crate) mod apply;
pub(crate) mod captures;
pub(crate) mod deletion;
pub(crate) mod inbox;
pub(crate) mod joining;
pub(crate) mod lifecycle;
pub(crate) mod masters;
pub(crate) mod objects;
pub(crate) mod once;
pub(crate) mod people;
pub(crate) mod publish;
pub(crate) mod rooms;
pub(crate) mod segments;
pub(crate) mod sessions;
pub(crate) mod tasks;
pub(crate) mod telemetry;
pub(crate) mod uploads;
