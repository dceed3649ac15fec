//! Session uploads on their way to disk.

pub mod receive;
pub mod recover;
