//! The agents SDK's session upload: `POST /observability/recordings/v0`, multipart/form-data with the parts `header`,
//! `chat_history` and `audio` (livekit-agents 1.5.8 and later, @livekit/agents 1.9.0).

pub mod chat_history;
pub mod header;
pub mod multipart;
pub mod refusal;

/// The name of the part that says what session it is.
pub const HEADER: &str = "header";
/// The name of the part with what was said.
pub const CHAT_HISTORY: &str = "chat_history";
/// The name of the part with the sound.
pub const AUDIO: &str = "audio";
