//! Derives the recording's timeline from the capture log: which packets are heard where, and what is missing.
//!
//! [`Assembler`] reads the log in order, live or afterwards, and has the result so far at any moment. [`Index`] is that result in a
//! form that is stored: with it, any window can be rendered from the chunks that it names.

mod assembler;
mod index;
mod live;
mod side_gaps;
mod stream;
mod track_file;

pub use assembler::{Assembler, ReceivedTrack};
pub use index::{Extent, Gap, Index, PlacedStream, SideGap};
pub use live::LiveSound;
pub(crate) use stream::SERVER_SILENCE;
pub use track_file::{TOLERANCE, TrackFile};

/// Which channel participants are heard on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Agents on the left, everybody else on the right.
    #[default]
    AgentLeft,
    /// Everybody on both sides.
    Mix,
}
