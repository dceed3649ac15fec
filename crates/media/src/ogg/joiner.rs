//! Reassembles packets from pages: a packet may begin on one page and end on a later one (RFC 3533 section 5).

use super::page::Page;

/// Joins the pieces of packets, page by page.
#[derive(Debug, Clone, Default)]
pub(super) struct Joiner {
    /// The number of the page before; `None` before the first one.
    last: Option<u32>,
    open: Open,
}

/// What the page before left open.
#[derive(Debug, Clone, Default)]
enum Open {
    #[default]
    Nothing,
    /// A packet that began with these bytes.
    Packet(Vec<u8>),
    /// A packet whose beginning is missing.
    Lost,
}

impl Joiner {
    /// Passes on each packet that ends on the next page: whole, or its first `keep` bytes if it began on an earlier page. False
    /// when one was left out, because its beginning is missing.
    ///
    /// Whether the first piece is the rest of a packet is decided by the page before, where there is one; by the page's own flag
    /// otherwise.
    pub(super) fn read(&mut self, page: Page<'_>, keep: usize, mut each: impl FnMut(&[u8])) -> bool {
        let follows = self.last.is_some_and(|last| follows(last, page.sequence()));
        if !follows {
            // What continues here began on a page that is missing (RFC 3533 section 6, page_sequence_number).
            self.open = if page.is_continued() { Open::Lost } else { Open::Nothing };
        }
        self.last = Some(page.sequence());
        let mut all = true;
        for (piece, ends) in page.pieces() {
            match (std::mem::take(&mut self.open), ends) {
                (Open::Nothing, true) => each(piece),
                (Open::Nothing, false) => self.open = Open::Packet(start(piece, keep).to_vec()),
                (Open::Packet(mut packet), ends) => {
                    packet.extend_from_slice(start(piece, keep.saturating_sub(packet.len())));
                    if ends {
                        each(&packet);
                    } else {
                        self.open = Open::Packet(packet);
                    }
                }
                (Open::Lost, true) => all = false,
                (Open::Lost, false) => self.open = Open::Lost,
            }
        }
        all
    }

    /// Whether a packet has not ended yet.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.open, Open::Nothing)
    }
}

/// Whether no page is missing between two that have these numbers. A writer that does not count its pages misses none.
pub(super) fn follows(last: u32, next: u32) -> bool {
    next == last.wrapping_add(1) || next == last
}

fn start(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

#[cfg(test)]
mod tests {
    use super::super::page::build;
    use super::*;

    fn read(pages: &[(u8, u32, &[u8], &[u8])], keep: usize) -> (Vec<Vec<u8>>, Vec<bool>) {
        let (mut joiner, mut packets) = (Joiner::default(), Vec::new());
        let all = pages.iter().map(|&(flags, sequence, lacing, payload)| {
            let page = build(flags, 0, 1, sequence, lacing, payload);
            joiner.read(Page::trusted(&page).unwrap(), keep, |packet| packets.push(packet.to_vec()))
        });
        let all = all.collect();
        (packets, all)
    }

    #[test]
    fn a_packet_on_three_pages_is_one() {
        let long = [7; 255 * 2];
        let pages: [(u8, u32, &[u8], &[u8]); 3] =
            [(0, 4, &[2, 255], &[&[1, 2], &long[..255]].concat()), (1, 5, &[255], &long[..255]), (1, 6, &[0, 1], &[9])];
        assert_eq!(read(&pages, usize::MAX), (vec![vec![1, 2], long.to_vec(), vec![9]], vec![true; 3]));
        assert_eq!(read(&pages, 2).0, [vec![1, 2], vec![7, 7], vec![9]]);
    }

    #[test]
    fn the_page_before_says_what_goes_on_and_not_the_flag() {
        let long = [7; 255];
        // The flag is missing where a packet continues, and is set where none does.
        let lying: [(u8, u32, &[u8], &[u8]); 3] = [(0, 4, &[255], &long), (0, 5, &[1], &[8]), (1, 6, &[1], &[9])];
        assert_eq!(read(&lying, usize::MAX), (vec![[&long[..], &[8]].concat(), vec![9]], vec![true; 3]));
    }

    #[test]
    fn what_began_on_a_page_that_is_lost_is_dropped_to_its_end() {
        let long = [7; 255];
        let pages: [(u8, u32, &[u8], &[u8]); 3] =
            [(0, 4, &[1], &[1]), (1, 6, &[255], &long), (1, 7, &[3, 1], &[7, 7, 7, 2])];
        assert_eq!(read(&pages, usize::MAX), (vec![vec![1], vec![2]], vec![true, true, false]));
    }
}
