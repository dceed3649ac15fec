//! The participant of an egress: hidden, a recorder, of the kind EGRESS, with the egress's id as identity; it subscribes to everybody's sound.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_livekit::token;
use echosphere_recorder::log::Body;
use echosphere_recorder::room::{self, Command, End, Listener, Order, Settings};
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::nanos;
use crate::keys::{KEY, SECRET};
use crate::session;

/// Longer than any test takes.
const FOREVER: Duration = Duration::from_secs(3_600);

/// A participant in a room. When it is dropped, it is gone without a word.
pub struct Presence {
    orders: mpsc::UnboundedSender<Order>,
    heard: watch::Receiver<bool>,
    has_heard: bool,
    task: JoinSet<End>,
}

/// What happens to a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It hears somebody.
    Heard,
    /// It is out of the room.
    Left,
}

struct Ears(watch::Sender<bool>);

impl Listener for Ears {
    fn wall(&self, at: Instant) -> i64 {
        nanos() - Instant::now().saturating_duration_since(at).as_nanos() as i64
    }

    fn entry(&mut self, _: Instant, body: Body) {
        if matches!(body, Body::Packet(_)) {
            self.0.send_replace(true);
        }
    }

    fn tick(&mut self, _: Instant) -> Option<Command> {
        None
    }
}

impl Presence {
    /// Joins a room.
    pub fn join(url: &str, room: &str, egress_id: &str) -> Self {
        let (room, identity) = (room.to_owned(), egress_id.to_owned());
        let make_token =
            move || token::mint_recorder(KEY, &SecretString::from(SECRET), &room, &identity, session::now(), 3_600);
        let settings = Settings {
            url: url.to_owned(),
            token: Arc::new(make_token),
            local: IpAddr::V4(Ipv4Addr::LOCALHOST),
            exclusions: room::people::Exclusions::default(),
            paused: false,
            first_stream: 0,
            expected_room: None,
            wait_for_people: FOREVER,
            give_up_after: Duration::from_secs(60),
            tcp_only: false,
        };
        let (sender, heard) = watch::channel(false);
        let (orders, inbox) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(async move { room::run(settings, inbox, &mut Ears(sender)).await });
        Self { orders, heard, has_heard: false, task }
    }

    /// Waits for what happens next: the first packet of sound, once; and the end.
    pub async fn next(&mut self) -> Happened {
        if !self.has_heard {
            tokio::select! {
                biased;
                heard = async { self.heard.wait_for(|heard| *heard).await.is_ok() } => if heard {
                    self.has_heard = true;
                    return Happened::Heard;
                },
                _ = self.task.join_next() => return Happened::Left,
            }
        }
        self.task.join_next().await;
        Happened::Left
    }

    /// Says goodbye, and waits until it is gone.
    pub async fn leave(mut self) {
        let _ = self.orders.send(Order::from(Command::Stop));
        self.task.join_next().await;
    }
}
