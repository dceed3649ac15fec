//! No method of the store is left out of the story.

use std::path::Path;

/// The texts of a folder's Rust files.
fn texts(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// The methods of the public traits in a file.
fn methods(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_in_trait = false;
    for line in text.lines() {
        match line {
            "}" => is_in_trait = false,
            _ if line.starts_with("pub trait ") => is_in_trait = true,
            _ => {}
        }
        let line = line.trim_start();
        let signature = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
        let name = signature.and_then(|signature| signature.split(['(', '<']).next());
        found.extend(name.filter(|_| is_in_trait));
    }
    found
}

#[test]
fn every_method_is_called() {
    // Without spaces and ends of lines, because calls may be written over several lines.
    let told: String = texts("tests/story").concat().split_whitespace().collect();
    let sources = texts("src");
    let all: Vec<&str> = sources.iter().flat_map(|text| methods(text)).collect();
    assert!(["ping", "changes", "publish", "begin_live"].iter().all(|name| all.contains(name)), "{all:?}");
    let missing: Vec<_> = all.into_iter().filter(|name| !told.contains(&format!("store.{name}("))).collect();
    assert!(missing.is_empty(), "no story calls these methods of the store as `store.name(`: {missing:?}");
}
