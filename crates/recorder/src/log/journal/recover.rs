//! Reads the journal files that earlier processes left.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use prost::Message as _;
use uuid::Uuid;

use super::{ENDING, MAGIC, UNFINISHED};
use crate::log::Entry;
use crate::log::frame::Frames;

/// What earlier processes left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The files, to be removed when their entries are stored elsewhere.
    pub files: Vec<PathBuf>,
    /// The entries of each capture, in order, each once.
    pub captures: HashMap<Uuid, Vec<Entry>>,
    /// How many files have a torn or damaged end.
    pub torn: u32,
    /// Files that are not a journal as written by this version. They are left alone.
    pub foreign: Vec<PathBuf>,
}

/// Reads the journals of earlier processes. To be called before [`super::Journal::start`]; `wanted` gives the number of the first
/// entry that is needed of a capture (`None`: none).
pub fn recover(folder: &Path, wanted: impl Fn(Uuid) -> Option<u64>) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(recovered),
        listing => listing?,
    };
    let mut paths = Vec::new();
    for file in listing {
        let path = file?.path();
        match path.extension() {
            Some(ending) if ending == ENDING => paths.push(path),
            // Left by a crash during a rewrite: the original file is still there.
            Some(ending) if ending == UNFINISHED => fs::remove_file(&path)?,
            _ => {}
        }
    }
    paths.sort();
    for path in paths {
        let bytes = fs::read(&path)?;
        // A file that was created and has nothing in it is ours too.
        let Some(frames) = bytes.strip_prefix(MAGIC).or_else(|| MAGIC.starts_with(&bytes).then_some(&[][..])) else {
            recovered.foreign.push(path);
            continue;
        };
        let mut frames = Frames::new(frames);
        let mut of = None;
        for payload in frames.by_ref() {
            match payload {
                [0, capture @ ..] => of = Uuid::from_slice(capture).ok(),
                entry => take(entry, of, &wanted, &mut recovered.captures),
            }
        }
        recovered.torn += u32::from(frames.is_torn());
        recovered.files.push(path);
    }
    for entries in recovered.captures.values_mut() {
        entries.sort_by_key(|entry| entry.number);
        entries.dedup_by_key(|entry| entry.number);
    }
    Ok(recovered)
}

fn take(
    payload: &[u8],
    capture: Option<Uuid>,
    wanted: &impl Fn(Uuid) -> Option<u64>,
    captures: &mut HashMap<Uuid, Vec<Entry>>,
) {
    if let Some(capture) = capture
        && let Some(from) = wanted(capture)
        && let Ok(entry) = Entry::decode(payload)
        && entry.number >= from
    {
        captures.entry(capture).or_default().push(entry);
    }
}
