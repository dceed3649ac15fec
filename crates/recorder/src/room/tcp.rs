//! Media over TCP: when it is tried, and how it is replaced when ICE restarts.
//!
//! LiveKit restarts ICE each time a session is resumed, and closes the existing TCP connections at that instant (pion/ice,
//! Agent.Restart). What it sends until there is a new one has to be retransmitted; each moment saved is a packet that need not be.

use std::time::{Duration, Instant};

use str0m::net::Protocol;
use tokio::net::TcpStream;
use tokio::task::JoinError;

use super::{Flow, Room};

/// If UDP has not succeeded after this long, TCP is tried alongside it.
const UDP_HEAD_START: Duration = Duration::from_millis(1_500);

/// The outcome of an attempt to connect.
pub(super) type Connected = Result<Option<TcpStream>, JoinError>;

impl Room<'_> {
    /// Connects to the server's TCP candidates when it is time: at once where media came over TCP before.
    pub(super) fn try_tcp(&mut self, now: Instant) {
        let is_due = self.prefers_tcp || now.duration_since(self.peer.since) > UDP_HEAD_START;
        if self.peer.is_up || !is_due {
            return;
        }
        for address in std::mem::take(&mut self.peer.tcp_candidates) {
            self.transport.connect(address);
        }
    }

    /// Uses a connection that was established.
    pub(super) fn connected(&mut self, connected: Connected) -> Flow {
        if let Ok(Some(socket)) = connected {
            match self.transport.use_connection(socket) {
                Ok(candidate) => self.peer.local_candidate(candidate),
                Err(error) => tracing::debug!(room = %self.room_sid, %error, "a TCP connection is of no use"),
            }
        }
        Flow::Go
    }

    /// Drops the existing connections: the server accepts its new credentials on new ones.
    pub(super) fn leave_tcp(&mut self) {
        if let Some(protocol) = self.peer.heard_over {
            self.prefers_tcp = protocol == Protocol::Tcp;
        }
        for candidate in self.transport.disconnect() {
            self.peer.drop_candidate(&candidate);
        }
    }

    /// Whether media came over TCP, and no TCP connection is left.
    pub(super) fn is_torn(&self) -> bool {
        self.peer.heard_over == Some(Protocol::Tcp) && !self.transport.has_tcp()
    }
}
