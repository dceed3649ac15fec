//! Tests of our peer connection against another one, in simulated time, over a network that loses, delays and reorders packets.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use livekit_protocol as proto;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::rtcp::{Nack, Rtcp};
use str0m::rtp::{RawPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::peer::{Datagram, Happening, Outlet, Peer, StreamNumbers};
use super::spoken_time_gate::SpokenTimeGate;
use crate::capture::Timepiece;
use crate::log::Body;

const MS: Duration = Duration::from_millis(1);
/// How often our side polls, as a room does.
const PACE: Duration = Duration::from_millis(80);

/// Pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A datagram: when it arrives, in which order it was sent, whether it goes to us, and its bytes.
type OnTheWay = (Instant, u64, bool, Vec<u8>);

/// A network with datagrams in transit.
struct Network {
    random: Random,
    loss: f64,
    jitter: Duration,
    under_way: BinaryHeap<Reverse<OnTheWay>>,
    sent: u64,
    /// How often an RTP packet was lost.
    lost: u64,
    /// The packets that were lost and not retransmitted yet, by SSRC and sequence number, unchanged.
    gone: HashMap<(u32, u16), Vec<u8>>,
}

impl Network {
    fn send(&mut self, now: Instant, to_us: bool, bytes: &[u8]) {
        self.sent += 1;
        // Only audio is lost, and only towards us: connecting is not what this is about.
        let is_rtp = bytes.len() > 12 && (128..192).contains(&bytes[0]) && !(192..=223).contains(&bytes[1]);
        if is_rtp && to_us && self.random.next() < self.loss {
            self.lost += 1;
            let ssrc = u32::from_be_bytes(bytes[8..12].try_into().unwrap());
            self.gone.insert((ssrc, u16::from_be_bytes([bytes[2], bytes[3]])), bytes.to_vec());
            return;
        }
        let at = now + 5 * MS + self.jitter.mul_f64(self.random.next());
        self.under_way.push(Reverse((at, self.sent, to_us, bytes.to_vec())));
    }

    /// Retransmits what is requested under its own number, as LiveKit does; str0m would need a separate stream for that.
    fn send_again(&mut self, now: Instant, nack: &Nack) {
        for entry in nack.reports.iter() {
            let later = (0..16).filter(|bit| entry.blp >> bit & 1 == 1).map(|bit| entry.pid.wrapping_add(bit + 1));
            for number in [entry.pid].into_iter().chain(later) {
                if let Some(bytes) = self.gone.remove(&(*nack.ssrc, number)) {
                    self.send(now, true, &bytes);
                }
            }
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse((at, ..))| *at)
    }
}

/// By sequence number: RTP time, arrival, payload.
type Packets = HashMap<u64, (u64, Instant, Bytes)>;

/// What our side received.
struct Received {
    out: Vec<Vec<u8>>,
    /// By stream.
    packets: HashMap<u32, Packets>,
    doubled: u64,
    clock: Timepiece,
    gate: SpokenTimeGate,
    is_paused: bool,
}

impl Received {
    fn new(now: Instant) -> Self {
        let clock = Timepiece::new(now, 0);
        Self {
            out: Vec::new(),
            packets: HashMap::new(),
            doubled: 0,
            clock,
            gate: SpokenTimeGate::default(),
            is_paused: false,
        }
    }

    fn resume(&mut self, at: Instant) {
        self.is_paused = false;
        self.gate.resumed(self.clock.at(at));
    }
}

impl Outlet for Received {
    fn send(&mut self, transmit: &Transmit) {
        self.out.push(transmit.contents.to_vec());
    }

    fn happened(&mut self, happening: Happening<'_>) {
        if let Happening::Entry(at, participant, Body::Packet(packet)) = happening
            && self.gate.admits(self.clock.at(at), participant, &packet, !self.is_paused)
        {
            let stream = self.packets.entry(packet.stream).or_default();
            let before = stream.insert(packet.sequence, (packet.rtp, at, packet.payload));
            self.doubled += u64::from(before.is_some());
        }
    }
}

struct Call {
    now: Instant,
    server: Rtc,
    peer: Peer,
    numbers: StreamNumbers,
    received: Received,
    network: Network,
    mids: Vec<Mid>,
    server_wants: Instant,
    ours: SocketAddr,
    theirs: SocketAddr,
    is_connected: bool,
}

impl Call {
    fn new(tracks: usize, loss: f64, jitter: Duration, seed: u64) -> Self {
        let now = Instant::now();
        let (theirs, ours) = ("10.0.0.1:1000".parse().unwrap(), "10.0.0.2:2000".parse().unwrap());
        let server = Rtc::builder().clear_codecs().enable_opus(true, false).set_rtp_mode(true);
        let mut server = server.enable_raw_packets(true).build(now);
        server.add_local_candidate(Candidate::host(theirs, "udp").unwrap());
        let mut api = server.sdp_api();
        let mids: Vec<Mid> = (0..tracks)
            .map(|n| {
                let stream = Some(format!("PA_{n}|TR_{n}"));
                api.add_media(MediaKind::Audio, Direction::SendOnly, stream, Some(format!("TR_{n}")), None)
            })
            .collect();
        let (offer, pending) = api.apply().unwrap();
        let network = Network {
            random: Random(seed),
            loss,
            jitter,
            under_way: BinaryHeap::new(),
            sent: 0,
            lost: 0,
            gone: HashMap::new(),
        };
        let mut call = Self {
            now,
            server,
            peer: Peer::new(now),
            numbers: StreamNumbers::default(),
            received: Received::new(now),
            network,
            mids,
            server_wants: now,
            ours,
            theirs,
            is_connected: false,
        };
        call.negotiate(offer.to_sdp_string(), pending);
        call
    }

    fn negotiate(&mut self, sdp: String, pending: SdpPendingOffer) {
        let offer = proto::SessionDescription { r#type: "offer".to_owned(), sdp, id: 1, ..Default::default() };
        let answer = self.peer.accept(&offer, Candidate::host(self.ours, "udp").ok()).unwrap();
        self.server.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer.sdp).unwrap()).unwrap();
        let until = self.now + Duration::from_secs(5);
        while !self.is_connected {
            assert!(self.now < until, "no connection within 5 s");
            self.run_until(self.now + PACE);
        }
    }

    /// Sends what the server's side has to send.
    fn poll_server(&mut self) {
        loop {
            match self.server.poll_output().unwrap() {
                Output::Timeout(until) => {
                    self.server_wants = until;
                    return;
                }
                Output::Transmit(transmit) => self.network.send(self.now, true, &transmit.contents),
                Output::Event(Event::Connected) => self.is_connected = true,
                Output::Event(Event::RawPacket(packet)) => {
                    if let RawPacket::RtcpRx(Rtcp::Nack(nack)) = *packet {
                        self.network.send_again(self.now, &nack);
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    /// The server's side goes on in its own time; ours polls at the end, with packets that carry their arrival times.
    fn run_until(&mut self, end: Instant) {
        let mut arrived = Vec::new();
        loop {
            self.poll_server();
            let next = self.network.next_arrival().into_iter().chain([self.server_wants]).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if self.network.next_arrival() == Some(next) {
                let Some(Reverse((at, _, to_us, bytes))) = self.network.under_way.pop() else { break };
                if to_us {
                    arrived.push((at, bytes));
                } else {
                    let receive = Receive::new(Protocol::Udp, self.ours, self.theirs, &bytes).unwrap();
                    self.server.handle_input(Input::Receive(self.now, receive)).unwrap();
                }
            } else {
                self.server.handle_input(Input::Timeout(self.now)).unwrap();
            }
        }
        self.now = end;
        for (at, bytes) in arrived {
            let datagram = Datagram { at, protocol: Protocol::Udp, from: self.theirs, to: self.ours, bytes: &bytes };
            self.peer.receive(&datagram, &mut self.numbers, &mut self.received);
        }
        self.peer.timeout(end);
        self.peer.poll(&mut self.numbers, &mut self.received);
        for bytes in std::mem::take(&mut self.received.out) {
            self.network.send(end, false, &bytes);
        }
    }

    /// Sends a packet on every track: sequence number and RTP time begin shortly before both wrap.
    fn speak(&mut self, number: u64) {
        for (track, mid) in self.mids.clone().into_iter().enumerate() {
            let params = self.server.media(mid).unwrap().remote_pts().to_vec();
            let payload = [0x78, track as u8].into_iter().chain(number.to_be_bytes()).collect::<Vec<u8>>();
            let pt = params.first().copied().unwrap_or_else(|| {
                let codecs = self.server.codec_config();
                codecs.find(|p| p.spec().codec == Codec::Opus).unwrap().pt()
            });
            let mut api = self.server.direct_api();
            let stream = api.stream_tx_by_mid(mid, None).unwrap();
            let time = (number as u32).wrapping_mul(960).wrapping_add(u32::MAX - 500_000);
            let write = RtpWrite::new(pt, (64_000 + number).into(), time, self.now, payload);
            stream.write_rtp(write.nackable(true));
        }
        self.poll_server();
    }

    fn talk(&mut self, packets: u64) {
        self.talk_and(packets, |_, _| {});
    }

    /// The same, with something else happening before each packet.
    fn talk_and(&mut self, packets: u64, happens: impl Fn(&mut Self, u64)) {
        let began = self.now;
        for number in 0..packets {
            let at = began + 20 * MS * number as u32;
            if number % 2 == 0 {
                self.run_until(at);
            }
            self.now = self.now.max(at);
            happens(self, number);
            self.speak(number);
        }
        for _ in 0..50 {
            self.run_until(self.now + PACE);
        }
    }
}

/// Checks that every packet that was sent arrived once and unchanged, or is missing; returns how many are missing.
fn missing(call: &Call, packets: u64) -> u64 {
    assert_eq!((call.received.packets.len(), call.received.doubled), (call.mids.len(), 0));
    let mut missing = 0;
    for stream in call.received.packets.values() {
        let track = stream.values().next().unwrap().2[1];
        let first = *stream.keys().min().unwrap();
        let first_number = u64::from_be_bytes(stream[&first].2[2..].try_into().unwrap());
        // A first packet that is lost cannot be missed: nothing shows that it existed.
        assert!(first_number < 3, "the first packet is number {first_number}");
        let rtp = stream[&first].0;
        for number in first_number..packets {
            let Some((time, _, payload)) = stream.get(&(first + number - first_number)) else {
                missing += 1;
                continue;
            };
            assert_eq!(*time, rtp + (number - first_number) * 960, "RTP time goes on over its wrap");
            assert_eq!(payload[1], track);
            assert_eq!(u64::from_be_bytes(payload[2..].try_into().unwrap()), number);
        }
    }
    missing
}

#[test]
fn five_percent_of_loss_come_again_when_asked_for() {
    let mut call = Call::new(2, 0.05, 10 * MS, 7);
    call.talk(3_000);
    let (lost, missing) = (call.network.lost, missing(&call, 3_000));
    assert!(lost > 200, "the network lost {lost}");
    assert!(missing * 100 <= lost, "{missing} of {lost} that were lost did not come again");
}

#[test]
fn a_track_is_heard_from_when_it_was_offered_and_media_can_be_decrypted() {
    let call = Call::new(2, 0.0, MS, 4);
    let hears = |tracks: &[&'static str]| call.peer.hears_since(tracks.iter().copied());
    let since = hears(&["TR_0", "TR_1"]).unwrap();
    assert!(since > call.peer.since, "DTLS comes after ICE");
    assert_eq!(hears(&["TR_0", "TR_2"]), None);
    assert_eq!(Peer::new(call.now).hears_since(std::iter::empty()), None);
}

#[test]
fn nothing_that_is_spoken_in_a_pause_is_kept_and_all_that_is_spoken_after_it() {
    let is_paused = |number: u64| number % 100 >= 50;
    let mut call = Call::new(2, 0.05, 10 * MS, 13);
    call.talk_and(3_000, |call, number| match number % 100 {
        50 => call.received.is_paused = true,
        0 => call.received.resume(call.now),
        _ => {}
    });
    for stream in call.received.packets.values() {
        let kept: HashSet<u64> =
            stream.values().map(|(.., payload)| u64::from_be_bytes(payload[2..].try_into().unwrap())).collect();
        let of_pauses: Vec<u64> = kept.iter().copied().filter(|number| is_paused(*number)).collect();
        assert!(of_pauses.is_empty(), "{of_pauses:?} were spoken in a pause");
        // What is lost shortly before a pause is retransmitted when nothing is kept.
        let missing = (1..3_000).filter(|number| number % 100 < 10 && !kept.contains(number)).count();
        assert!(missing <= 3, "{missing} packets are missing after pauses");
    }
}

#[test]
fn two_hours_in_simulated_network_time() {
    let packets = 2 * 3600 * 50;
    let mut call = Call::new(2, 0.01, 15 * MS, 11);
    call.talk(packets);
    let (lost, missing) = (call.network.lost, missing(&call, packets));
    assert!(lost > 6_000, "the network lost {lost}");
    assert!(missing * 1_000 <= lost, "{missing} of {lost} that were lost did not come again");
}

/// After 1.5 s without a packet, str0m takes a time below the last one for one of the next cycle.
#[test]
fn a_packet_that_is_sent_again_first_after_a_silence_keeps_its_time() {
    let mut call = Call::new(1, 0.0, Duration::ZERO, 5);
    let lost = std::cell::RefCell::new(Vec::new());
    call.talk_and(100, |call, number| {
        call.network.loss = if (50..53).contains(&number) { 1.0 } else { 0.0 };
        if number == 53 {
            *lost.borrow_mut() = call.network.gone.drain().map(|(_, bytes)| bytes).collect();
        }
        if number == 60 {
            call.run_until(call.now + Duration::from_secs(2));
            for bytes in lost.take() {
                call.network.send(call.now, true, &bytes);
            }
            call.run_until(call.now + PACE);
        }
    });
    assert!(call.network.lost > 0);
    assert_eq!(missing(&call, 100), 0);
}

/// A STUN message (RFC 8489, section 5): a class of the Binding method, a transaction, attributes.
fn stun(class: u16, transaction: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut message = (0x0001 | class).to_be_bytes().to_vec();
    message.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    message.extend([0x21, 0x12, 0xA4, 0x42]);
    message.extend(transaction);
    message.extend(attributes);
    message
}

/// str0m 0.24 panicked when MESSAGE-INTEGRITY was the first attribute of a response to one of our checks.
#[test]
fn no_stun_message_ends_the_peer_connection() {
    let mut call = Call::new(1, 0.0, Duration::ZERO, 17);
    let integrity: Vec<u8> = [0x00, 0x08, 0x00, 0x14].into_iter().chain([0; 20]).collect();
    let fingerprint: Vec<u8> = [0x80, 0x28, 0x00, 0x04, 0, 0, 0, 0].into();
    let mut tried = 0;
    for _ in 0..60 {
        call.now += PACE;
        call.peer.timeout(call.now);
        call.peer.poll(&mut call.numbers, &mut call.received);
        for sent in std::mem::take(&mut call.received.out) {
            if sent.len() < 20 || sent[..2] != [0, 1] {
                continue;
            }
            for class in [0x0000, 0x0010, 0x0100, 0x0110] {
                for attributes in
                    [vec![], integrity.clone(), [integrity.clone(), fingerprint.clone()].concat(), fingerprint.clone()]
                {
                    let bytes = stun(class, &sent[8..20], &attributes);
                    let (from, to) = (call.theirs, call.ours);
                    let datagram = Datagram { at: call.now, protocol: Protocol::Udp, from, to, bytes: &bytes };
                    call.peer.receive(&datagram, &mut call.numbers, &mut call.received);
                    tried += 1;
                }
            }
            call.network.send(call.now, false, &sent);
        }
        call.run_until(call.now + PACE);
    }
    assert!(tried >= 16, "{tried} messages");
    call.talk(100);
    assert!(missing(&call, 100) <= 1);
}
