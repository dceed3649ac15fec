//! The `echosphere` binary: the HTTP interface, background work, configuration, the command line, the embedded pages.
//!
//! `serve` puts an [`app::App`] together; requests (`http`) and tasks (`work`) reach everything else through it.

pub mod app;
mod capture_log;
mod cleaning;
pub mod cli;
pub mod clock;
pub mod config;
pub mod data_dir;
mod demo;
mod doctor;
pub mod entropy;
mod excluded;
pub mod fences;
pub mod http;
pub mod links;
mod listener;
pub mod live;
mod names;
mod people;
pub mod playback;
pub mod priority;
mod private;
pub mod readers;
pub mod render;
mod serve;
pub mod sign_in;
pub mod sources;
mod telemetry_queue;
pub mod upload;
pub mod work;
