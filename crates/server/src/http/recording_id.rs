//! Parses the id of a recording in a path; any other text is answered as not found.

use echosphere_domain::id::RecordingId;

use super::problem::Problem;

/// An id from a path. Another spelling, a path trick or plain nonsense names no recording; it is answered as such and
/// never reaches the database or the disk.
pub fn parse_id(text: &str) -> Result<RecordingId, Problem> {
    text.parse().map_err(|_| not_found(text))
}

/// The answer where no such recording exists for the caller.
pub fn not_found(id: &str) -> Problem {
    let shown: String = id.chars().take(64).collect();
    Problem::recording_not_found(format!("no recording {shown:?} exists for these credentials"))
}
