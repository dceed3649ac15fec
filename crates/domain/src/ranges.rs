//! Set operations on lists of integer ranges: union, difference and intersection.

use std::ops::Range;

/// The union of ranges: in order and without overlap; ranges that touch are merged, empty ones are dropped.
pub fn joined(ranges: impl IntoIterator<Item = Range<i64>>) -> Vec<Range<i64>> {
    let mut ranges: Vec<Range<i64>> = ranges.into_iter().filter(|range| range.start < range.end).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, before| {
        let joins = next.start <= before.end;
        if joins {
            before.end = before.end.max(next.end);
        }
        joins
    });
    ranges
}

/// The difference: what is in `ranges` and not in `others`. Both, and the result, have the form that [`joined`] gives.
pub fn without(ranges: &[Range<i64>], others: &[Range<i64>]) -> Vec<Range<i64>> {
    let mut left = Vec::new();
    for range in ranges {
        let mut from = range.start;
        let first = others.partition_point(|other| other.end <= range.start);
        for other in others[first..].iter().take_while(|other| other.start < range.end) {
            if other.start > from {
                left.push(from..other.start);
            }
            from = from.max(other.end);
        }
        if from < range.end {
            left.push(from..range.end);
        }
    }
    left
}

/// The intersection of `ranges` and `others`. Both, and the result, have the form that [`joined`] gives.
pub fn common(ranges: &[Range<i64>], others: &[Range<i64>]) -> Vec<Range<i64>> {
    without(ranges, &without(ranges, others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn put_together_and_taken_apart() {
        let all = joined([5..9, 0..3, 2..4, 7..7]);
        assert_eq!(all, [0..4, 5..9]);
        assert_eq!(without(&joined([0..10, 20..30]), &joined([2..3, 8..22, 29..40])), [0..2, 3..8, 22..29]);
    }

    proptest! {
        #[test]
        fn each_place_is_where_it_belongs(
            some in prop::collection::vec((0_i64..60, 0_i64..20), 0..8),
            others in prop::collection::vec((0_i64..60, 0_i64..20), 0..8),
        ) {
            let list = |pairs: &[(i64, i64)]| joined(pairs.iter().map(|(start, length)| *start..start + length));
            let (some, others) = (list(&some), list(&others));
            let left = without(&some, &others);
            let both = common(&some, &others);
            let has = |ranges: &[Range<i64>], at: i64| ranges.iter().any(|range| range.contains(&at));
            for at in 0..90 {
                prop_assert_eq!(has(&left, at), has(&some, at) && !has(&others, at));
                prop_assert_eq!(has(&both, at), has(&some, at) && has(&others, at));
            }
            prop_assert_eq!(joined(left.clone()), left);
        }
    }
}
