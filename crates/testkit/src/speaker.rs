//! Somebody with a microphone in a room, without libwebrtc: what the microphone gives are Opus packets, of any length.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalEvent, SignalEvents, SignalOptions};
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// The most bytes of a datagram.
pub const DATAGRAM: usize = 2_048;

/// The connection over which somebody joined.
pub struct Signalling(SignalClient);

impl Signalling {
    /// Says goodbye.
    pub async fn hang_up(self) {
        let leave =
            proto::LeaveRequest { reason: proto::DisconnectReason::ClientInitiated as i32, ..Default::default() };
        self.0.send(Request::Leave(leave)).await;
        self.0.close().await;
    }
}

/// What sends the packets. It does nothing by itself: [`Speaker::go_on`] has to be called all the time.
pub struct Speaker {
    rtc: Rtc,
    mid: Mid,
    socket: UdpSocket,
    local: SocketAddr,
    is_up: bool,
    deadline: Instant,
}

/// Joins a room of the LiveKit server with this URL, and offers it a microphone. [`echosphere_recorder::wire::Wire`] has to be installed. Who may
/// subscribe, by their token, is sent away after a minute: LiveKit waits for the connection over which they would hear.
pub async fn join(url: &str, token: &str) -> (Signalling, Speaker) {
    let mut options = SignalOptions::default();
    options.auto_subscribe = false;
    options.single_peer_connection = false;
    options.protocol_version = 16;
    options.client_capabilities = Vec::new();
    options.region_failover = false;
    let (link, _, mut events) = SignalClient::connect(url, token, options, None).await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let local = socket.local_addr().unwrap();
    let mut rtc = Rtc::builder().clear_codecs().enable_opus(true, false).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
    #[allow(deprecated, reason = "what takes its place is not read by the server of these tests")]
    let track = proto::AddTrackRequest {
        cid: "mic".to_owned(),
        name: "mic".to_owned(),
        r#type: proto::TrackType::Audio as i32,
        source: proto::TrackSource::Microphone as i32,
        disable_red: true,
        disable_dtx: true,
        ..Default::default()
    };
    link.send(Request::AddTrack(track)).await;
    let mut api = rtc.sdp_api();
    let mid =
        api.add_media(MediaKind::Audio, Direction::SendOnly, Some("stream".to_owned()), Some("mic".to_owned()), None);
    let (offer, pending) = api.apply().unwrap();
    negotiate(&link, &mut events, &mut rtc, offer.to_sdp_string(), pending).await;
    // Later messages are not needed, but something has to receive them.
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    let speaker = Speaker { rtc, mid, socket, local, is_up: false, deadline: Instant::now() };
    (Signalling(link), speaker)
}

async fn negotiate(
    link: &SignalClient,
    events: &mut SignalEvents,
    rtc: &mut Rtc,
    offer: String,
    pending: SdpPendingOffer,
) {
    let mut offer = Some(offer);
    let mut pending = Some(pending);
    let (mut answered, mut has_candidate) = (false, false);
    while !(answered && has_candidate) {
        let Some(SignalEvent::Message(message)) = events.recv().await else { panic!("the server hung up") };
        match *message {
            Response::TrackPublished(_) => {
                if let Some(sdp) = offer.take() {
                    let description =
                        proto::SessionDescription { r#type: "offer".to_owned(), sdp, id: 1, ..Default::default() };
                    link.send(Request::Offer(description)).await;
                }
            }
            Response::Answer(answer) => {
                let parsed = SdpAnswer::from_sdp_string(&answer.sdp).unwrap();
                rtc.sdp_api().accept_answer(pending.take().unwrap(), parsed).unwrap();
                answered = true;
            }
            Response::Trickle(trickle) if trickle.target() == proto::SignalTarget::Publisher => {
                let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init).unwrap();
                let candidate = Candidate::from_sdp_string(init["candidate"].as_str().unwrap_or_default());
                if let Ok(candidate) = candidate {
                    has_candidate |= candidate.proto() == Protocol::Udp;
                    rtc.add_remote_candidate(candidate);
                }
            }
            Response::Leave(leave) => panic!("the server sends us away: {}", leave.reason().as_str_name()),
            _ => {}
        }
    }
}

impl Speaker {
    /// Whether the server can hear what is said.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Takes what has come, and does what is due. `buffer` has room for a [`DATAGRAM`].
    pub fn go_on(&mut self, buffer: &mut [u8]) {
        while let Ok((length, from)) = self.socket.recv_from(buffer) {
            if let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, &buffer[..length]) {
                self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                self.send();
            }
        }
        self.let_time_pass();
    }

    /// Sends a packet, with this time in ticks of 48 kHz, which was spoken at `spoken`.
    pub fn say(&mut self, packet: &[u8], ticks: u64, spoken: Instant) {
        let writer = self.rtc.writer(self.mid).unwrap();
        let payload = writer.payload_params().next().unwrap().pt();
        writer.write(payload, spoken, MediaTime::new(ticks, Frequency::FORTY_EIGHT_KHZ), packet).unwrap();
        self.send();
        // It is made when time passes.
        self.let_time_pass();
    }

    fn let_time_pass(&mut self) {
        let now = Instant::now();
        if now >= self.deadline {
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
            self.send();
        }
    }

    fn send(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(until) => {
                    self.deadline = until;
                    return;
                }
                Output::Transmit(transmit) => {
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::Connected) => self.is_up = true,
                Output::Event(_) => {}
            }
        }
    }
}
