//! From the capture log to the recording's timeline: which packets are heard where, and what is missing.
//!
//! [`Assembler`] reads the log in its order, live or afterwards, and knows at any moment what it amounts to. [`Index`] is
//! that knowledge in a form that is kept: with it, any window can be rendered from the chunks that it names.

mod assembler;
mod holes;
mod index;
mod stream;
mod track_file;

pub use assembler::{Assembler, Heard};
pub use index::{Extent, Gap, Hole, Index, PlacedStream, packets};
pub(crate) use stream::SERVER_SILENCE;
pub use track_file::{TOLERANCE, TrackFile};

/// Who is heard where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Agents on the left, everybody else on the right.
    #[default]
    AgentLeft,
    /// Everybody on both sides.
    Mix,
}
