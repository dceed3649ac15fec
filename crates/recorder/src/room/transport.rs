//! The sockets behind a peer connection: one of UDP, and one of TCP for each of the server's TCP candidates (RFC 6544),
//! opened only when UDP does not get through.
//!
//! Each room has a UDP port of its own: a server with a single UDP port tells its peers apart by their address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use str0m::net::{Protocol, TcpType, Transmit};
use str0m::{Candidate, CandidateKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::udp::Udp;
use crate::wire;

/// Packets that wait to be written to a TCP connection; more are dropped, as a full UDP socket would.
const MAX_WAITING: usize = 512;

/// A packet that came over TCP.
pub struct TcpPacket {
    /// When it was read.
    pub at: Instant,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The server's end.
    pub from: SocketAddr,
    /// Our end.
    pub to: SocketAddr,
}

/// The sockets of one room.
pub struct Transport {
    /// UDP, for everything.
    pub udp: Udp,
    /// Where the server reaches `udp`.
    pub local: SocketAddr,
    connections: HashMap<(SocketAddr, SocketAddr), mpsc::Sender<Vec<u8>>>,
    tcp: mpsc::Sender<TcpPacket>,
    /// What comes over TCP.
    pub tcp_packets: mpsc::Receiver<TcpPacket>,
}

impl Transport {
    /// Opens a UDP socket. `local` is our address on the way to the server.
    pub fn open(local: IpAddr, now: Instant) -> io::Result<Self> {
        let any: IpAddr = if local.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
        let bind = if local.is_loopback() { local } else { any };
        let udp = Udp::bind(bind, now)?;
        let local = SocketAddr::new(local, udp.local_addr()?.port());
        let (tcp, tcp_packets) = mpsc::channel(MAX_WAITING);
        Ok(Self { udp, local, connections: HashMap::new(), tcp, tcp_packets })
    }

    /// The candidate of the UDP socket.
    pub fn candidate(&self) -> Option<Candidate> {
        Candidate::host(self.local, "udp").ok()
    }

    /// Whether TCP is in use.
    pub fn has_tcp(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Connects to one of the server's TCP candidates (RFC 6544 active side, RFC 4571 framing); returns our end of it.
    pub async fn connect(&mut self, to: SocketAddr) -> io::Result<Option<Candidate>> {
        let socket = TcpStream::connect(to).await?;
        socket.set_nodelay(true)?;
        let (ours, theirs) = (socket.local_addr()?, socket.peer_addr()?);
        let (mut reader, mut writer) = socket.into_split();
        let packets = self.tcp.clone();
        tokio::spawn(async move {
            while let Ok(length) = reader.read_u16().await {
                let mut bytes = vec![0; usize::from(length)];
                let read = reader.read_exact(&mut bytes).await;
                if read.is_err()
                    || packets.send(TcpPacket { at: Instant::now(), bytes, from: theirs, to: ours }).await.is_err()
                {
                    break;
                }
            }
        });
        let (out, mut waiting) = mpsc::channel::<Vec<u8>>(MAX_WAITING);
        tokio::spawn(async move {
            while let Some(packet) = waiting.recv().await {
                let Ok(length) = u16::try_from(packet.len()) else { continue };
                let mut framed = length.to_be_bytes().to_vec();
                framed.extend_from_slice(&packet);
                if writer.write_all(&framed).await.is_err() {
                    break;
                }
            }
        });
        self.connections.insert((ours, theirs), out);
        Ok(Candidate::builder().tcp().host(ours).tcptype(TcpType::Active).build().ok())
    }

    /// Ends all TCP connections.
    pub fn disconnect(&mut self) {
        self.connections.clear();
    }

    /// Sends what the peer connection wants sent. What a socket does not take now is lost, as on any network.
    pub fn send(&self, transmit: &Transmit) {
        if transmit.proto == Protocol::Udp {
            self.udp.send(&transmit.contents, transmit.destination);
        } else if let Some(connection) = self.connections.get(&(transmit.source, transmit.destination)) {
            let _ = connection.try_send(transmit.contents.to_vec());
        }
    }
}

/// Whether a candidate of the server's can be connected to over TCP.
pub fn is_passive_tcp(candidate: &Candidate) -> bool {
    candidate.proto() == Protocol::Tcp && candidate.kind() == CandidateKind::Host
}

/// Our address on the way to a LiveKit server, as the routing table has it; nothing is sent.
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
