//! The agents SDK's session upload: `POST /observability/recordings/v0`, multipart/form-data with the parts `header`,
//! `chat_history` and `audio` (livekit-agents 1.5.8 and later, @livekit/agents 1.9.0).

pub mod chat_history;
pub mod header;
pub mod multipart;
pub mod refusal;
