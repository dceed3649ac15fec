//! The `echosphere` binary: the HTTP interface, background work, configuration, the command line, the embedded pages.
//!
//! `startup` puts the parts together. Each part is given what it needs and nothing else; only `http` knows them all
//! (`http::state`). docs/architecture.md draws which part may depend on which.

mod assembly;
mod auto_record;
mod backup;
pub mod cli;
pub mod clock;
pub mod config;
mod connections;
mod data_dir;
mod demo;
mod doctor;
mod entropy;
mod error;
pub mod http;
mod jobs;
pub mod links;
mod names;
mod objects;
mod participants;
mod playback;
mod priority;
mod private;
mod progress;
mod project_rules;
mod readers;
mod rebuild;
mod recording;
mod recording_options;
mod redaction;
mod rendering;
mod sign_in;
mod signals;
mod startup;
mod storage_move;
#[cfg(test)]
mod testing;
mod threads;
mod uploads;
