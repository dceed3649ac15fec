//! Session uploads: from the network to disk, and what a body holds.

pub mod body;
pub mod receive;
pub mod recover;
