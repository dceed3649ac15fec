//! The `echosphere` binary: the HTTP interface, background work, configuration, the command line, the embedded pages.
//!
//! `startup` puts the parts together. Each part is given what it needs and nothing else; only `http` knows them all
//! (`http::state`). docs/architecture.md draws which part may depend on which.

mod assembly;
mod auto_record;
pub mod cli;
pub mod clock;
pub mod config;
mod connections;
pub mod data_dir;
mod demo;
mod doctor;
pub mod entropy;
pub mod error;
pub mod http;
pub mod jobs;
pub mod links;
mod names;
pub mod objects;
mod participants;
pub mod playback;
pub mod priority;
mod private;
pub mod readers;
pub mod recording;
mod recording_options;
pub mod redaction;
pub mod rendering;
pub mod sign_in;
pub mod signals;
mod startup;
#[cfg(test)]
mod testing;
pub mod uploads;
