//! The capture log: everything that is received from a room, unchanged and in order of arrival.
//!
//! An [`Entry`] is one event: an audio packet, a sender report, a change of a participant, a message. Entries are never rewritten.
//! The same frames ([`frame`]) are in the process's [`journal`], which has every room, and in the chunks of one capture in object
//! storage ([`chunk`]). `docs/capture-log.md` describes the format.

pub mod chunk;
pub mod frame;
pub mod joined;
pub mod journal;
mod packet_of;
pub mod parts;
pub mod spool;

use std::collections::HashMap;

use bytes::Bytes;

/// One event of a capture.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// Its number within the capture, from 0, without gaps.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// When it was received: nanoseconds since the Unix epoch, by a clock that does not jump within one process.
    #[prost(sfixed64, tag = "2")]
    pub at: i64,
    /// What happened.
    #[prost(oneof = "Body", tags = "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    pub body: Option<Body>,
}

/// What happened.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Body {
    /// An audio packet.
    #[prost(message, tag = "3")]
    Packet(Packet),
    /// A sender report (RFC 3550 section 6.4.1).
    #[prost(message, tag = "4")]
    Report(Report),
    /// A stream begins: a track as we receive it, until we or its publisher reconnect.
    #[prost(message, tag = "5")]
    Stream(Stream),
    /// A participant joined, changed or left.
    #[prost(message, tag = "6")]
    Participant(Participant),
    /// A message of the data channels: LiveKit's `DataPacket`, as received.
    #[prost(bytes, tag = "7")]
    Data(Vec<u8>),
    /// Who is speaking, as measured by LiveKit; only those who changed.
    #[prost(message, tag = "8")]
    Speakers(Speakers),
    /// We joined a room, or rejoined it.
    #[prost(message, tag = "9")]
    Joined(Joined),
    /// Recording was paused or resumed.
    #[prost(message, tag = "10")]
    Pause(Pause),
    /// The capture has ended; nothing follows.
    #[prost(message, tag = "11")]
    Ended(Ended),
    /// The connection was lost or restored.
    #[prost(message, tag = "12")]
    Link(Link),
    /// Live rendering changes a stream's placement from here on.
    #[prost(message, tag = "13")]
    Placed(Placed),
}

/// An audio packet, unchanged.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Packet {
    /// Its stream.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// RTP sequence number, extended to 64 bits.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// RTP timestamp, extended to 64 bits, in ticks of the stream's clock (48 kHz for Opus).
    #[prost(uint64, tag = "3")]
    pub rtp: u64,
    /// The payload, without RTP header.
    #[prost(bytes = "bytes", tag = "4")]
    pub payload: Bytes,
}

/// The sender's wall clock at one RTP time.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Report {
    /// Its stream.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// RTP timestamp, extended to 64 bits.
    #[prost(uint64, tag = "2")]
    pub rtp: u64,
    /// The sender's NTP time in nanoseconds since the Unix epoch.
    #[prost(sfixed64, tag = "3")]
    pub ntp: i64,
}

/// A track as we receive it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stream {
    /// Its number within the capture, from 0.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// RTP synchronisation source.
    #[prost(uint32, tag = "2")]
    pub ssrc: u32,
    /// LiveKit's track id (`TR_...`).
    #[prost(string, tag = "3")]
    pub track_sid: String,
    /// LiveKit's participant id (`PA_...`).
    #[prost(string, tag = "4")]
    pub participant_sid: String,
    /// `audio` or `video`.
    #[prost(string, tag = "5")]
    pub kind: String,
    /// MIME type, for example `audio/opus`.
    #[prost(string, tag = "6")]
    pub mime_type: String,
    /// Ticks per second of the RTP clock.
    #[prost(uint32, tag = "7")]
    pub clock_rate: u32,
    /// Format parameters as given in the offer (RFC 8866 section 6.15).
    #[prost(string, tag = "8")]
    pub fmtp: String,
}

/// A participant, as described by LiveKit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Participant {
    /// LiveKit's participant id (`PA_...`).
    #[prost(string, tag = "1")]
    pub sid: String,
    /// Identity, unique in the room.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// Display name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// LiveKit's kind: `STANDARD`, `AGENT`, `SIP`, ...
    #[prost(string, tag = "4")]
    pub kind: String,
    /// Its attributes.
    #[prost(map = "string, string", tag = "5")]
    pub attributes: HashMap<String, String>,
    /// Whether the participant has left.
    #[prost(bool, tag = "6")]
    pub gone: bool,
    /// The published tracks.
    #[prost(message, repeated, tag = "7")]
    pub tracks: Vec<Track>,
}

/// A published track.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Track {
    /// LiveKit's track id (`TR_...`).
    #[prost(string, tag = "1")]
    pub sid: String,
    /// `AUDIO`, `VIDEO` or `DATA`.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// `MICROPHONE`, `SCREEN_SHARE_AUDIO`, ...
    #[prost(string, tag = "3")]
    pub source: String,
    /// Whether it is muted.
    #[prost(bool, tag = "4")]
    pub muted: bool,
}

/// Changes in who is speaking.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Speakers {
    /// Those who changed.
    #[prost(message, repeated, tag = "1")]
    pub speakers: Vec<Speaker>,
}

/// One speaker.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Speaker {
    /// LiveKit's participant id.
    #[prost(string, tag = "1")]
    pub participant_sid: String,
    /// 0 to 1.
    #[prost(float, tag = "2")]
    pub level: f32,
    /// Whether the participant speaks.
    #[prost(bool, tag = "3")]
    pub active: bool,
}

/// A room that we joined.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Joined {
    /// LiveKit's room id (`RM_...`).
    #[prost(string, tag = "1")]
    pub room_sid: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub room_name: String,
    /// Whether another process recorded it before: what is between is lost, up to the first packet or the next link that is up.
    #[prost(bool, tag = "3")]
    pub resumed: bool,
}

/// Recording paused or resumed.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Pause {
    /// Whether it is paused from here on.
    #[prost(bool, tag = "1")]
    pub paused: bool,
}

/// The end of a capture.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ended {
    /// The reason: one of [`ended`], or the room's own.
    #[prost(string, tag = "1")]
    pub reason: String,
}

/// Reasons for the end of a capture that are not the room's own, as in [`Ended::reason`].
pub mod ended {
    /// It was stopped on request.
    pub const STOPPED: &str = "stopped";
    /// It reached the maximum length of a recording.
    pub const MAX_DURATION: &str = "max_duration";
    /// The disk no longer accepts anything.
    pub const DISK_FULL: &str = "disk_full";
    /// The room ended, or we were removed from it.
    pub const ROOM_ENDED: &str = "room_ended";
    /// The room ended while we were not connected to it.
    pub const MISSED: &str = "ended_while_away";
}

/// Reasons for a connection being down, where the reason matters.
pub mod link {
    /// The process left so that another one can go on.
    pub const HANDED_OVER: &str = "handed_over";
}

/// The connection to the room. While it is down, nothing that is spoken is received.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Link {
    /// Whether it is up again.
    #[prost(bool, tag = "1")]
    pub up: bool,
    /// Since when: nanoseconds since the Unix epoch.
    #[prost(sfixed64, tag = "2")]
    pub since: i64,
    /// How it was noticed.
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// A step of a stream's [`Placement`](crate::clock::Placement), as used by live rendering.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Placed {
    /// The stream.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// The first RTP time to which it applies.
    #[prost(sint64, tag = "2")]
    pub from_rtp: i64,
    /// What is added to an RTP time to get a sample of the timeline.
    #[prost(sint64, tag = "3")]
    pub offset: i64,
}
