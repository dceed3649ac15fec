//! The cost table of an assignment: one row per line, each for a window of spans; sound outside of it is left
//! unclaimed.

use std::ops::Range;

/// The cost of leaving spans unclaimed.
pub(super) trait Skips {
    /// The cost for the spans `from..to`.
    fn skip(&self, from: usize, to: usize) -> f64;
}

/// The rows; each has the span at which it begins.
pub(super) struct Rows(Vec<(usize, Vec<f64>)>);

impl Rows {
    /// A table to be filled from its beginning: before the first line nothing is claimed.
    pub fn beginning() -> Self {
        Self(vec![(0, vec![0.0])])
    }

    /// A table to be filled from its end: after the last line nothing is claimed. Earlier rows are put in later.
    pub fn ending(lines: usize, spans: usize) -> Self {
        let mut rows = vec![(0, Vec::new()); lines];
        rows.push((spans, vec![0.0]));
        Self(rows)
    }

    pub fn push(&mut self, start: usize, row: Vec<f64>) {
        self.0.push((start, row));
    }

    pub fn put(&mut self, number: usize, start: usize, row: Vec<f64>) {
        self.0[number] = (start, row);
    }

    /// The spans that a row is kept for.
    pub fn range(&self, number: usize) -> Range<usize> {
        let (start, row) = &self.0[number];
        *start..start + row.len().saturating_sub(1)
    }

    /// The cost in a row of [`Rows::beginning`] at a span; past the window, the spans in between are left unclaimed.
    pub fn at(&self, number: usize, span: usize, skips: &impl Skips) -> f64 {
        let (start, row) = &self.0[number];
        match (span.checked_sub(*start).and_then(|at| row.get(at)), row.last()) {
            (Some(cost), _) => *cost,
            (None, Some(last)) if span > *start => last + skips.skip(start + row.len() - 1, span),
            _ => f64::INFINITY,
        }
    }

    /// The cost in a row of [`Rows::ending`] at a span; before the window, the spans in between are left unclaimed.
    pub fn at_reverse(&self, number: usize, span: usize, skips: &impl Skips) -> f64 {
        let (start, row) = &self.0[number];
        match (span.checked_sub(*start), row.first()) {
            (Some(at), _) => row.get(at).copied().unwrap_or(f64::INFINITY),
            (None, Some(first)) => first + skips.skip(span, *start),
            (None, None) => f64::INFINITY,
        }
    }
}
