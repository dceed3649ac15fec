//! The house itself: which crate and which part of the server may lean on which, and that the documents say what the code does.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod graph;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use echosphere_server::config::settings;

use crate::graph::{Graph, circles};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Who may depend on whom, tests aside. What is not listed may not.
const ARROWS: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("media", &[]),
    ("livekit", &["domain"]),
    ("storage", &["domain"]),
    ("store", &["domain"]),
    ("recorder", &["domain", "media", "livekit"]),
    ("server", &["domain", "media", "livekit", "recorder", "storage", "store"]),
    ("testkit", &["domain", "media", "livekit", "recorder", "storage"]),
];

#[test]
fn the_arrows_between_crates_are_those_of_the_plan() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let ours = |name: &str| name.strip_prefix("echosphere-").map(str::to_owned);
    let allowed = BTreeMap::from(ARROWS);
    for package in &metadata.packages {
        let name = ours(&package.name).unwrap();
        let may = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place in the plan"));
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            if let Some(other) = ours(&dependency.name) {
                assert!(may.contains(&other.as_str()), "{name} must not depend on {other}");
            }
        }
    }
    assert_eq!(metadata.packages.len(), ARROWS.len());
}

/// The parts of the server: each may use those before it and no other. `http` and what starts the server know all of them.
const LAYERS: [&str; 35] = [
    "error",
    "clock",
    "entropy",
    "names",
    "priority",
    "progress",
    "signals",
    "playback",
    "links",
    "private",
    "config",
    "data_dir",
    "project_rules",
    "threads",
    "readers",
    "objects",
    "rendering",
    "recording_options",
    "participants",
    "redaction",
    "assembly",
    "uploads",
    "jobs",
    "recording",
    "auto_record",
    "sign_in",
    "connections",
    "http",
    "startup",
    "backup",
    "demo",
    "doctor",
    "storage_move",
    "rebuild",
    "cli",
];

#[test]
fn the_parts_of_the_server_use_only_what_lies_below_them() {
    let graph = Graph::read(&root().join("crates/server/src"));
    let edges = graph.edges();
    let part = |place: usize| graph.files[place].module.first().map(String::as_str);
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges.iter().enumerate().flat_map(|(from, all)| all.iter().map(move |to| (from, *to))) {
        if let (Some(from), Some(to)) = (part(from), part(to))
            && from != to
        {
            used.entry(from).or_default().insert(to);
        }
    }
    let layer = |part: &str| {
        LAYERS.iter().position(|known| *known == part).unwrap_or_else(|| panic!("{part} has no place in the plan"))
    };
    for (from, all) in &used {
        println!("{from} -> {}", all.iter().copied().collect::<Vec<_>>().join(", "));
        for to in all {
            assert!(layer(to) < layer(from), "{from} must not use {to}");
        }
    }
}

#[test]
fn no_files_use_each_other_but_parent_and_child() {
    for name in ARROWS.map(|(name, _)| name) {
        let graph = Graph::read(&root().join(format!("crates/{name}/src")));
        let mut edges = graph.edges();
        for (from, all) in edges.iter_mut().enumerate() {
            all.retain(|to| !graph.are_parent_and_child(from, *to));
        }
        let named = |circle: &BTreeSet<usize>| -> Vec<String> {
            circle.iter().map(|place| graph.files[*place].module.join("::")).collect()
        };
        let found: Vec<_> = circles(&edges).iter().map(named).collect();
        assert!(found.is_empty(), "files of {name} that use each other: {found:?}");
    }
}

/// What a pure crate does not use outside of its tests: the clock, files, the network, a runtime, randomness.
const IMPURE: [&[&str]; 9] = [
    &["std", "fs"],
    &["std", "net", "TcpStream"],
    &["std", "net", "UdpSocket"],
    &["std", "env"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["tokio"],
    &["getrandom"],
    &["rand"],
];

#[test]
fn pure_crates_stay_pure() {
    for name in ["domain", "media", "livekit"] {
        for file in Graph::read(&root().join(format!("crates/{name}/src"))).files {
            for path in &file.paths {
                let impure = IMPURE.iter().any(|impure| path.len() >= impure.len() && path[..impure.len()] == **impure);
                assert!(!impure, "{} uses {}", file.path.display(), path.join("::"));
            }
        }
    }
}

#[test]
fn each_hop_of_the_walks_is_where_the_architecture_says_and_none_is_named_twice() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut walks: Vec<Vec<(String, String)>> = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, place, ..] = cells[..] else { continue };
        let names: Vec<&str> = place.split('`').skip(1).step_by(2).collect();
        let (Ok(number), &[file, function]) = (number.parse::<usize>(), &names[..]) else { continue };
        if number == 1 {
            walks.push(Vec::new());
        }
        let walk = walks.last_mut().unwrap();
        assert_eq!(number, walk.len() + 1, "the hops are numbered: {line}");
        let source = std::fs::read_to_string(root().join("crates").join(file));
        let source = source.unwrap_or_else(|error| panic!("docs/architecture.md names {file}: {error}"));
        let is_there = ["(", "<"].iter().any(|after| source.contains(&format!("fn {function}{after}")));
        assert!(is_there, "docs/architecture.md names {function} in {file}, which has no such function");
        let hop = (file.to_owned(), function.to_owned());
        assert!(!walk.contains(&hop), "{file} {function} is named twice");
        walk.push(hop);
    }
    assert_eq!(walks.len(), 2, "a session upload, and a packet");
}

#[test]
fn every_setting_is_documented_as_it_is() {
    let text = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for setting in settings::all() {
        let row = format!("| `{}` | `{}` | {} | {} |", setting.key, setting.variable, setting.default, setting.meaning);
        assert!(text.contains(&row), "docs/configuration.md lacks or has changed:\n{row}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| `") && line.contains("` | `")).count();
    assert_eq!(rows, settings::all().count(), "docs/configuration.md has a setting that does not exist");
}

#[test]
fn the_sample_configuration_is_one() {
    let path = root().join("docs/echosphere.example.yaml");
    let load = |path: &Path| echosphere_server::config::load(Some(path), &BTreeMap::new());
    assert!(load(&path).unwrap_err().to_string().contains("placeholder"));
    let text = std::fs::read_to_string(&path).unwrap().replace("replace-this-with", "put-in-the-place-of");
    let dir = tempfile::tempdir().unwrap();
    let filled = dir.path().join("echosphere.yaml");
    std::fs::write(&filled, text).unwrap();
    assert_eq!(load(&filled).unwrap().projects.len(), 2);
}

#[test]
fn the_openapi_document_has_not_changed_unnoticed() {
    let now = echosphere_server::http::openapi().to_pretty_json().unwrap();
    let path = root().join("docs/openapi.json");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(now.trim() == kept.trim(), "docs/openapi.json is old: echosphere openapi > docs/openapi.json");
}
