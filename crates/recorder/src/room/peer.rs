//! The WebRTC peer connection: the server offers, we answer and receive. Uses str0m in RTP mode, so that every packet comes out as
//! it was sent; its frame mode loses a whole track when the server reuses a media section for another SSRC.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use livekit_protocol as proto;
use str0m::change::SdpOffer;
use str0m::channel::ChannelId;
use str0m::media::Mid;
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::{RtpPacket, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::sdp::{self, Offered};
use crate::clock::RtpTimes;
use crate::log::{Body, Packet, Report, Stream};

/// How long to wait after the peer connection failed without saying how long.
const RETRY: Duration = Duration::from_millis(100);
/// How often lost packets are requested. LiveKit retransmits a packet at most three times, and no sooner than 100 ms after the last
/// time (sequencer.go); str0m requests five times, which by itself is over within 165 ms, and LiveKit would act on one of them. A
/// request is sent at the next poll of the sockets, up to 80 ms later.
const ASK_EVERY: Duration = Duration::from_millis(140);

/// The longest interval at which the path is tried again while nothing comes back on it. str0m's own 3 s would prolong the silence
/// of each outage by 3 s. It is also how often a working path is checked.
const TRY_PATH_EVERY: Duration = Duration::from_secs(1);
/// How often that is done before the path is given up: for about as long as with str0m's own 9 times 3 s.
const TRY_PATH: usize = 22;

/// What a peer connection yields.
pub enum Happening<'p> {
    /// An entry for the log, with the moment of its arrival and the id of its participant.
    Entry(Instant, &'p str, Body),
    /// A message from a data channel, with the moment of its arrival.
    Data(Instant, Vec<u8>),
}

/// Receives what a peer connection yields.
pub trait Outlet {
    /// Sends a datagram to the server.
    fn send(&mut self, transmit: &Transmit);

    /// Takes something for the log.
    fn happened(&mut self, happening: Happening<'_>);
}

/// Numbers the streams of a capture: each new SSRC of a peer connection gets the next number.
#[derive(Debug, Default)]
pub struct StreamNumbers {
    next: u32,
}

impl StreamNumbers {
    /// Numbers from `next` on; lower ones were given by an earlier process.
    pub fn from(next: u32) -> Self {
        Self { next }
    }

    fn take(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }
}

/// A datagram that arrived.
pub struct Datagram<'b> {
    /// When it arrived.
    pub at: Instant,
    /// The protocol over which it arrived.
    pub protocol: Protocol,
    /// The server's address.
    pub from: SocketAddr,
    /// Our address.
    pub to: SocketAddr,
    /// Its bytes.
    pub bytes: &'b [u8],
}

/// What the peer connection yielded.
enum Found {
    /// An audio packet; there may be more.
    Sound,
    /// Something else; there may be more.
    Other,
    /// Nothing, until this moment.
    Nothing(Instant),
}

struct Incoming {
    number: u32,
    participant_sid: String,
    reported: Option<SystemTime>,
    /// str0m's own extended times jump 2^31 ahead when the first packet after a silence is a retransmission.
    times: RtpTimes,
}

/// One peer connection.
pub struct Peer {
    rtc: Rtc,
    offered: HashMap<u32, Offered>,
    incoming: HashMap<u32, Incoming>,
    channels: HashMap<ChannelId, String>,
    remote_ufrag: String,
    remote: HashSet<String>,
    /// The server's TCP candidates.
    pub tcp_candidates: Vec<SocketAddr>,
    /// The protocol over which audio last arrived, since ICE started or restarted.
    pub heard_over: Option<Protocol>,
    /// The last answer that we gave.
    pub answer: Option<proto::SessionDescription>,
    /// Whether media can flow.
    pub is_up: bool,
    /// When `is_up` last changed, or an attempt began.
    pub since: Instant,
    /// Since when what is sent can be decrypted (DTLS); it outlives restarts of ICE.
    secured: Option<Instant>,
    /// When audio was last offered that had not been offered before.
    offered_at: Instant,
    /// The latest moment given to the peer connection: its time never goes back.
    now: Instant,
    /// When lost packets are requested next.
    ask_at: Instant,
    /// Whether packets were requested since the last [`Peer::poll`]: what arrives in one go leads to one request, however old it
    /// is.
    has_asked: bool,
}

impl Peer {
    /// A peer connection that waits for an offer.
    pub fn new(now: Instant) -> Self {
        let mut rtc = Rtc::builder().clear_codecs().enable_opus(true, false).set_rtp_mode(true);
        rtc.set_max_stun_rto(TRY_PATH_EVERY);
        rtc.set_max_stun_retransmits(TRY_PATH);
        let rtc = rtc.build(now);
        Self {
            rtc,
            offered: HashMap::new(),
            incoming: HashMap::new(),
            channels: HashMap::new(),
            remote_ufrag: String::new(),
            remote: HashSet::new(),
            tcp_candidates: Vec::new(),
            heard_over: None,
            answer: None,
            is_up: false,
            since: now,
            secured: None,
            offered_at: now,
            now,
            ask_at: now,
            has_asked: false,
        }
    }

    /// Whether an offer restarts ICE (RFC 8839, section 4.4.1.1.1), as LiveKit's do after each resume.
    pub fn is_restart(&self, offer: &proto::SessionDescription) -> bool {
        !self.remote_ufrag.is_empty() && self.remote_ufrag != sdp::ice_ufrag(&offer.sdp)
    }

    /// Answers an offer.
    pub fn accept(
        &mut self,
        offer: &proto::SessionDescription,
        local: Option<Candidate>,
    ) -> Result<proto::SessionDescription, String> {
        let known = self.offered.len();
        self.offered.extend(sdp::audio_streams(&offer.sdp));
        if self.offered.len() > known {
            self.offered_at = self.now;
        }
        if let Some(candidate) = local {
            self.rtc.add_local_candidate(candidate);
        }
        let parsed = SdpOffer::from_sdp_string(&offer.sdp).map_err(|error| error.to_string())?;
        let answer = self.rtc.sdp_api().accept_offer(parsed).map_err(|error| error.to_string())?;
        if self.is_restart(offer) {
            // str0m dropped the server's candidates; they are sent again, most with the same text.
            self.remote.clear();
            self.tcp_candidates.clear();
            self.heard_over = None;
        }
        sdp::ice_ufrag(&offer.sdp).clone_into(&mut self.remote_ufrag);
        let answer = proto::SessionDescription {
            r#type: "answer".to_owned(),
            sdp: answer.to_sdp_string(),
            id: offer.id,
            ..Default::default()
        };
        self.answer = Some(answer.clone());
        Ok(answer)
    }

    /// str0m requests lost packets only where the offer has `rtcp-fb nack`; LiveKit's does not for Opus, yet LiveKit retransmits.
    fn ask_for_resending(&mut self, ask: bool) {
        let mut api = self.rtc.direct_api();
        for ssrc in self.incoming.keys() {
            if let Some(stream) = api.stream_rx(&Ssrc::from(*ssrc)) {
                stream.suppress_nack(!ask);
            }
            // Looking a stream up by section makes str0m notice. The setting itself needs the SSRC, as several streams may share a
            // section.
            if let Some(offered) = self.offered.get(ssrc) {
                api.stream_rx_by_mid(Mid::from(offered.mid.as_str()), None);
            }
        }
    }

    /// Adds one of the server's candidates (`RTCIceCandidateInit` as JSON).
    pub fn remote_candidate(&mut self, init: &str) {
        let init: serde_json::Value = serde_json::from_str(init).unwrap_or_default();
        let text = init["candidate"].as_str().unwrap_or_default();
        if !self.remote.insert(text.to_owned()) {
            return;
        }
        if let Ok(candidate) = Candidate::from_sdp_string(text) {
            if super::transport::is_passive_tcp(&candidate) {
                self.tcp_candidates.push(candidate.addr());
            }
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// Adds our end of a TCP connection.
    pub fn local_candidate(&mut self, candidate: Candidate) {
        self.rtc.add_local_candidate(candidate);
    }

    /// Drops our end of a TCP connection that is gone.
    pub fn drop_candidate(&mut self, candidate: &Candidate) {
        self.rtc.direct_api().invalidate_candidate(candidate);
    }

    /// Takes a packet that arrived. Returns whether the peer connection understood it. Its audio is passed on at once; anything
    /// else that results from it waits for [`Peer::poll`].
    pub fn receive(&mut self, packet: &Datagram<'_>, numbers: &mut StreamNumbers, outlet: &mut impl Outlet) -> bool {
        self.now = self.now.max(packet.at);
        let Ok(receive) = Receive::new(packet.protocol, packet.from, packet.to, packet.bytes) else { return false };
        let asks = self.now >= self.ask_at && !self.has_asked;
        if asks {
            self.has_asked = true;
            self.ask_at = self.now + ASK_EVERY;
            self.ask_for_resending(true);
        }
        let understood = self.rtc.handle_input(Input::Receive(self.now, receive)).is_ok();
        if asks {
            self.ask_for_resending(false);
        }
        if understood && self.take_sound(numbers, outlet) {
            self.heard_over = Some(packet.protocol);
        }
        understood
    }

    /// Passes on the audio packet that arrived, if it was one: str0m holds one, which is taken before the next one arrives.
    fn take_sound(&mut self, numbers: &mut StreamNumbers, outlet: &mut impl Outlet) -> bool {
        loop {
            match self.output(numbers, outlet) {
                Found::Sound => return true,
                Found::Other => {}
                Found::Nothing(_) => return false,
            }
        }
    }

    /// Advances the peer connection's time.
    pub fn timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let _ = self.rtc.handle_input(Input::Timeout(self.now));
    }

    /// Sends what is to be sent and passes on what arrived, until nothing is left; returns when to call it again.
    pub fn poll(&mut self, numbers: &mut StreamNumbers, outlet: &mut impl Outlet) -> Instant {
        loop {
            if let Found::Nothing(until) = self.output(numbers, outlet) {
                self.has_asked = false;
                return until;
            }
        }
    }

    fn output(&mut self, numbers: &mut StreamNumbers, outlet: &mut impl Outlet) -> Found {
        match self.rtc.poll_output() {
            Ok(Output::Timeout(until)) => return Found::Nothing(until),
            Ok(Output::Transmit(transmit)) => outlet.send(&transmit),
            Ok(Output::Event(Event::RtpPacket(packet))) => {
                self.rtp(&packet, numbers, outlet);
                return Found::Sound;
            }
            Ok(Output::Event(event)) => self.event(event, outlet),
            Err(error) => {
                tracing::debug!(%error, "a peer connection failed");
                return Found::Nothing(self.now + RETRY);
            }
        }
        Found::Other
    }

    fn event(&mut self, event: Event, outlet: &mut impl Outlet) {
        match event {
            Event::ChannelOpen(id, label) => {
                self.channels.insert(id, label);
            }
            Event::ChannelData(data) => outlet.happened(Happening::Data(self.now, data.data)),
            Event::Connected => self.secured = Some(self.now),
            Event::IceConnectionStateChange(state) => {
                self.is_up = state.is_connected();
                self.since = self.now;
            }
            _ => {}
        }
    }

    fn rtp(&mut self, packet: &RtpPacket, numbers: &mut StreamNumbers, outlet: &mut impl Outlet) {
        let ssrc = *packet.header.ssrc;
        if packet.payload.is_empty() {
            return;
        }
        let Some(offered) = self.offered.get(&ssrc) else { return };
        let mut is_new = false;
        let incoming = self.incoming.entry(ssrc).or_insert_with(|| {
            is_new = true;
            Incoming {
                number: numbers.take(),
                participant_sid: offered.participant_sid.clone(),
                reported: None,
                times: RtpTimes::new(packet.header.timestamp),
            }
        });
        let (number, at) = (incoming.number, packet.timestamp);
        let rtp = incoming.times.packet(packet.header.timestamp);
        let mut entry = |body| outlet.happened(Happening::Entry(at, &incoming.participant_sid, body));
        if is_new {
            entry(Body::Stream(stream(number, ssrc, offered)));
        }
        if let Some(report) = packet.last_sender_info
            && incoming.reported != Some(report.ntp_time)
        {
            incoming.reported = Some(report.ntp_time);
            let ntp = report.ntp_time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
            entry(Body::Report(Report {
                stream: number,
                rtp: incoming.times.extend(report.rtp_time.numer() as u32),
                ntp,
            }));
        }
        entry(Body::Packet(Packet {
            stream: number,
            sequence: *packet.seq_no,
            rtp,
            payload: Bytes::copy_from_slice(&packet.payload),
        }));
    }

    /// Whether audio has arrived.
    pub fn is_heard(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Since when all of these tracks would be heard, if somebody spoke: media can flow, and the server has offered them. `None` while
    /// they would not.
    pub fn hears_since<'t>(&self, mut tracks: impl Iterator<Item = &'t str>) -> Option<Instant> {
        let secured = self.secured.filter(|_| self.is_up)?;
        let is_offered = |track| self.offered.values().any(|offered| offered.track_sid == track);
        tracks.all(is_offered).then(|| self.since.max(secured).max(self.offered_at))
    }

    /// Closes our side of the connection.
    pub fn close(&mut self) {
        self.rtc.disconnect();
    }
}

fn stream(number: u32, ssrc: u32, offered: &Offered) -> Stream {
    Stream {
        stream: number,
        ssrc,
        track_sid: offered.track_sid.clone(),
        participant_sid: offered.participant_sid.clone(),
        kind: "audio".to_owned(),
        mime_type: "audio/opus".to_owned(),
        clock_rate: 48_000,
        fmtp: offered.fmtp.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use str0m::media::{Direction, MediaKind};

    fn offered(sdp: &str) -> proto::SessionDescription {
        proto::SessionDescription { r#type: "offer".to_owned(), sdp: sdp.to_owned(), ..Default::default() }
    }

    /// An offer, and the same one with other credentials, as from a server that restarts ICE.
    fn offers() -> [proto::SessionDescription; 2] {
        let mut server = Rtc::builder().clear_codecs().enable_opus(true, false).build(Instant::now());
        let mut api = server.sdp_api();
        api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        let sdp = api.apply().unwrap().0.to_sdp_string();
        let ufrag = sdp::ice_ufrag(&sdp).to_owned();
        [offered(&sdp), offered(&sdp.replace(&ufrag, "another"))]
    }

    #[test]
    fn a_candidate_of_the_same_text_counts_again_once_ice_is_restarted() {
        let candidate = r#"{"candidate":"candidate:1 1 tcp 1671430143 10.0.0.1 7881 typ host tcptype passive"}"#;
        let (mut peer, [first, restart]) = (Peer::new(Instant::now()), offers());
        assert!(!peer.is_restart(&first));
        peer.accept(&first, None).unwrap();
        for _ in 0..2 {
            peer.remote_candidate(candidate);
        }
        assert_eq!(std::mem::take(&mut peer.tcp_candidates).len(), 1);
        assert!(!peer.is_restart(&first) && peer.is_restart(&restart));
        peer.heard_over = Some(Protocol::Tcp);
        peer.accept(&restart, None).unwrap();
        assert!(!peer.is_restart(&restart) && peer.heard_over.is_none());
        peer.remote_candidate(candidate);
        assert_eq!(peer.tcp_candidates, ["10.0.0.1:7881".parse().unwrap()]);
    }
}
