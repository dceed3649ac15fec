//! psrpc, over which LiveKit's servers and workers call one another by messages on Redis (livekit/psrpc): its messages, its channels,
//! who is chosen when several offer to answer, and what a server and an egress worker say to each other.
//!
//! A call: the client publishes a [`message::Request`]; each server that would answer it publishes a [`message::ClaimRequest`]; the client
//! chooses one ([`claim::Selection`]) and says so in a [`message::ClaimResponse`]; that one answers with a [`message::Response`].

pub mod channel;
pub mod claim;
pub mod egress;
pub mod message;
pub mod queue;
