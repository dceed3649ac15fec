//! Records a live LiveKit room into a capture: received audio, data and events, in a log from which everything else is derived.
//!
//! [`room`] joins a LiveKit room as a hidden participant and receives every audio track. What arrives goes unchanged into the
//! capture log ([`log`]); [`clock`] finds out when each packet was spoken, [`sound`] where it is on the recording's timeline, and
//! [`room_transcript`] what was said. These three are pure: they give the same answer from a log that is still growing, after a
//! crash, and years later.

pub mod capture;
pub mod clock;
pub mod egress;
pub mod log;
pub mod room;
pub mod room_transcript;
pub mod rooms;
pub mod sound;
pub mod twirp;
pub mod wire;
