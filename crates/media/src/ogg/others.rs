//! Keeps track of the logical streams that are not played: foreign ones, without sound, and those that ought to be heard and are
//! not.

use super::joiner::follows;
use super::page::Page;

/// The most streams that are remembered. Pages of one that was forgotten count as damage.
const MOST: usize = 64;

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sound at the same time as what is played.
    Opus,
    /// Something else at the same time, such as a picture or a table of contents.
    Foreign,
    /// Something else that began after the sound before it: a link of its own, unless that sound goes on.
    Late,
}

#[derive(Debug)]
struct Other {
    serial: u32,
    kind: Kind,
    last_sequence: u32,
    has_pages: bool,
}

/// The streams that are not played.
#[derive(Debug, Default)]
pub(super) struct Others {
    known: Vec<Other>,
    ignored: u32,
    unheard: u32,
    /// Pages of late streams since the last page of the played stream.
    late: u32,
}

impl Others {
    /// Notes that a stream begins with a page of this number.
    pub(super) fn begin(&mut self, serial: u32, sequence: u32, kind: Kind) {
        self.known.retain(|known| known.serial != serial);
        if self.known.len() >= MOST {
            self.known.remove(0);
        }
        self.known.push(Other { serial, kind, last_sequence: sequence, has_pages: false });
    }

    /// Takes a page that is not of the played stream; false when it is not the next one of a stream that began. `in_sound` is
    /// whether sound has begun, or no Opus stream has.
    pub(super) fn take(&mut self, page: Page<'_>, in_sound: bool) -> bool {
        let count = match self.known.iter().find(|known| known.serial == page.serial()).map(|known| known.kind) {
            Some(Kind::Opus) => &mut self.unheard,
            Some(Kind::Late) => &mut self.late,
            Some(Kind::Foreign) | None => &mut self.ignored,
        };
        *count = count.saturating_add(1);
        let is_first = page.begins_stream() && page.sequence() == 0;
        if let Some(known) = self.known.iter_mut().find(|known| known.serial == page.serial() && !is_first) {
            // A page with a number out of order may be one of the played stream with a wrong serial number.
            let is_next = follows(known.last_sequence, page.sequence());
            (known.has_pages, known.last_sequence) = (true, page.sequence());
            return is_next;
        }
        // The number distinguishes a first page from one of the played stream with a wrong serial number and wrong
        // flags.
        if is_first {
            self.begin(page.serial(), page.sequence(), if in_sound { Kind::Late } else { Kind::Foreign });
        }
        is_first
    }

    /// The sound goes on: what came in between is parallel to it.
    pub(super) fn interleaved(&mut self) {
        self.ignored = self.ignored.saturating_add(self.late);
        self.late = 0;
    }

    /// Ends a link. True when something in a place of its own came after it.
    pub(super) fn end_link(&mut self) -> bool {
        self.unheard = self.unheard.saturating_add(self.late);
        std::mem::take(&mut self.late) > 0
    }

    /// An Opus stream began: streams that have only just begun are parallel to it.
    pub(super) fn group(&mut self) {
        for known in self.known.iter_mut().filter(|known| known.kind == Kind::Late && !known.has_pages) {
            known.kind = Kind::Foreign;
        }
    }

    /// Pages of streams at the same time, which hold no sound that is played.
    pub(super) fn ignored(&self) -> u32 {
        self.ignored
    }

    /// Pages that ought to be heard and are not.
    pub(super) fn unheard(&self) -> u32 {
        self.unheard
    }
}
