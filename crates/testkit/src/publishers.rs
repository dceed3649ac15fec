//! A load generator: many speakers without libwebrtc, as cheap as possible, so that one machine carries many rooms of them next to
//! what is measured. One thread sends for all of them, a packet each every 20 ms.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use echosphere_recorder::wire::Wire;
use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalEvent, SignalEvents, SignalOptions};
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::runtime::Runtime;

/// The time between two packets.
const FRAME: Duration = Duration::from_millis(20);
/// RTP ticks per packet.
const TICKS: u64 = 960;

/// Makes a token for a room and an identity.
pub type MakeToken = fn(room: &str, identity: &str) -> String;

/// Who is to talk, and where.
pub struct Plan {
    /// LiveKit's URL.
    pub url: String,
    /// Makes tokens.
    pub token: MakeToken,
    /// The rooms' names.
    pub rooms: Vec<String>,
    /// How many talk in each.
    pub per_room: usize,
    /// What they say: Opus packets of 20 ms, repeated; each speaker begins at another one.
    pub frames: Arc<Vec<Vec<u8>>>,
}

/// Speakers who talk until they are stopped.
pub struct Publishers {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
    runtime: Runtime,
    links: Vec<SignalClient>,
    per_room: usize,
}

impl Publishers {
    /// Connects everybody, one after another, and lets them talk.
    pub fn start(plan: &Plan) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Wire::new(None).unwrap().install();
        let (mut links, mut people) = (Vec::new(), Vec::new());
        for room in &plan.rooms {
            for number in 0..plan.per_room {
                let offset = people.len() * 37;
                let token = (plan.token)(room, &format!("speaker-{number}"));
                let (link, person) = runtime.block_on(connect(&plan.url, &token, Arc::clone(&plan.frames), offset));
                links.push(link);
                people.push(person);
            }
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stopping);
        let thread = thread::Builder::new().name("publishers".to_owned()).spawn(move || talk(people, &theirs)).unwrap();
        Self { stopping, thread, runtime, links, per_room: plan.per_room }
    }

    /// Lets everybody hang up; returns how many packets were sent into each room.
    pub fn stop(self) -> Vec<u64> {
        self.stopping.store(true, Ordering::Relaxed);
        let sent = self.thread.join().unwrap();
        // What is in transit arrives before they are gone.
        thread::sleep(Duration::from_millis(300));
        self.runtime.block_on(async {
            for link in self.links {
                let leave = proto::LeaveRequest {
                    reason: proto::DisconnectReason::ClientInitiated as i32,
                    ..Default::default()
                };
                link.send(Request::Leave(leave)).await;
                link.close().await;
            }
        });
        sent.chunks(self.per_room).map(|room| room.iter().sum()).collect()
    }
}

struct Person {
    rtc: Rtc,
    mid: Mid,
    socket: UdpSocket,
    local: SocketAddr,
    frames: Arc<Vec<Vec<u8>>>,
    offset: usize,
    sent: u64,
    is_up: bool,
    deadline: Instant,
}

async fn connect(url: &str, token: &str, frames: Arc<Vec<Vec<u8>>>, offset: usize) -> (SignalClient, Person) {
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
    let deadline = Instant::now();
    (link, Person { rtc, mid, socket, local, frames, offset, sent: 0, is_up: false, deadline })
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

fn talk(mut people: Vec<Person>, stopping: &AtomicBool) -> Vec<u64> {
    let began = Instant::now();
    let mut buffer = [0; 2_048];
    for tick in 1_u32.. {
        if stopping.load(Ordering::Relaxed) {
            break;
        }
        for person in &mut people {
            person.tick(&mut buffer);
        }
        thread::sleep((began + FRAME * tick).saturating_duration_since(Instant::now()));
    }
    people.iter().map(|person| person.sent).collect()
}

impl Person {
    fn tick(&mut self, buffer: &mut [u8]) {
        while let Ok((length, from)) = self.socket.recv_from(buffer) {
            if let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, &buffer[..length]) {
                self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                self.poll();
            }
        }
        let now = Instant::now();
        if now >= self.deadline {
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
        }
        if self.is_up {
            let writer = self.rtc.writer(self.mid).unwrap();
            let payload = writer.payload_params().next().unwrap().pt();
            let time = MediaTime::new(self.sent * TICKS, Frequency::FORTY_EIGHT_KHZ);
            let frame = &self.frames[(self.sent as usize + self.offset) % self.frames.len()];
            writer.write(payload, now, time, frame.clone()).unwrap();
            self.sent += 1;
        }
        self.poll();
    }

    fn poll(&mut self) {
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
