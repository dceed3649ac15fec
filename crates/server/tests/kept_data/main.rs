//! A data directory that an earlier version left opens, plays and carries on: what is answered of it is what that version answered.
//!
//! `testdata/kept-data` was made by `cargo bench --package echosphere-server --bench kept_data` (`testdata/README.md` says of which version).

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod answers;

use std::path::{Path, PathBuf};
use std::process::Command;

use echosphere_testkit::server::Server;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/kept-data")
}

/// Where two answers differ, by their path.
fn differences(path: &str, expected: &Value, found: &Value, into: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                let at = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                differences(&format!("{path}/{name}"), &at(one), &at(other), into);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}/{number}"), one, other, into);
            }
        }
        _ if expected == found => {}
        _ => into.push(format!("{path}:\n  was {expected}\n  is  {found}")),
    }
}

#[test]
fn a_data_directory_of_an_earlier_version_answers_as_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(kept().join("data")).arg(dir.path()).status();
    assert!(copied.unwrap().success());
    // As that version did, which knew nothing else.
    let variables = [&answers::VARIABLES[..], &[("ECHOSPHERE_RENDERING_WHEN", "always")]].concat();
    let server = Server::start(PROGRAM, dir.path(), &variables);
    let expected = serde_json::from_slice(&std::fs::read(kept().join("answers.json")).unwrap()).unwrap();
    let mut differ = Vec::new();
    differences("", &expected, &answers::of(&server), &mut differ);
    assert!(differ.is_empty(), "{}\n{}", differ.join("\n"), server.log());
}
