//! Reconnects to a room: resumes an interrupted session, or rejoins when nothing is left to resume.

use std::sync::Arc;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use livekit_signaling::SignalError;
use proto::signal_request::Message as Request;

use super::peer::Peer;
use super::signal::{self, Back};
use super::{End, Flow, Room, Signalling};
use crate::log::{Body, Link};

/// Resuming is not attempted for longer than this.
const RESUME_FOR: Duration = Duration::from_secs(12);
/// If media could flow for this long and no audio arrived, nobody is sending any.
pub(super) const SPEECHLESS: Duration = Duration::from_secs(1);
/// A track that is not offered for this long after media can flow never will be: LiveKit may refuse us some.
const NOT_OFFERED: Duration = Duration::from_secs(10);

impl Room<'_> {
    fn lost(&mut self, why: &str) {
        let now = Instant::now();
        self.lost_since.get_or_insert(now);
        tracing::info!(room = %self.room_sid, why, "the connection to the room is lost");
        if self.link_lost.is_none() && now.duration_since(self.last_packet) > Duration::from_secs(1) {
            self.link_down(why);
        }
    }

    fn link_down(&mut self, why: &str) {
        let now = Instant::now();
        self.link_lost = Some(now);
        let link = Link { up: false, since: self.listener.wall(self.last_packet), reason: why.to_owned() };
        self.listener.entry(now, Body::Link(link));
    }

    /// Notices when what is spoken reaches us again: audio arrives, or media could flow for `speechless` and nobody sends any.
    pub(super) fn look_at_link(&mut self, speechless: Duration) {
        let is_waited_for = self.link_lost.is_some_and(|lost| self.last_packet > lost);
        if !is_waited_for || !self.peer.is_up {
            return;
        }
        let since = if self.peer.is_heard() {
            self.last_packet
        } else {
            match self.peer.hears_since(self.people.unmuted()) {
                Some(since) if self.last_packet >= since + speechless => since,
                None if self.last_packet >= self.peer.since + NOT_OFFERED => self.last_packet,
                _ => return,
            }
        };
        self.link_lost = None;
        let link = Link { up: true, since: self.listener.wall(since), reason: String::new() };
        self.listener.entry(self.last_packet, Body::Link(link));
    }

    /// The room is connected again: only what arrives from now on shows that audio is, too.
    fn listens_again(&mut self, now: Instant) {
        self.lost_since = None;
        self.last_packet = now;
        self.link_lost = self.link_lost.map(|_| now);
    }

    pub(super) fn resume(&mut self, link: &mut Signalling, why: &str) {
        self.lost(why);
        let now = Instant::now();
        self.peer.since = now;
        self.peer.is_up = false;
        if link.attempt.is_none() {
            link.attempts = 0;
            link.attempt = Some(signal::resume(Arc::clone(&link.client), 0));
        }
    }

    pub(super) async fn rejoin(&mut self, link: &mut Signalling, why: &str) {
        self.lost(why);
        if self.link_lost.is_none() {
            self.link_down(why);
        }
        link.client.close().await;
        link.is_gone = true;
        link.attempt = Some(signal::rejoin(self.settings.url.clone(), Arc::clone(&self.settings.token), link.attempts));
    }

    pub(super) async fn back(&mut self, link: &mut Signalling, back: Back) -> Flow {
        let now = Instant::now();
        match back {
            Back::Resumed => {
                link.client.send(Request::SyncState(self.sync_state())).await;
                link.client.set_reconnected().await;
                self.filter.reconnected(self.lost_since.unwrap_or(now), now);
                self.listens_again(now);
                self.peer.since = now;
                Flow::Go
            }
            Back::Rejoined(joined) => {
                let (client, join, events) = *joined;
                *link = Signalling { client: Arc::new(client), events, is_gone: false, attempt: None, attempts: 0 };
                self.listens_again(now);
                self.leave_tcp();
                self.peer = Peer::new(now);
                self.gate.reset();
                self.filter.sequences.clear();
                self.joined(&join)
            }
            Back::Failed(error) => self.failed(link, error),
        }
    }

    fn failed(&mut self, link: &mut Signalling, error: SignalError) -> Flow {
        let lost_for = self.lost_since.map_or(Duration::ZERO, |since| since.elapsed());
        tracing::debug!(room = %self.room_sid, %error, "not back yet");
        if let SignalError::LeaveRequest { action: proto::leave_request::Action::Disconnect, reason } = error
            && reason != proto::DisconnectReason::StateMismatch
        {
            return Flow::End(End::Room(reason.as_str_name().to_owned()));
        }
        if lost_for > self.settings.give_up_after {
            return Flow::End(End::Lost(error.to_string()));
        }
        link.attempts += 1;
        let cannot_resume = matches!(error, SignalError::LeaveRequest { .. } | SignalError::Client(..));
        if cannot_resume || lost_for > RESUME_FOR || self.link_lost.is_some() && link.attempts > 3 {
            return Flow::Rejoin(error.to_string());
        }
        link.attempt = Some(signal::resume(Arc::clone(&link.client), link.attempts));
        Flow::Go
    }

    fn sync_state(&self) -> proto::SyncState {
        let states = self.filter.sequences.iter().map(|(publisher, last)| proto::DataChannelReceiveState {
            publisher_sid: publisher.clone(),
            last_seq: *last,
        });
        proto::SyncState {
            answer: self.peer.answer.clone(),
            subscription: Some(proto::UpdateSubscription {
                subscribe: true,
                track_sids: self.people.subscribed(),
                ..Default::default()
            }),
            datachannel_receive_states: states.collect(),
            ..Default::default()
        }
    }
}
