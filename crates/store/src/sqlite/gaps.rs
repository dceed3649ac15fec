//! Overwrites the unused middle of database pages, which `secure_delete` does not reach.
//!
//! When SQLite splits a page or moves rows to another one, it packs what stays and leaves the bytes between the pointers and the
//! cells as they were (`rebuildPage` in btree.c): old copies of rows, which nothing deletes when the rows themselves are deleted.
//! SQLite never reads them, so they can be overwritten with zeros in the file itself while nobody writes to the database.
//! File format: <https://www.sqlite.org/fileformat2.html>, sections 1.3 and 1.6.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

/// The length of the database's own header, which comes before the first page's, in bytes.
const DATABASE_HEADER: usize = 100;
/// How much is read at a time, in bytes.
const PIECE: usize = 1 << 20;
/// A page that is not a b-tree's may begin with a page number. From this number on its first byte may look like the type of a
/// b-tree page.
const MOST_PAGES: u64 = 0x0200_0000;

/// The unused middle of a page, if it is a b-tree page. `usable` is the page's size without reserved bytes.
fn gap(page: &[u8], is_first: bool, usable: usize) -> Option<Range<usize>> {
    let header = if is_first { DATABASE_HEADER } else { 0 };
    let pointers = match page.get(header)? {
        // Interior pages of indexes and tables.
        2 | 5 => header + 12,
        // Leaves.
        10 | 13 => header + 8,
        _ => return None,
    };
    let number = |at: usize| Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])));
    let begin = pointers + 2 * number(header + 3)?;
    let end = match number(header + 5)? {
        0 => 65_536,
        end => end,
    };
    (begin < end && end <= usable && usable <= page.len()).then_some(begin..end)
}

/// Overwrites the unused middle of every page with zeros. Returns how many pages had something there. Meanwhile nobody may write
/// to the database, and its write-ahead log must be empty. Blocks.
pub(super) fn clear(file: &File) -> io::Result<u64> {
    let mut head = [0; DATABASE_HEADER];
    if file.metadata()?.len() < DATABASE_HEADER as u64 {
        return Ok(0);
    }
    file.read_exact_at(&mut head, 0)?;
    let size = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65_536,
        size => usize::from(size),
    };
    let usable = size.saturating_sub(usize::from(head[20]));
    let pages = file.metadata()?.len() / (size as u64).max(1);
    if !size.is_power_of_two() || !(512..=65_536).contains(&size) || pages >= MOST_PAGES {
        return Err(io::Error::other("the database's pages are not what they are known to be"));
    }
    let mut cleared = 0;
    let mut buffer = vec![0; PIECE];
    let per_piece = (PIECE / size) as u64;
    for first in (0..pages).step_by(PIECE / size) {
        let count = per_piece.min(pages - first) as usize;
        let piece = &mut buffer[..count * size];
        file.read_exact_at(piece, first * size as u64)?;
        for (page, number) in piece.chunks_exact(size).zip(first..) {
            let Some(gap) = gap(page, number == 0, usable) else { continue };
            if page[gap.clone()].iter().any(|byte| *byte != 0) {
                let zeros = vec![0; gap.len()];
                file.write_all_at(&zeros, number * size as u64 + gap.start as u64)?;
                cleared += 1;
            }
        }
    }
    if cleared > 0 {
        file.sync_data()?;
    }
    Ok(cleared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_middle_of_a_page_lies_between_pointers_and_cells() {
        let mut page = vec![0xaa; 4_096];
        page[..8].copy_from_slice(&[13, 0, 0, 0, 3, 15, 0, 0]);
        assert_eq!(gap(&page, false, 4_096), Some(14..3_840));
        page[0] = 5;
        assert_eq!(gap(&page, false, 4_096), Some(18..3_840));
        page[100..108].copy_from_slice(&[10, 0, 0, 0, 1, 16, 0, 0]);
        assert_eq!(gap(&page, true, 4_096), Some(110..4_096));
        for other in [[0, 0, 0, 7], [1, 0, 0, 7], [13, 0, 0, 255]] {
            page[..4].copy_from_slice(&other);
            assert_eq!(
                gap(&page, false, 4_096),
                None,
                "an overflow page, or one whose pointers are too many: {other:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn it_lies_in_the_page_whatever_that_says(page in prop::collection::vec(any::<u8>(), 0..700), first in any::<bool>()) {
            if let Some(gap) = gap(&page, first, 512) {
                prop_assert!(gap.start < gap.end && gap.end <= 512 && gap.end <= page.len());
            }
        }
    }
}
