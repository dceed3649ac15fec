//! Receives from a room's sockets: passes what arrived since the last poll through the peer connection into the log.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Transmit};

use super::data::Filter;
use super::peer::{Datagram, Happening, Outlet};
use super::people::People;
use super::recovery::SPEECHLESS;
use super::spoken_time_gate::SpokenTimeGate;
use super::transport::{TcpPacket, Transport};
use super::{Listener, Room};
use crate::log::Body;

/// How often the sockets are polled while audio arrives. Packets carry the time at which the kernel received them, so this only
/// delays requests for retransmission; every poll of every room costs a little, whatever has arrived.
const PACE: Duration = Duration::from_millis(80);
/// How often while connecting, where each answer waits for the one before.
const EAGER: Duration = Duration::from_millis(2);
/// A connection that takes longer than this is no longer polled as eagerly.
const EAGER_FOR: Duration = Duration::from_secs(3);
/// All rooms poll at the same moments, so that a process with many of them is woken once for all.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The first moment after `now` that is a whole number of paces after the origin: whoever waits for it is woken with all others that do.
pub fn next_moment(origin: Instant, now: Instant, pace: Duration) -> Instant {
    let (since, pace) = (now.saturating_duration_since(origin).as_nanos() as u64, pace.as_nanos() as u64);
    origin + Duration::from_nanos((since / pace + 1) * pace)
}

/// Takes what the peer connection yields, and logs what may be kept.
struct Ears<'r> {
    transport: &'r Transport,
    people: &'r People,
    filter: &'r mut Filter,
    gate: &'r mut SpokenTimeGate,
    listener: &'r mut dyn Listener,
    paused: bool,
}

impl Ears<'_> {
    /// Whether an entry may be kept. Streams are numbered and logged even in a pause; their audio is kept only when it may be.
    fn may_be_kept(&mut self, at: Instant, participant: &str, body: &Body) -> bool {
        let is_recorded = !self.people.is_excluded(participant);
        match body {
            Body::Packet(packet) => {
                let is_open = is_recorded && !self.paused;
                self.gate.admits(self.listener.wall(at), participant, packet, is_open)
            }
            Body::Report(_) => is_recorded && !self.paused,
            _ => is_recorded,
        }
    }
}

impl Outlet for Ears<'_> {
    fn send(&mut self, transmit: &Transmit) {
        self.transport.send(transmit);
    }

    fn happened(&mut self, happening: Happening<'_>) {
        match happening {
            Happening::Entry(at, participant, body) => {
                if self.may_be_kept(at, participant, &body) {
                    self.listener.entry(at, body);
                }
            }
            Happening::Data(at, bytes) => {
                if let Some(bytes) = self.filter.admit(at, &bytes, self.paused, self.people) {
                    self.listener.entry(at, Body::Data(bytes));
                }
            }
        }
    }
}

impl Room<'_> {
    /// When to poll the sockets next.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        if !self.peer.is_heard() && now.saturating_duration_since(self.peer.since) < EAGER_FOR {
            return now + EAGER;
        }
        next_moment(*ORIGIN, now, PACE)
    }

    /// Takes everything that has arrived so far.
    pub(super) fn hear(&mut self) {
        let Self { peer, transport, numbers, people, filter, gate, listener, paused, last_packet, .. } = self;
        let to = transport.local;
        let transport_now = &*transport;
        let mut ears =
            Ears { transport: transport_now, people, filter, gate, listener: &mut **listener, paused: *paused };
        transport_now.udp.receive(|at, from, bytes| {
            let datagram = Datagram { at, protocol: Protocol::Udp, from, to, bytes };
            if peer.receive(&datagram, numbers, &mut ears) {
                *last_packet = at.max(*last_packet);
            }
        });
        while let Ok(packet) = self.transport.tcp_packets.try_recv() {
            self.take_tcp(&packet);
        }
        self.look_at_link(SPEECHLESS);
    }

    /// Takes a packet that arrived over TCP.
    pub(super) fn take_tcp(&mut self, packet: &TcpPacket) {
        let Self { peer, transport, numbers, people, filter, gate, listener, paused, .. } = self;
        let mut ears = Ears { transport, people, filter, gate, listener: &mut **listener, paused: *paused };
        let TcpPacket { at, bytes, from, to } = packet;
        let datagram = Datagram { at: *at, protocol: Protocol::Tcp, from: *from, to: *to, bytes };
        if peer.receive(&datagram, numbers, &mut ears) {
            self.last_packet = self.last_packet.max(*at);
        }
    }

    /// Sends and takes what the peer connection still has; returns when to call it again.
    pub(super) fn poll(&mut self) -> Instant {
        let Self { peer, transport, numbers, people, filter, gate, listener, paused, .. } = self;
        let mut ears = Ears { transport, people, filter, gate, listener: &mut **listener, paused: *paused };
        peer.poll(numbers, &mut ears)
    }
}
