//! Opens the signalling connection: tasks that join, resume or rejoin, with growing pauses between attempts.

use std::sync::Arc;
use std::time::Duration;

use echosphere_domain::backoff::Backoff;
use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalError, SignalEvents, SignalOptions};
use tokio::task::JoinHandle;

/// The protocol version in which data channels are opened in-band and the server offers on a peer connection of its own.
const PROTOCOL: u32 = 16;

/// A signalling connection that was established.
pub type Joined = (SignalClient, proto::JoinResponse, SignalEvents);

/// Makes the access token that identifies us to the server.
pub type MakeToken = Arc<dyn Fn() -> String + Send + Sync>;

fn options() -> SignalOptions {
    let mut options = SignalOptions::default();
    // With video in the room, subscribing to all of it would break the negotiation: we have no video codec to answer with.
    options.auto_subscribe = false;
    options.single_peer_connection = false;
    options.protocol_version = PROTOCOL;
    options.client_capabilities = Vec::new();
    options.client_protocol = 0;
    options.region_failover = false;
    options.connect_timeout = Duration::from_secs(5);
    options
}

/// Joins a room.
pub async fn join(url: &str, token: &str) -> Result<Joined, SignalError> {
    SignalClient::connect(url, token, options(), None).await
}

/// The outcome of an attempt to get back.
pub enum Back {
    /// The old session goes on.
    Resumed,
    /// A new session began.
    Rejoined(Box<Joined>),
    /// The attempt failed.
    Failed(SignalError),
}

/// An attempt to get back that is under way.
pub type Attempt = JoinHandle<Back>;

/// The pauses between attempts; there is none before the first. The server may be back at any moment, and many rooms ask at once.
pub const BACKOFF: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(1) };

/// Tries to resume the session.
pub fn resume(client: Arc<SignalClient>, attempt: u32) -> Attempt {
    tokio::spawn(async move {
        tokio::time::sleep(BACKOFF.after(attempt)).await;
        match client.restart(proto::ReconnectReason::RrSignalDisconnected).await {
            Ok(_) => Back::Resumed,
            Err(error) => Back::Failed(error),
        }
    })
}

/// Tries to rejoin.
pub fn rejoin(url: String, token: MakeToken, attempt: u32) -> Attempt {
    tokio::spawn(async move {
        tokio::time::sleep(BACKOFF.after(attempt)).await;
        match join(&url, &token()).await {
            Ok(joined) => Back::Rejoined(Box::new(joined)),
            Err(error) => Back::Failed(error),
        }
    })
}
