//! Records a LiveKit room as a hidden participant who only listens.
//!
//! [`run`] joins, subscribes to every audio track, and passes each event to the [`Listener`] as an entry of the capture log, until
//! the room ends or it is stopped. It resumes after a broken signalling connection, rejoins after a lost transport, and
//! distinguishes a room that ended from a network that failed.

mod data;
mod messages;
mod peer;
pub mod people;
mod receive;
mod recovery;
mod sdp;
mod signal;
#[cfg(test)]
mod simulation;
mod spoken_time_gate;
mod tcp;
pub mod transport;
mod udp;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalEvent, SignalEvents};
use proto::signal_request::Message as Request;
use tokio::sync::{mpsc, oneshot};

use self::data::Filter;
use self::peer::{Peer, StreamNumbers};
use self::people::{Excluded, Exclusions, People};
pub use self::receive::next_moment;
use self::signal::Attempt;
pub use self::signal::MakeToken;
use self::spoken_time_gate::SpokenTimeGate;
use self::transport::Transport;
use crate::log::{Body, Pause, ended};

/// By itself neither side notices a dead path for more than 15 s: after this long without any packet, we act.
const SILENCE: Duration = Duration::from_secs(5);
/// How long media may take to flow after connecting.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(3);
/// A room that everybody has left is closed by the server (`departure_timeout`, 20 s by default); until then somebody may come
/// back. If the server does not close it, we leave after this long.
const ALONE: Duration = Duration::from_secs(180);
/// How often all this is checked.
const TICK: Duration = Duration::from_millis(250);

/// What is needed to join a room.
#[derive(Clone)]
pub struct Settings {
    /// LiveKit's URL: `ws://`, `wss://`, `http://` or `https://`.
    pub url: String,
    /// Makes a token for this room.
    pub token: MakeToken,
    /// Our address on the route to the server.
    pub local: IpAddr,
    /// Who is excluded.
    pub exclusions: Exclusions,
    /// Whether recording is paused from the start.
    pub paused: bool,
    /// The number of the first stream; lower ones are an earlier process's.
    pub first_stream: u32,
    /// The id of the room that an earlier process recorded. Another room with that name is not ours.
    pub expected_room: Option<String>,
    /// How long to wait for the first participant.
    pub wait_for_people: Duration,
    /// How long to try to get back into a room.
    pub give_up_after: Duration,
    /// Whether to use TCP only.
    pub tcp_only: bool,
}

/// A command to a room that is being recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Leave.
    Stop,
    /// Leave, but another process goes on: the capture does not end.
    HandOver,
    /// Pause recording.
    Pause,
    /// Resume recording.
    Resume,
    /// Exclude this identity from now on.
    Exclude(String),
}

/// A command on its way to a room, and who waits until the room has acted on it.
#[derive(Debug)]
pub struct Order {
    /// The command.
    pub command: Command,
    /// Told when the room has acted on it; dropped when the room was over before.
    pub acted: Option<oneshot::Sender<()>>,
}

impl Order {
    /// The room has acted on it.
    pub fn done(acted: Option<oneshot::Sender<()>>) {
        // Who waited for it may be gone.
        let _ = acted.map(|acted| acted.send(()));
    }
}

impl From<Command> for Order {
    fn from(command: Command) -> Self {
        Self { command, acted: None }
    }
}

/// Why recording a room ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was stopped.
    Stopped,
    /// Another process goes on.
    HandedOver,
    /// The room ended, or we were removed from it: LiveKit's reason.
    Room(String),
    /// The room ended while we were not connected: its last part was not recorded.
    Missed,
    /// Nobody ever came.
    Nobody,
    /// Somebody's track is end-to-end encrypted.
    Encrypted(String),
    /// The server rejects us, or could no longer be reached.
    Lost(String),
}

impl End {
    /// The word for it in the log.
    pub fn word(&self) -> &str {
        match self {
            Self::Stopped => ended::STOPPED,
            Self::HandedOver => "handed_over",
            Self::Room(_) => ended::ROOM_ENDED,
            Self::Missed => ended::MISSED,
            Self::Nobody => "nobody_came",
            Self::Encrypted(_) => "encrypted",
            Self::Lost(_) => "connection_lost",
        }
    }
}

/// Receives what happens in a room.
pub trait Listener: Send {
    /// The wall clock at a moment: nanoseconds since the Unix epoch.
    fn wall(&self, at: Instant) -> i64;

    /// An event happened at this moment.
    fn entry(&mut self, at: Instant, body: Body);

    /// Somebody is excluded from this moment on.
    fn excluded(&mut self, _at: Instant, _who: Excluded) {}

    /// Whether media can flow now, and whether over TCP.
    fn media(&mut self, _is_up: bool, _over_tcp: bool) {}

    /// An opportunity for longer work; called several times a second. Returns a command to the room, if there is one.
    fn tick(&mut self, now: Instant) -> Option<Command>;
}

enum Flow {
    Go,
    End(End),
    Resume(String),
    Rejoin(String),
}

struct Room<'l> {
    settings: Settings,
    listener: &'l mut dyn Listener,
    transport: Transport,
    /// Whether TCP is tried without waiting for UDP.
    prefers_tcp: bool,
    peer: Peer,
    numbers: StreamNumbers,
    people: People,
    filter: Filter,
    gate: SpokenTimeGate,
    ask: Vec<Request>,
    room_sid: String,
    paused: bool,
    /// Since when nobody is in the room, if nobody is.
    alone_since: Option<Instant>,
    last_packet: Instant,
    media_attempts: u32,
    lost_since: Option<Instant>,
    /// Set while the link is down: what arrives after this moment shows that it is back.
    link_lost: Option<Instant>,
    next_tick: Instant,
}

/// Records a room until it ends. Never fails: whatever goes wrong is an [`End`].
///
/// Boxed, and `dyn`, so that the code that each packet passes through is compiled in this crate and optimised as well as the rest
/// of it.
pub fn run(
    settings: Settings,
    orders: mpsc::UnboundedReceiver<Order>,
    listener: &mut dyn Listener,
) -> Pin<Box<dyn Future<Output = End> + Send + '_>> {
    Box::pin(record(settings, orders, listener))
}

async fn record(settings: Settings, mut orders: mpsc::UnboundedReceiver<Order>, listener: &mut dyn Listener) -> End {
    let transport = match Transport::open(settings.local, Instant::now()) {
        Ok(transport) => transport,
        Err(error) => return End::Lost(format!("no UDP socket: {error}")),
    };
    let (client, joined, events) = match signal::join(&settings.url, &(settings.token)()).await {
        Ok(joined) => joined,
        Err(error) => return End::Lost(error.to_string()),
    };
    let now = Instant::now();
    let mut room = Room {
        people: People::new(settings.exclusions.clone()),
        numbers: StreamNumbers::from(settings.first_stream),
        paused: settings.paused,
        prefers_tcp: settings.tcp_only,
        settings,
        listener,
        transport,
        peer: Peer::new(now),
        filter: Filter::default(),
        gate: SpokenTimeGate::default(),
        ask: Vec::new(),
        room_sid: String::new(),
        alone_since: None,
        last_packet: now,
        media_attempts: 0,
        lost_since: None,
        link_lost: None,
        next_tick: now,
    };
    let mut link = Signalling { client: Arc::new(client), events, is_gone: false, attempt: None, attempts: 0 };
    let mut flow = room.joined(&joined);
    let end = loop {
        match flow {
            Flow::Go => {}
            Flow::End(end) => break end,
            Flow::Resume(why) => room.resume(&mut link, &why),
            Flow::Rejoin(why) => room.rejoin(&mut link, &why).await,
        }
        flow = room.step(&mut link, &mut orders).await;
    };
    room.leave(&link, &end).await;
    end
}

/// The signalling connection of a room.
struct Signalling {
    client: Arc<SignalClient>,
    events: SignalEvents,
    /// Given up: it has no more events, and a new one is being made.
    is_gone: bool,
    attempt: Option<Attempt>,
    attempts: u32,
}

/// What a room was woken by.
enum Woken {
    Order(Order),
    Signal(Option<SignalEvent>),
    Back(Result<signal::Back, tokio::task::JoinError>),
    Tcp(transport::TcpPacket),
    Connected(tcp::Connected),
    Time,
}

impl Room<'_> {
    /// Waits for one event and handles it.
    async fn step(&mut self, link: &mut Signalling, orders: &mut mpsc::UnboundedReceiver<Order>) -> Flow {
        let deadline = self.poll();
        for request in std::mem::take(&mut self.ask) {
            link.client.send(request).await;
        }
        let wake = self.next_look(Instant::now());
        let woken = tokio::select! {
            biased;
            order = orders.recv() => Woken::Order(order.unwrap_or(Order::from(Command::HandOver))),
            event = link.events.recv(), if !link.is_gone => Woken::Signal(event),
            back = async { link.attempt.as_mut().expect("checked by the condition").await }, if link.attempt.is_some() => Woken::Back(back),
            Some(connected) = self.transport.connecting.join_next() => Woken::Connected(connected),
            Some(packet) = self.transport.tcp_packets.recv() => Woken::Tcp(packet),
            () = tokio::time::sleep_until(wake.into()) => Woken::Time,
        };
        if let Woken::Tcp(packet) = &woken {
            self.take_tcp(packet);
        }
        // What arrived before is handled in the state before: a pause does not reach back, nor does its end.
        self.hear();
        let now = Instant::now();
        if now >= deadline {
            self.peer.timeout(now);
        }
        match woken {
            Woken::Order(Order { command, acted }) => {
                let flow = self.command(command);
                Order::done(acted);
                flow
            }
            Woken::Signal(Some(SignalEvent::Message(message))) => self.message(link, *message).await,
            Woken::Signal(Some(SignalEvent::Close(_))) if link.attempt.is_some() => Flow::Go,
            Woken::Signal(Some(SignalEvent::Close(why))) => Flow::Resume(why.into_owned()),
            Woken::Signal(None) => Flow::Rejoin("the signalling connection is gone".to_owned()),
            Woken::Back(back) => {
                link.attempt = None;
                match back {
                    Ok(back) => self.back(link, back).await,
                    Err(error) => Flow::Rejoin(error.to_string()),
                }
            }
            Woken::Connected(connected) => self.connected(connected),
            Woken::Tcp(_) | Woken::Time if now < self.next_tick => Flow::Go,
            Woken::Tcp(_) | Woken::Time => {
                self.next_tick = now + TICK;
                self.look(link, now)
            }
        }
    }

    fn command(&mut self, command: Command) -> Flow {
        let now = Instant::now();
        match command {
            Command::Stop => return Flow::End(End::Stopped),
            Command::HandOver => return Flow::End(End::HandedOver),
            Command::Pause | Command::Resume => {
                let paused = command == Command::Pause;
                if paused != self.paused {
                    self.paused = paused;
                    if !paused {
                        self.filter.resumed(now);
                        self.gate.resumed(self.listener.wall(now));
                    }
                    self.listener.entry(now, Body::Pause(Pause { paused }));
                }
            }
            Command::Exclude(identity) => {
                let changes = self.people.exclude(&identity);
                return self.apply(changes, now);
            }
        }
        Flow::Go
    }

    /// Checks what we are not notified of: dead paths, empty rooms, the listener's own commands.
    fn look(&mut self, link: &Signalling, now: Instant) -> Flow {
        self.listener.media(self.peer.is_up, self.transport.has_tcp());
        if let Some(command) = self.listener.tick(now) {
            return self.command(command);
        }
        if let Some(since) = self.alone_since {
            let patience = if self.people.seen_others() { ALONE } else { self.settings.wait_for_people };
            if now.duration_since(since) > patience {
                let end = if self.people.seen_others() { End::Room("everybody left".to_owned()) } else { End::Nobody };
                return Flow::End(end);
            }
        }
        if link.attempt.is_some() || self.peer.answer.is_none() {
            return Flow::Go;
        }
        self.try_tcp(now);
        if self.peer.is_up && self.last_packet > self.peer.since + SILENCE {
            self.media_attempts = 0;
        }
        let Some(why) = self.failure(now) else { return Flow::Go };
        self.media_attempts += 1;
        if self.media_attempts.is_multiple_of(4) { Flow::Rejoin(why.to_owned()) } else { Flow::Resume(why.to_owned()) }
    }

    /// Why media is not flowing, if it is not.
    fn failure(&self, now: Instant) -> Option<&'static str> {
        if !self.peer.is_up {
            let is_stuck = now.duration_since(self.peer.since) > MEDIA_TIMEOUT;
            return is_stuck.then_some("media does not flow after 3 s");
        }
        if self.is_torn() {
            return Some("the TCP connection is gone");
        }
        (now.duration_since(self.last_packet) > SILENCE).then_some("no packet for 5 s")
    }

    async fn leave(&mut self, link: &Signalling, end: &End) {
        if let Some(attempt) = &link.attempt {
            attempt.abort();
        }
        self.hear();
        self.poll();
        self.look_at_link(Duration::ZERO);
        if !matches!(end, End::Room(_)) {
            let leave = proto::LeaveRequest {
                reason: proto::DisconnectReason::ClientInitiated as i32,
                action: proto::leave_request::Action::Disconnect as i32,
                ..Default::default()
            };
            link.client.send(Request::Leave(leave)).await;
        }
        let closed = tokio::time::timeout(Duration::from_secs(1), link.client.close()).await;
        if closed.is_err() {
            tracing::debug!(room = %self.room_sid, "the signalling connection did not close in time");
        }
        self.peer.close();
    }
}
