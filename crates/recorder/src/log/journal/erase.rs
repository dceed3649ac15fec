//! Erases captures from a journal file, leaving the other captures in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use uuid::Uuid;

use super::{MAGIC, UNFINISHED};
use crate::log::frame::{self, Frames};

/// Rewrites a journal file without some captures; the old file is gone when this returns. Blocks. A crash leaves the old file or
/// the new one, and perhaps an unfinished one, which is never read and is removed at the next start.
pub fn erase(path: &Path, captures: &BTreeSet<Uuid>) -> io::Result<()> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let Some(rest) = without(&bytes, captures) else { return Ok(()) };
    let folder = path.parent().unwrap_or(path);
    if rest.len() == MAGIC.len() {
        fs::remove_file(path)?;
    } else {
        let unfinished = path.with_extension(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(&rest)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
    }
    File::open(folder)?.sync_all()
}

/// The bytes of a file without some captures; `None` when there is nothing to remove, or it is not a journal.
fn without(bytes: &[u8], captures: &BTreeSet<Uuid>) -> Option<Vec<u8>> {
    let frames = bytes.strip_prefix(MAGIC)?;
    let mut rest = MAGIC.to_vec();
    let (mut is_erased, mut found) = (false, false);
    let mut frames = Frames::new(frames);
    for payload in frames.by_ref() {
        if let [0, capture @ ..] = payload {
            is_erased = Uuid::from_slice(capture).is_ok_and(|capture| captures.contains(&capture));
        }
        if is_erased {
            found = true;
        } else {
            frame::append(&mut rest, |out| out.extend_from_slice(payload));
        }
    }
    // A torn end cannot be read, and may be of any capture.
    (found || frames.is_torn()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(runs: &[(u128, Vec<Vec<u8>>)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (capture, entries) in runs {
            frame::append(&mut bytes, |out| {
                out.push(0);
                out.extend_from_slice(Uuid::from_u128(*capture).as_bytes());
            });
            for entry in entries {
                frame::append(&mut bytes, |out| {
                    out.push(8);
                    out.extend_from_slice(entry);
                });
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_others_have_stays_byte_for_byte_and_nothing_else(
            runs in prop::collection::vec((0..4_u128, prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4)), 0..12),
            torn in prop::collection::vec(any::<u8>(), 0..7),
        ) {
            let erased = BTreeSet::from([Uuid::from_u128(1), Uuid::from_u128(3)]);
            let others: Vec<_> = runs.iter().filter(|(capture, _)| capture % 2 == 0).cloned().collect();
            let mut bytes = file(&runs);
            bytes.extend_from_slice(&torn);
            let left = without(&bytes, &erased);
            let changes = others.len() < runs.len() || !torn.is_empty();
            prop_assert_eq!(left, changes.then(|| file(&others)));
        }
    }

    #[test]
    fn a_file_that_nobody_needs_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p-000000.journal");
        let (a, b) = (BTreeSet::from([Uuid::from_u128(1)]), BTreeSet::from([Uuid::from_u128(2)]));
        fs::write(&path, file(&[(1, vec![b"JANE".to_vec()]), (2, vec![b"BOB".to_vec()])])).unwrap();
        erase(&path, &a).unwrap();
        assert_eq!(fs::read(&path).unwrap(), file(&[(2, vec![b"BOB".to_vec()])]));
        erase(&path, &a).unwrap();
        erase(&path, &b).unwrap();
        erase(&path, &b).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(&path, b"ESJ9JANE").unwrap();
        erase(&path, &a).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ESJ9JANE", "a file of another kind is left alone");
    }
}
