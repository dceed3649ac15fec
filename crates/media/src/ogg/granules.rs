//! Compares the granule positions of a link with the lengths of its packets, to find its gaps and the padding at its end.
//!
//! Packets count: their samples are there, in their order, whatever granule positions say. Positions can do two things only: claim
//! a gap before a page, and trim padding off the last packet. Positions that stand still, wrap, step back or jump by days are
//! common enough that a claim is believed only when the next page confirms it.

/// Differences below this are rounding: no packet is shorter (2.5 ms, in samples).
const TOLERANCE: u64 = 120;
/// A longer gap is not believed: 12 hours, in samples.
const MAX_GAP: i64 = 12 * 3600 * 48_000;
/// A first page later than this is from a stream that was joined midway, not from one whose beginning is lost: 10 minutes, in
/// samples.
const MAX_LATE_START: i64 = 600 * 48_000;
/// The longest gap that is believed from the last page, which no later one confirms: a minute, in samples.
const MAX_LAST_GAP: i64 = 60 * 48_000;

/// A page on which packets end, as far as granule positions are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Its number among the entries of the index.
    pub(super) entry: usize,
    /// Its granule position; -1 says nothing.
    pub(super) granule: i64,
    /// The samples of the link's packets up to its beginning.
    pub(super) begin: i64,
    /// The samples of the link's packets up to its end.
    pub(super) end: i64,
    /// The samples of its last packet.
    pub(super) last_packet: i64,
    /// Whether something was lost since the page before.
    pub(super) lost: bool,
    /// Whether it says that it is the last one.
    pub(super) ends_stream: bool,
}

/// A gap that granule positions claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// The entry that it comes before.
    pub(super) entry: usize,
    /// Its length in samples, more than 0.
    pub(super) samples: i64,
    /// Whether pages are missing there.
    pub(super) lost: bool,
    /// The total length of the gaps before it.
    before: i64,
}

/// What the granule positions show about a link.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The gaps, in order.
    pub(super) claims: Vec<Claim>,
    /// Entries, in order, before which an unknown amount is missing.
    pub(super) losses: Vec<usize>,
    /// Samples to be trimmed off the end (RFC 7845 section 4.4).
    pub(super) trim: i64,
}

/// Reads the granule positions of one link.
#[derive(Debug, Default)]
pub(super) struct Granules {
    /// The granule position of the first sample, once known: not 0 where a stream was joined midway.
    origin: Option<i64>,
    /// The total length of the gaps since that origin, in samples.
    gaps: i64,
    /// A page that disagrees, until the next one confirms it or does not.
    doubt: Option<Doubt>,
    /// The first claim that counts from this origin.
    first_claim: usize,
    findings: Findings,
}

/// A page that does not fit those before it.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Its granule position less the samples of the packets up to its end.
    offset: i64,
    entry: usize,
    lost: bool,
}

impl Granules {
    /// Takes the next page.
    pub(super) fn take(&mut self, page: Seen) {
        self.findings.trim = self.end_trimming(page);
        if self.findings.trim > 0 {
            return;
        }
        // Positions that wrap at 64 bits have the same offset as before.
        let offset = page.granule.wrapping_sub(page.end);
        match self.origin {
            // No position, or one that puts the first sample before zero, which is invalid (RFC 7845 section 4.5).
            _ if page.granule == -1 => self.note_loss(page),
            None if offset < 0 => self.note_loss(page),
            None => self.begin(offset, page),
            Some(_) => self.go_on(offset, page),
        }
    }

    /// Whether there is, or may be, a gap or a loss before an entry: the one that was taken last.
    pub(super) fn speak_of(&self, entry: usize) -> bool {
        let Findings { claims, losses, .. } = &self.findings;
        self.doubt.is_some_and(|doubt| doubt.entry == entry)
            || losses.last() == Some(&entry)
            || claims.last().is_some_and(|claim| claim.entry == entry)
    }

    /// Notes that an unknown amount is missing before an entry.
    pub(super) fn lose(&mut self, entry: usize) {
        self.findings.losses.push(entry);
    }

    /// Ends the link.
    pub(super) fn finish(mut self) -> Findings {
        if let Some(doubt) = self.doubt.take() {
            match self.beyond(doubt.offset) {
                _ if self.findings.trim > 0 => {}
                1.. if !doubt.lost && self.beyond(doubt.offset) > MAX_LAST_GAP => self.lose(doubt.entry),
                1.. => self.settle(doubt),
                _ if self.earlier(doubt.offset).is_some() => self.settle(doubt),
                _ => {}
            }
        }
        self.findings.losses.sort_unstable();
        self.findings.losses.dedup();
        self.findings
    }

    /// What a page trims off if it is the last one: less than its last packet holds (RFC 7845 section 4.4), and only where
    /// positions and packets agreed until then.
    fn end_trimming(&self, page: Seen) -> i64 {
        if !page.ends_stream || page.lost || page.granule == -1 || self.doubt.is_some() {
            return 0;
        }
        let expected = self.origin.unwrap_or(0).wrapping_add(self.gaps).wrapping_add(page.end);
        let short = expected.wrapping_sub(page.granule);
        if (1..page.last_packet).contains(&short) { short } else { 0 }
    }

    fn begin(&mut self, offset: i64, page: Seen) {
        let is_late = page.lost && page.begin == 0 && (1..=MAX_LATE_START).contains(&offset);
        if is_late {
            // Pages before this one are lost: the sound began at zero, and what is left of it keeps its place.
            self.origin = Some(0);
            self.go_on(offset, page);
        } else {
            self.origin = Some(offset);
            if offset > 0 {
                self.note_loss(page);
            }
        }
    }

    fn go_on(&mut self, offset: i64, page: Seen) {
        let fits = |granules: &Self| is_near(granules.beyond(offset), 0);
        if fits(self) {
            self.doubt = None;
            return;
        }
        self.note_loss(page);
        if let Some(doubt) = self.doubt.take() {
            let (claimed, beyond) = (self.beyond(doubt.offset), self.beyond(offset));
            // What comes after a gap may be after another gap too, but never before the first one's end.
            if is_near(beyond, claimed) || (claimed > 0 && beyond > claimed) {
                self.settle(doubt);
            }
            if fits(self) {
                return;
            }
        }
        self.doubt = Some(Doubt { offset, entry: page.entry, lost: page.lost });
    }

    fn note_loss(&mut self, page: Seen) {
        if page.lost {
            self.lose(page.entry);
        }
    }

    /// How far a position is past the end of the packets and the gaps so far.
    fn beyond(&self, offset: i64) -> i64 {
        offset.wrapping_sub(self.origin.unwrap_or(0)).wrapping_sub(self.gaps)
    }

    /// Accepts the page that was in doubt.
    fn settle(&mut self, doubt: Doubt) {
        let gap = self.beyond(doubt.offset);
        if (1..=MAX_GAP).contains(&gap) {
            let before = self.gaps;
            self.findings.claims.push(Claim { entry: doubt.entry, samples: gap, lost: doubt.lost, before });
            self.gaps += gap;
        } else if let Some(at) = self.earlier(doubt.offset) {
            // Back to where it was: the gaps since then were never there.
            self.gaps = self.findings.claims[at].before;
            self.findings.claims.truncate(at);
        } else {
            // Counted again from an unknown point: wrapped at 32 bits, started again, or days later.
            if gap > 0 {
                self.lose(doubt.entry);
            }
            (self.origin, self.gaps) = (Some(doubt.offset), 0);
            self.first_claim = self.findings.claims.len();
        }
    }

    /// The claim, of those that count from this origin, before which a position would fit.
    fn earlier(&self, offset: i64) -> Option<usize> {
        let (since, position) =
            (&self.findings.claims[self.first_claim..], self.beyond(offset).wrapping_add(self.gaps));
        let at = since.partition_point(|claim| claim.before < position && !is_near(claim.before, position));
        since.get(at).is_some_and(|claim| is_near(claim.before, position)).then_some(self.first_claim + at)
    }
}

fn is_near(a: i64, b: i64) -> bool {
    a.abs_diff(b) < TOLERANCE
}

#[cfg(test)]
mod tests;
