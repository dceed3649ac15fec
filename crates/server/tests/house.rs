//! The house itself: which crate may lean on which, and that the documents say what the code does.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use echosphere_server::config::settings::SETTINGS;

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
    ("testkit", &["domain", "media", "livekit", "recorder"]),
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

#[test]
fn pure_crates_stay_pure() {
    for name in ["domain", "media", "livekit"] {
        let manifest = std::fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).unwrap();
        for reach in ["tokio", "getrandom", "reqwest", "hyper"] {
            assert!(!manifest.contains(&format!("{reach}.")), "{name} does no I/O: {reach}");
        }
    }
}

#[test]
fn every_setting_is_documented_as_it_is() {
    let text = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for setting in SETTINGS {
        let row = format!("| `{}` | `{}` | {} | {} |", setting.key, setting.variable, setting.default, setting.meaning);
        assert!(text.contains(&row), "docs/configuration.md lacks or has changed:\n{row}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| `") && line.contains("` | `")).count();
    assert_eq!(rows, SETTINGS.len(), "docs/configuration.md has a setting that does not exist");
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
