//! The sockets of a room: one for UDP, and one for TCP for each of the server's TCP candidates (RFC 6544), opened only when UDP
//! does not get through.
//!
//! Each room has a UDP port of its own: a server with a single UDP port tells its peers apart by their address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use str0m::net::{Protocol, TcpType, Transmit};
use str0m::{Candidate, CandidateKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::udp::Udp;
use crate::wire;

/// The most packets that wait to be written to a TCP connection; more are dropped, as by a full UDP socket.
const MAX_WAITING: usize = 512;
/// How long a TCP connection may take to be established.
const CONNECT: Duration = Duration::from_secs(1);

/// A packet that arrived over TCP.
pub struct TcpPacket {
    /// When it was read.
    pub at: Instant,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The server's address.
    pub from: SocketAddr,
    /// Our address.
    pub to: SocketAddr,
}

/// A TCP connection in use.
struct Connection {
    out: mpsc::Sender<Vec<u8>>,
    candidate: Candidate,
}

impl Connection {
    fn send(&self, packet: &[u8]) {
        let _ = self.out.try_send(packet.to_vec());
    }
}

/// The sockets of one room.
pub struct Transport {
    /// The UDP socket, for everything.
    pub udp: Udp,
    /// The address at which the server reaches `udp`.
    pub local: SocketAddr,
    /// By our address and the server's. A connection that ended stays, closed, until [`Transport::disconnect`].
    connections: HashMap<(SocketAddr, SocketAddr), Connection>,
    /// The tasks that read and write them.
    exchanges: JoinSet<()>,
    /// Connections being established; each is to be [used](Transport::use_connection).
    pub connecting: JoinSet<Option<TcpStream>>,
    tcp: mpsc::Sender<TcpPacket>,
    /// Packets that arrive over TCP.
    pub tcp_packets: mpsc::Receiver<TcpPacket>,
}

impl Transport {
    /// Opens a UDP socket. `local` is our address on the route to the server.
    pub fn open(local: IpAddr, now: Instant) -> io::Result<Self> {
        let any: IpAddr = if local.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
        let bind = if local.is_loopback() { local } else { any };
        let udp = Udp::bind(bind, now)?;
        let local = SocketAddr::new(local, udp.local_addr()?.port());
        let (tcp, tcp_packets) = mpsc::channel(MAX_WAITING);
        let (exchanges, connecting) = (JoinSet::new(), JoinSet::new());
        Ok(Self { udp, local, connections: HashMap::new(), exchanges, connecting, tcp, tcp_packets })
    }

    /// The candidate of the UDP socket.
    pub fn candidate(&self) -> Option<Candidate> {
        Candidate::host(self.local, "udp").ok()
    }

    /// Whether a TCP connection is open.
    pub fn has_tcp(&self) -> bool {
        self.connections.values().any(|connection| !connection.out.is_closed())
    }

    /// Starts to connect to one of the server's TCP candidates (RFC 6544, active side). Nothing waits for it: an address that does
    /// not answer holds up neither the others nor the room.
    pub fn connect(&mut self, to: SocketAddr) {
        self.connecting.spawn(async move {
            match tokio::time::timeout(CONNECT, TcpStream::connect(to)).await {
                Ok(Ok(socket)) => return Some(socket),
                Ok(Err(error)) => tracing::debug!(address = %to, %error, "no ICE over TCP"),
                Err(_) => tracing::debug!(address = %to, "no ICE over TCP within a second"),
            }
            None
        });
    }

    /// Uses a connection that was established; returns our end of it.
    pub fn use_connection(&mut self, socket: TcpStream) -> io::Result<Candidate> {
        socket.set_nodelay(true)?;
        let (ours, theirs) = (socket.local_addr()?, socket.peer_addr()?);
        let candidate = Candidate::builder().tcp().host(ours).tcptype(TcpType::Active).build();
        let candidate = candidate.map_err(io::Error::other)?;
        let (out, waiting) = mpsc::channel(MAX_WAITING);
        let packets = self.tcp.clone();
        self.exchanges.spawn(async move {
            let (reader, writer) = socket.into_split();
            // Whichever ends first ends the connection and closes `out`.
            tokio::select! {
                () = read(reader, (ours, theirs), packets) => {}
                () = write(writer, waiting) => {}
            }
        });
        self.connections.insert((ours, theirs), Connection { out, candidate: candidate.clone() });
        Ok(candidate)
    }

    /// Ends all TCP connections, including those being established; returns our ends of the established ones.
    pub fn disconnect(&mut self) -> Vec<Candidate> {
        (self.exchanges, self.connecting) = (JoinSet::new(), JoinSet::new());
        self.connections.drain().map(|(_, connection)| connection.candidate).collect()
    }

    /// Sends a datagram of the peer connection. What a socket does not accept now is lost, as on any network.
    pub fn send(&self, transmit: &Transmit) {
        if transmit.proto == Protocol::Udp {
            return self.udp.send(&transmit.contents, transmit.destination);
        }
        match self.connections.get(&(transmit.source, transmit.destination)) {
            Some(connection) => connection.send(&transmit.contents),
            // After an ICE restart str0m goes on with the previous pair until the server nominates another one, for a second or so;
            // what was lost meanwhile is requested in that second. The server accepts it from each of our addresses that ICE knows,
            // once.
            None if !is_stun(&transmit.contents) => {
                self.connections.values().for_each(|connection| connection.send(&transmit.contents));
            }
            None => {}
        }
    }
}

/// Whether a datagram is one of ICE's own (STUN, RFC 7983).
fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first < 4)
}

/// Reads packets (RFC 4571 framing) until the server ends the connection.
async fn read(mut reader: OwnedReadHalf, (to, from): (SocketAddr, SocketAddr), packets: mpsc::Sender<TcpPacket>) {
    while let Ok(length) = reader.read_u16().await {
        let mut bytes = vec![0; usize::from(length)];
        if reader.read_exact(&mut bytes).await.is_err() {
            return;
        }
        if packets.send(TcpPacket { at: Instant::now(), bytes, from, to }).await.is_err() {
            return;
        }
    }
}

/// Writes packets for as long as the server accepts them.
async fn write(mut writer: OwnedWriteHalf, mut waiting: mpsc::Receiver<Vec<u8>>) {
    while let Some(packet) = waiting.recv().await {
        let Ok(length) = u16::try_from(packet.len()) else { continue };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&packet);
        if writer.write_all(&framed).await.is_err() {
            return;
        }
    }
}

/// Whether one of the server's candidates can be connected to over TCP.
pub fn is_passive_tcp(candidate: &Candidate) -> bool {
    candidate.proto() == Protocol::Tcp && candidate.kind() == CandidateKind::Host
}

/// Our address on the route to a LiveKit server, according to the routing table; nothing is sent to the server.
pub async fn local_address(url: &str) -> io::Result<IpAddr> {
    let url = reqwest::Url::parse(url).map_err(io::Error::other)?;
    let (host, port) = wire::authority(&url)?;
    let mut found = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
        let socket = std::net::UdpSocket::bind((any, 0))?;
        if socket.connect(address).is_ok() {
            let local = socket.local_addr()?.ip();
            // The server's candidates are IPv4 first, nearly everywhere.
            if local.is_ipv4() {
                return Ok(local);
            }
            found.get_or_insert(local);
        }
    }
    found.ok_or_else(|| io::Error::other(format!("there is no way to {host}")))
}

#[cfg(test)]
mod tests;
