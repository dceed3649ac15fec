//! Who is in the room, whose sound we want, and who is left out.

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
    /// Attributes with one of these values.
    pub attributes: BTreeMap<String, String>,
}

impl Exclusions {
    /// Whether a participant is left out.
    pub fn covers(&self, identity: &str, kind: &str, attributes: &HashMap<String, String>) -> bool {
        self.identities.contains(identity)
            || self.kinds.contains(kind)
            || self.attributes.iter().any(|(name, value)| attributes.get(name) == Some(value))
    }
}

/// Somebody is left out from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// Whether it is an agent.
    pub agent: bool,
    /// Whether it was recorded until now; else it may have been in the room, unrecorded, before we were.
    pub was_recorded: bool,
}

/// What an update of participants changes for us.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Entries for the log.
    pub entries: Vec<log::Participant>,
    /// Tracks to subscribe to: participant id, track id.
    pub wanted: Vec<(String, String)>,
    /// Tracks of people who are left out from now on.
    pub unwanted: Vec<(String, String)>,
    /// Those who are left out from now on.
    pub left_out: Vec<LeftOut>,
    /// A track that is end-to-end encrypted: its owner's identity.
    pub encrypted: Option<String>,
}

/// The people in a room.
#[derive(Debug, Default)]
pub struct People {
    exclusions: Exclusions,
    present: HashMap<String, proto::ParticipantInfo>,
    asked: HashSet<String>,
    excluded: HashSet<String>,
    seen_others: bool,
}

impl People {
    /// An empty room.
    pub fn new(exclusions: Exclusions) -> Self {
        Self { exclusions, ..Self::default() }
    }

    /// Connected anew: nothing is subscribed, and those who are gone were not announced.
    pub fn reset(&mut self) {
        self.asked.clear();
    }

    /// Whether anybody but recorders is or was here.
    pub fn seen_others(&self) -> bool {
        self.seen_others
    }

    /// How many there are now, recorders apart.
    pub fn count(&self) -> usize {
        self.present.values().filter(|person| !is_recorder(person)).count()
    }

    /// Whether a participant is left out, by LiveKit's participant id.
    pub fn is_excluded(&self, sid: &str) -> bool {
        self.excluded.contains(sid)
    }

    /// Whether a participant is left out, by identity.
    pub fn is_identity_excluded(&self, identity: &str) -> bool {
        self.exclusions.identities.contains(identity)
            || self.present.values().any(|person| person.identity == identity && self.excluded.contains(&person.sid))
    }

    /// The identity behind a participant id.
    pub fn identity(&self, sid: &str) -> Option<&str> {
        self.present.get(sid).map(|person| person.identity.as_str())
    }

    /// Whether a text is an agent's own line: of the owner of the track that it tells of, else of whoever sent it.
    pub fn is_agents_line(&self, track_sid: Option<&str>, sender: &str) -> bool {
        let owns = |person: &&proto::ParticipantInfo| {
            person.tracks.iter().any(|track| track_sid.is_some_and(|sid| track.sid == sid))
        };
        let owner = self.present.values().find(owns);
        let speaker = owner.or_else(|| self.present.values().find(|person| person.identity == sender));
        speaker.is_some_and(|person| person.kind() == proto::participant_info::Kind::Agent)
    }

    /// The tracks that we subscribed to.
    pub fn subscribed(&self) -> Vec<String> {
        self.asked.iter().cloned().collect()
    }

    /// Leaves somebody out from now on.
    pub fn exclude(&mut self, identity: &str) -> Changes {
        self.exclusions.identities.insert(identity.to_owned());
        let people: Vec<_> = self.present.values().filter(|person| person.identity == identity).cloned().collect();
        self.update(&people)
    }

    /// Takes what the server says of participants: all of them after a join, those who changed later.
    pub fn update(&mut self, people: &[proto::ParticipantInfo]) -> Changes {
        let mut changes = Changes::default();
        for person in people.iter().filter(|person| !is_recorder(person)) {
            self.person(person, &mut changes);
        }
        changes
    }

    /// After connecting anew: who is not in the list has left meanwhile.
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
        changes.left_out.extend(present.left_out);
        Changes { wanted: present.wanted, unwanted: present.unwanted, encrypted: present.encrypted, ..changes }
    }

    fn person(&mut self, person: &proto::ParticipantInfo, changes: &mut Changes) {
        self.seen_others = true;
        let kind = person.kind().as_str_name();
        let gone = person.state() == proto::participant_info::State::Disconnected;
        let excluded = self.exclusions.covers(&person.identity, kind, &person.attributes)
            // Whoever asked not to be recorded stays left out, until asked otherwise by a change of attributes.
            || (self.excluded.contains(&person.sid) && gone);
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
                let agent = person.kind() == proto::participant_info::Kind::Agent;
                let was_recorded = self.present.contains_key(&person.sid);
                changes.left_out.push(LeftOut { agent, was_recorded });
            }
        } else {
            self.excluded.remove(&person.sid);
            changes.entries.push(entry(person, gone));
        }
        if gone {
            self.present.remove(&person.sid);
        } else {
            self.present.insert(person.sid.clone(), person.clone());
        }
    }
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
mod tests {
    use super::*;

    fn person(identity: &str, tracks: &[(&str, i32)]) -> proto::ParticipantInfo {
        let track = |(sid, encryption): &(&str, i32)| proto::TrackInfo {
            sid: (*sid).to_owned(),
            r#type: proto::TrackType::Audio as i32,
            encryption: *encryption,
            ..Default::default()
        };
        proto::ParticipantInfo {
            sid: format!("PA_{identity}"),
            identity: identity.to_owned(),
            tracks: tracks.iter().map(track).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn audio_is_asked_for_once_and_of_nobody_who_is_left_out() {
        let exclusions = Exclusions {
            attributes: BTreeMap::from([("echosphere.record".to_owned(), "false".to_owned())]),
            ..Exclusions::default()
        };
        let mut people = People::new(exclusions);
        let mut shy = person("shy", &[("TR_s", 0)]);
        shy.attributes.insert("echosphere.record".to_owned(), "false".to_owned());
        let changes = people.update(&[person("a", &[("TR_a", 0)]), shy]);
        assert_eq!(changes.wanted, [("PA_a".to_owned(), "TR_a".to_owned())]);
        assert_eq!(changes.entries.len(), 1, "not even the name of somebody who is left out is kept");
        assert_eq!(changes.left_out, [LeftOut { agent: false, was_recorded: false }]);
        assert!(people.is_excluded("PA_shy") && people.is_identity_excluded("shy"));
        assert_eq!(people.update(&[person("a", &[("TR_a", 0)])]).wanted, []);
        let changes = people.exclude("a");
        assert_eq!(changes.unwanted, [("PA_a".to_owned(), "TR_a".to_owned())]);
        assert_eq!(changes.left_out, [LeftOut { agent: false, was_recorded: true }]);
        assert!(people.is_excluded("PA_a"));
        assert_eq!(people.exclude("a").left_out, [], "it is told once");
    }

    #[test]
    fn encryption_is_noticed_and_those_who_left_while_we_were_away_are_gone() {
        let mut people = People::new(Exclusions::default());
        people.update(&[person("a", &[]), person("b", &[])]);
        let changes = people.only(&[person("b", &[("TR_b", 1)])]);
        assert_eq!(changes.encrypted.as_deref(), Some("b"));
        assert!(changes.entries.iter().any(|entry| entry.identity == "a" && entry.gone));
        assert_eq!(people.count(), 1);
    }
}
