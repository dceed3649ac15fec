//! Handles what the server says over the signalling connection: who is in the room, offers, speakers, and that we are to leave.

use std::time::Instant;

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::people::Changes;
use super::{End, Flow, Room, Signalling};
use crate::log::{Body, Joined, Pause, Speaker, Speakers};

impl Room<'_> {
    pub(super) fn joined(&mut self, join: &proto::JoinResponse) -> Flow {
        let now = Instant::now();
        let room = join.room.clone().unwrap_or_default();
        let again = !self.room_sid.is_empty();
        let ours = if again { Some(self.room_sid.as_str()) } else { self.settings.expected_room.as_deref() };
        if ours.is_some_and(|sid| sid != room.sid) {
            // Ours has ended; joining created or found another one with that name.
            return Flow::End(End::Missed);
        }
        let resumed = self.settings.expected_room.is_some() && !again;
        if resumed {
            self.link_lost = Some(now);
        }
        self.room_sid.clone_from(&room.sid);
        self.listener.entry(now, Body::Joined(Joined { room_sid: room.sid, room_name: room.name, resumed }));
        // Whether an earlier process was paused is one thing, whether we are is another.
        if !again && (resumed || self.settings.paused) {
            self.listener.entry(now, Body::Pause(Pause { paused: self.settings.paused }));
        }
        self.people.reset();
        let changes = self.people.only(&join.other_participants);
        self.apply(changes, now)
    }

    /// Logs the changes of participants, and requests the wanted subscriptions.
    pub(super) fn apply(&mut self, changes: Changes, now: Instant) -> Flow {
        for entry in changes.entries {
            self.listener.entry(now, Body::Participant(entry));
        }
        for who in changes.excluded {
            self.listener.excluded(now, who);
        }
        for (participant_sid, identity) in changes.let_in {
            self.gate.let_in(&participant_sid, self.listener.wall(now));
            self.filter.let_in(&identity, now);
        }
        for (subscribe, tracks) in [(true, changes.wanted), (false, changes.unwanted)] {
            for (participant_sid, track) in tracks {
                self.ask.push(Request::Subscription(proto::UpdateSubscription {
                    subscribe,
                    participant_tracks: vec![proto::ParticipantTracks { participant_sid, track_sids: vec![track] }],
                    ..Default::default()
                }));
            }
        }
        self.alone_since = if self.people.count() == 0 { self.alone_since.or(Some(now)) } else { None };
        changes.encrypted.map_or(Flow::Go, |identity| Flow::End(End::Encrypted(identity)))
    }

    pub(super) async fn message(&mut self, link: &Signalling, message: Response) -> Flow {
        let now = Instant::now();
        match message {
            Response::Offer(offer) => self.offer(link, &offer).await,
            Response::Trickle(trickle) if trickle.target() == proto::SignalTarget::Subscriber => {
                self.peer.remote_candidate(&trickle.candidate_init);
                self.try_tcp(now);
            }
            Response::Update(update) => {
                let changes = self.people.update(&update.participants);
                return self.apply(changes, now);
            }
            Response::SpeakersChanged(changed) => self.speakers(&changed.speakers, now),
            Response::Leave(leave) => {
                let reason = leave.reason().as_str_name().to_owned();
                return match leave.action() {
                    proto::leave_request::Action::Disconnect => Flow::End(End::Room(reason)),
                    proto::leave_request::Action::Resume => Flow::Resume(reason),
                    proto::leave_request::Action::Reconnect => Flow::Rejoin(reason),
                };
            }
            _ => {}
        }
        Flow::Go
    }

    async fn offer(&mut self, link: &Signalling, offer: &proto::SessionDescription) {
        if self.peer.is_restart(offer) {
            self.leave_tcp();
        }
        let local = if self.settings.tcp_only { None } else { self.transport.candidate() };
        match self.peer.accept(offer, local) {
            Ok(answer) => link.client.send(Request::Answer(answer)).await,
            Err(error) => tracing::warn!(room = %self.room_sid, %error, "the server's offer cannot be answered"),
        }
    }

    fn speakers(&mut self, changed: &[proto::SpeakerInfo], now: Instant) {
        let kept = changed.iter().filter(|speaker| !self.paused && !self.people.is_excluded(&speaker.sid));
        let speakers: Vec<Speaker> = kept
            .map(|speaker| Speaker {
                participant_sid: speaker.sid.clone(),
                level: speaker.level,
                active: speaker.active,
            })
            .collect();
        if !speakers.is_empty() {
            self.listener.entry(now, Body::Speakers(Speakers { speakers }));
        }
    }
}
