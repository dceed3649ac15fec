//! A live room in, a capture out.
//!
//! [`room`] joins a LiveKit room as a hidden participant and receives every audio track. What comes goes untouched into the
//! capture log ([`log`]); [`clock`] finds out when each packet was spoken, [`sound`] where it lies on the recording's
//! timeline, [`words`] what was said. Those three are pure: they give the same answer from a log that is still growing, after
//! a crash, and years later.

pub mod capture;
pub mod clock;
pub mod log;
pub mod room;
pub mod rooms;
pub mod sound;
pub mod wire;
pub mod words;
