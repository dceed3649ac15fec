//! The participants of a room: who is present, whose audio is wanted, and who is excluded.

use std::collections::{BTreeMap, HashMap, HashSet};

use livekit_protocol as proto;

use crate::log;

/// Who is not recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclusions {
    /// Identities.
    pub identities: HashSet<String>,
    /// LiveKit's kinds: `STANDARD`, `SIP`, ...
    pub kinds: HashSet<String>,
    /// Attributes, each with the value that excludes.
    pub attributes: BTreeMap<String, String>,
}

impl Exclusions {
    /// Whether a participant is excluded.
    pub fn covers<'a>(
        &self,
        identity: &str,
        kind: &str,
        attributes: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> bool {
        self.identities.contains(identity)
            || self.kinds.contains(kind)
            || attributes.into_iter().any(|(name, value)| self.attributes.get(name) == Some(value))
    }
}

/// A participant who is excluded from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    /// The identity. It is for finding what others have stored of them, and must not be logged.
    pub identity: String,
    /// Whether it is an agent.
    pub agent: bool,
    /// Whether they were recorded until now; if not, they may have been in the room, unrecorded, before we joined.
    pub was_recorded: bool,
}

/// What an update of participants changes for the recording.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Entries for the log.
    pub entries: Vec<log::Participant>,
    /// Tracks to subscribe to: participant id, track id.
    pub wanted: Vec<(String, String)>,
    /// Tracks of participants who are excluded from now on.
    pub unwanted: Vec<(String, String)>,
    /// Participants who are excluded from now on.
    pub excluded: Vec<Excluded>,
    /// Participants who are no longer excluded: participant id, identity.
    pub let_in: Vec<(String, String)>,
    /// The identity of a participant with an end-to-end encrypted track.
    pub encrypted: Option<String>,
}

/// The owner of a track.
#[derive(Debug)]
struct Owner {
    sid: String,
    identity: String,
    is_agent: bool,
}

/// The participants of a room.
#[derive(Debug, Default)]
pub struct People {
    exclusions: Exclusions,
    present: HashMap<String, proto::ParticipantInfo>,
    asked: HashSet<String>,
    excluded: HashSet<String>,
    /// The newest participant id of each identity, and the owner of each track, including those who have left: what they said may
    /// arrive later.
    newest: HashMap<String, String>,
    owners: HashMap<String, Owner>,
    seen_others: bool,
}

impl People {
    /// An empty room.
    pub fn new(exclusions: Exclusions) -> Self {
        Self { exclusions, ..Self::default() }
    }

    /// Resets subscriptions after a rejoin: nothing is subscribed, and departures meanwhile were not announced.
    pub fn reset(&mut self) {
        self.asked.clear();
    }

    /// Whether anybody other than recorders is or was in the room.
    pub fn seen_others(&self) -> bool {
        self.seen_others
    }

    /// How many participants there are now, without recorders.
    pub fn count(&self) -> usize {
        self.present.values().filter(|person| !is_recorder(person)).count()
    }

    /// Whether a participant is excluded, by LiveKit's participant id.
    pub fn is_excluded(&self, sid: &str) -> bool {
        self.excluded.contains(sid)
    }

    /// Whether a participant is excluded, by identity; for somebody who has left, whether they were when they left.
    pub fn is_identity_excluded(&self, identity: &str) -> bool {
        self.exclusions.identities.contains(identity)
            || self.newest.get(identity).is_some_and(|sid| self.excluded.contains(sid))
    }

    /// The identity for a participant id.
    pub fn identity(&self, sid: &str) -> Option<&str> {
        self.present.get(sid).map(|person| person.identity.as_str())
    }

    /// Whose line a text is, by identity: the owner's of the track that it transcribes, otherwise the sender's.
    pub fn speaker<'p>(&'p self, track_sid: Option<&str>, sender: &'p str) -> &'p str {
        self.owner(track_sid).map_or(sender, |owner| owner.identity.as_str())
    }

    /// Whether a text is a line of an excluded participant, or was sent by one.
    pub fn is_line_excluded(&self, track_sid: Option<&str>, sender: &str) -> bool {
        let is_owners = self.owner(track_sid).is_some_and(|owner| {
            // They may have come back under the same identity and be recorded now.
            self.excluded.contains(&owner.sid) || self.is_identity_excluded(&owner.identity)
        });
        is_owners || self.is_identity_excluded(sender)
    }

    /// Whether a text is an agent's own line.
    pub fn is_agents_line(&self, track_sid: Option<&str>, sender: &str) -> bool {
        self.owner(track_sid).map_or_else(
            || self.present.values().any(|person| person.identity == sender && is_agent(person)),
            |owner| owner.is_agent,
        )
    }

    fn owner(&self, track_sid: Option<&str>) -> Option<&Owner> {
        self.owners.get(track_sid?)
    }

    /// The tracks that we subscribed to.
    pub fn subscribed(&self) -> Vec<String> {
        self.asked.iter().cloned().collect()
    }

    /// The tracks of those present that we subscribed to and that are not muted.
    pub fn unmuted(&self) -> impl Iterator<Item = &str> {
        let tracks = self.present.values().flat_map(|person| &person.tracks);
        tracks.filter(|track| !track.muted && self.asked.contains(&track.sid)).map(|track| track.sid.as_str())
    }

    /// Excludes an identity from now on.
    pub fn exclude(&mut self, identity: &str) -> Changes {
        self.exclusions.identities.insert(identity.to_owned());
        let people: Vec<_> = self.present.values().filter(|person| person.identity == identity).cloned().collect();
        self.update(&people)
    }

    /// Applies what the server reports of participants: all of them after a join, later those who changed.
    pub fn update(&mut self, people: &[proto::ParticipantInfo]) -> Changes {
        let mut changes = Changes::default();
        for person in people.iter().filter(|person| !is_recorder(person)) {
            self.person(person, &mut changes);
        }
        changes
    }

    /// Applies the list of participants after a join or rejoin: whoever is not in it has left meanwhile.
    pub fn only(&mut self, people: &[proto::ParticipantInfo]) -> Changes {
        let here: HashSet<&str> = people.iter().map(|person| person.sid.as_str()).collect();
        let gone: Vec<_> =
            self.present.values().filter(|person| !here.contains(person.sid.as_str())).cloned().collect();
        let mut changes = Changes::default();
        for mut person in gone {
            person.state = proto::participant_info::State::Disconnected as i32;
            self.person(&person, &mut changes);
        }
        let present = self.update(people);
        changes.entries.extend(present.entries);
        changes.excluded.extend(present.excluded);
        changes.let_in.extend(present.let_in);
        Changes { wanted: present.wanted, unwanted: present.unwanted, encrypted: present.encrypted, ..changes }
    }

    fn person(&mut self, person: &proto::ParticipantInfo, changes: &mut Changes) {
        self.seen_others = true;
        let kind = person.kind().as_str_name();
        let gone = person.state() == proto::participant_info::State::Disconnected;
        let excluded = self.exclusions.covers(&person.identity, kind, &person.attributes)
            // An excluded participant stays excluded on leaving: only a change of attributes while present can include them again.
            || (self.excluded.contains(&person.sid) && gone);
        let was_excluded = self.is_identity_excluded(&person.identity);
        self.remember(person, gone);
        let tracks = person.tracks.iter().filter(|track| track.r#type() == proto::TrackType::Audio);
        for track in tracks {
            let key = (person.sid.clone(), track.sid.clone());
            if excluded {
                if self.asked.remove(&track.sid) {
                    changes.unwanted.push(key);
                }
            } else {
                if track.encryption != proto::encryption::Type::None as i32 {
                    changes.encrypted = Some(person.identity.clone());
                }
                if !gone && self.asked.insert(track.sid.clone()) {
                    changes.wanted.push(key);
                }
            }
        }
        if excluded {
            if self.excluded.insert(person.sid.clone()) {
                let was_recorded = self.present.contains_key(&person.sid);
                let identity = person.identity.clone();
                changes.excluded.push(Excluded { identity, agent: is_agent(person), was_recorded });
            }
        } else {
            self.excluded.remove(&person.sid);
            if was_excluded && !gone {
                changes.let_in.push((person.sid.clone(), person.identity.clone()));
            }
            changes.entries.push(entry(person, gone));
        }
        if gone {
            self.present.remove(&person.sid);
        } else {
            self.present.insert(person.sid.clone(), person.clone());
        }
    }

    fn remember(&mut self, person: &proto::ParticipantInfo, gone: bool) {
        for track in &person.tracks {
            let owner =
                Owner { sid: person.sid.clone(), identity: person.identity.clone(), is_agent: is_agent(person) };
            self.owners.insert(track.sid.clone(), owner);
        }
        let newest = self.newest.entry(person.identity.clone()).or_default();
        // A departure may be reported when the next participant with that identity is already here.
        if newest.is_empty() || !gone {
            newest.clone_from(&person.sid);
        }
    }
}

fn is_agent(person: &proto::ParticipantInfo) -> bool {
    person.kind() == proto::participant_info::Kind::Agent
}

#[allow(deprecated, reason = "LiveKit still sets it, and nothing else tells a recorder of an older server")]
fn is_recorder(person: &proto::ParticipantInfo) -> bool {
    person.kind() == proto::participant_info::Kind::Egress
        || person.permission.as_ref().is_some_and(|permission| permission.recorder || permission.hidden)
}

fn entry(person: &proto::ParticipantInfo, gone: bool) -> log::Participant {
    let track = |track: &proto::TrackInfo| log::Track {
        sid: track.sid.clone(),
        kind: track.r#type().as_str_name().to_owned(),
        source: track.source().as_str_name().to_owned(),
        muted: track.muted,
    };
    log::Participant {
        sid: person.sid.clone(),
        identity: person.identity.clone(),
        name: person.name.clone(),
        kind: person.kind().as_str_name().to_owned(),
        attributes: person.attributes.clone(),
        gone,
        tracks: person.tracks.iter().map(track).collect(),
    }
}

#[cfg(test)]
mod tests;
