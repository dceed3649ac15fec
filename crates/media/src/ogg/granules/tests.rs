//! Tests of `granules`.

use super::*;

/// The claims and losses of pages of a second each: how far its position is ahead of its packets, and whether
/// something was lost before it.
fn findings(pages: &[(i64, bool)]) -> (Vec<(usize, i64)>, Vec<usize>) {
    let mut granules = Granules::default();
    for (entry, &(offset, lost)) in pages.iter().enumerate() {
        let begin = entry as i64 * 48_000;
        let end = begin + 48_000;
        let granule = if offset == NONE { -1 } else { end.wrapping_add(offset) };
        granules.take(Seen { entry, granule, begin, end, last_packet: 960, lost, ends_stream: false });
    }
    let found = granules.finish();
    (found.claims.iter().map(|claim| (claim.entry, claim.samples)).collect(), found.losses)
}

const NONE: i64 = i64::MIN + 1;

fn of(offsets: &[i64]) -> (Vec<(usize, i64)>, Vec<usize>) {
    findings(&offsets.iter().map(|&offset| (offset, false)).collect::<Vec<_>>())
}

#[test]
fn a_gap_is_what_the_next_page_bears_out() {
    let day = 86_400 * 48_000;
    for (offsets, claims, losses) in [
        (vec![0, 0, 5_000, 5_000], vec![(2, 5_000)], vec![]),
        // One gap after another, as when nothing is sent while nobody speaks.
        (vec![0, 5_000, 9_000, 20_000], vec![(1, 5_000), (2, 4_000), (3, 11_000)], vec![]),
        (vec![312, 312, 5_312, 5_312], vec![(2, 5_000)], vec![]),
        // A page in the middle whose position is ahead or behind, one that has no position, ones whose position
        // stands still.
        (vec![0, 0, 5_000, 0, 0], vec![], vec![]),
        (vec![0, 0, -90_000, 0, 0], vec![], vec![]),
        (vec![0, NONE, 5_000, 0, 0], vec![], vec![]),
        (vec![0, 0, -48_000, -96_000, 0], vec![], vec![]),
        // Two pages that agree are overruled by later ones that do not.
        (vec![0, 0, 5_000, 5_000, 0, 0], vec![], vec![]),
        (vec![0, 700, 700, 5_000, 5_000, 700, 700], vec![(1, 700)], vec![]),
        (vec![0, 0, 5_000, 5_000, 0], vec![], vec![]),
        // Wrapped at 32 bits, begun again: not a sample is missing.
        (vec![0, 0, -(1 << 32), -(1 << 32)], vec![], vec![]),
        (vec![96_000, 96_000, -96_000, -96_000, -90_000, -90_000], vec![(4, 6_000)], vec![]),
        // More than is possible, confirmed or not: what is missing has no known length.
        (vec![0, 0, 2 * day, 2 * day], vec![], vec![2]),
        (vec![0, 0, 2 * day], vec![], vec![2]),
        (vec![0, 0, 2 * day, 0], vec![], vec![]),
        // The last page alone.
        (vec![0, 0, 5_000], vec![(2, 5_000)], vec![]),
        (vec![0, 0, 3 * day / 24], vec![], vec![2]),
        (vec![0, 0, -5_000], vec![], vec![]),
        // Nothing at all.
        (vec![NONE, NONE, NONE], vec![], vec![]),
        (vec![-48_000, -96_000, -144_000], vec![], vec![]),
        (vec![NONE, 0, 0], vec![], vec![]),
        // Rounding.
        (vec![0, 100, -100, 48], vec![], vec![]),
    ] {
        assert_eq!(of(&offsets), (claims, losses), "{offsets:?}");
    }
}

#[test]
fn what_was_lost_is_reported_whether_its_length_is_known_or_not() {
    assert_eq!(findings(&[(0, false), (48_000, true), (48_000, false)]), (vec![(1, 48_000)], vec![1]));
    assert_eq!(findings(&[(0, false), (3 * 48_000, true)]), (vec![(1, 3 * 48_000)], vec![1]));
    assert_eq!(findings(&[(NONE, false), (NONE, true), (NONE, false)]), (vec![], vec![1]));
    assert_eq!(findings(&[(-48_000, false), (-96_000, true), (-144_000, false)]), (vec![], vec![1]));
    // Bytes were skipped, and positions and packets agree: none of it was sound.
    assert_eq!(findings(&[(0, false), (0, true), (0, false)]), (vec![], vec![]));
    // The beginning is lost; a stream that was joined hours after its beginning has lost an unknown amount.
    assert_eq!(findings(&[(48_000, true), (48_000, false)]), (vec![(0, 48_000)], vec![0]));
    assert_eq!(findings(&[(48_000, false), (48_000, false)]), (vec![], vec![]));
    assert_eq!(findings(&[(3_600 * 48_000, true), (3_600 * 48_000, false)]), (vec![], vec![0]));
}

#[test]
fn the_last_page_takes_off_a_part_of_its_last_packet_and_no_more() {
    let last = |offsets: &[i64], trimmed: i64| {
        let mut granules = Granules::default();
        for (entry, &offset) in offsets.iter().chain(&[trimmed]).enumerate() {
            let (begin, ends_stream) = (entry as i64 * 48_000, entry == offsets.len());
            let end = begin + 48_000;
            let granule = end + offset;
            granules.take(Seen { entry, granule, begin, end, last_packet: 960, lost: false, ends_stream });
        }
        granules.finish().trim
    };
    assert_eq!(last(&[0, 0], -600), 600);
    assert_eq!(last(&[0, 0], -50), 50);
    assert_eq!(last(&[], -600), 600);
    assert_eq!(last(&[312, 312], 0), 312);
    assert_eq!(last(&[0, 0], -960), 0);
    assert_eq!(last(&[0, 0], -144_000), 0, "a position of zero");
    assert_eq!(last(&[0, -500], -600), 0, "positions that were wrong already");
}
