//! Assembles a recording from its captures: what is heard when, what is missing, and where the turns of its transcripts lie.

pub mod alignment;
pub mod capture_input;
pub mod gap_fill;
mod missing;
pub mod segment_index;

use crate::rendering::Rendering;
use crate::signals::Stop;

/// What assembly needs.
#[derive(Clone)]
pub struct Assembly {
    /// Renders captures.
    pub rendering: Rendering,
    /// Long listening ends when it is cancelled.
    pub stop: Stop,
}
