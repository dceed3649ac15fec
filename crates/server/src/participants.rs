//! Who was in a recorded room: the participants that the recorder saw, and those that only LiveKit's webhooks named, because they
//! had left before it joined or while it was away.
//!
//! A participant who is excluded from a recording is not listed because of a webhook either (`docs/decisions/0008-redaction.md`).

use std::sync::Arc;

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::name;
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{Participant, Recording};
use echosphere_domain::rule;
use echosphere_livekit::webhook::{Event, Person};
use echosphere_recorder::room::people::Exclusions;
use echosphere_store::{Error, Store};

use crate::clock::Clock;
use crate::config::Config;
use crate::names;
use crate::project_rules::ProjectRules;
use crate::recording_options::exclusions;

/// The most that the attributes and the kind of one participant may take, in bytes of names and values: what LiveKit allows for the
/// attributes by default (livekit-server, pkg/config, `max_attributes_size`).
const MOST_ATTRIBUTES: usize = 65_536;

/// The participants of recorded rooms.
#[derive(Clone)]
pub struct Participants {
    store: Arc<dyn Store>,
    config: Arc<Config>,
    rules: ProjectRules,
    clock: Clock,
}

impl Participants {
    /// Those that this store knows, without those that the configuration and the rules exclude.
    pub fn new(store: Arc<dyn Store>, config: Arc<Config>, rules: ProjectRules, clock: Clock) -> Self {
        Self { store, config, rules, clock }
    }

    /// Handles a webhook that names a participant.
    pub async fn named(&self, project: &ProjectId, event: &Event) -> Result<(), Error> {
        let (Some(person), false) = (&event.person, event.room_sid.is_empty()) else { return Ok(()) };
        let is_recordable = self.config.project(project).is_some_and(|project| project.recording);
        if !is_recordable || rule::excludes(self.rules.of(project), &event.room_name) {
            return Ok(());
        }
        let (now, known) = (self.clock.now(), participant(person));
        if exclusions(&RecordingOptions::default(), &self.config).covers(
            &known.identity,
            &known.kind,
            &known.attributes,
        ) {
            return self.store.leave_out(project, &event.room_sid, &known.identity, now).await;
        }
        if !fits(person) {
            tracing::warn!(identity = names::shown(&person.identity), "a participant is too large to be listed");
            return Ok(());
        }
        self.store.note_person(project, &event.room_sid, &known, now).await?;
        // A room that goes on gets its named participants with its next segment, and when it has ended.
        for recording in self.store.ended_recordings(project, &event.room_sid).await? {
            let people = self.with_named(project, recording, Some(&event.room_sid), Vec::new()).await?;
            self.store.add_participants(recording, &people).await?;
        }
        Ok(())
    }

    /// Adds those who were only named to a recording that got a revision.
    pub async fn complete(&self, recording: &Recording) -> Result<(), Error> {
        let sid = recording.room_sid.as_deref();
        let people = self.with_named(&recording.project, recording.id, sid, Vec::new()).await?;
        if people.is_empty() { Ok(()) } else { self.store.add_participants(recording.id, &people).await }
    }

    /// The participants that were seen in a recording's room, followed by those that were only named.
    pub async fn with_named(
        &self,
        project: &ProjectId,
        recording: RecordingId,
        room_sid: Option<&str>,
        seen: Vec<Participant>,
    ) -> Result<Vec<Participant>, Error> {
        let Some(sid) = room_sid else { return Ok(seen) };
        let mut named = self.store.people(project, sid).await?;
        named.retain(|person| !seen.iter().any(|known| known.identity == person.identity));
        if named.is_empty() {
            return Ok(seen);
        }
        let rules = self.exclusions_of(recording).await?;
        let mut all = seen;
        for person in named {
            if rules.iter().any(|rule| rule.covers(&person.identity, &person.kind, &person.attributes)) {
                self.store.leave_out(project, sid, &person.identity, self.clock.now()).await?;
            } else {
                all.push(person);
            }
        }
        Ok(all)
    }

    /// Who is excluded from a recording. What one recording of a room excludes is excluded from all of them.
    async fn exclusions_of(&self, recording: RecordingId) -> Result<Vec<Exclusions>, Error> {
        let mut by_name = exclusions(&RecordingOptions::default(), &self.config);
        by_name.identities.extend(self.store.excluded(recording).await?);
        let options = self.store.redactions(recording).await?.options;
        let of_options = options.iter().map(|options| exclusions(options, &self.config));
        Ok(of_options.chain([by_name]).collect())
    }
}

fn participant(person: &Person) -> Participant {
    let Person { identity, name, kind, attributes } = person.clone();
    Participant { identity, name: Some(name).filter(|name| !name.is_empty()), kind, attributes }
}

/// Whether a participant can be kept whole. From only some of the attributes it could not be decided whether they are excluded.
fn fits(person: &Person) -> bool {
    let texts = person.attributes.iter().flat_map(|(name, value)| [name, value]).chain([&person.kind]);
    let names = name::is_whole(&person.identity) && (person.name.is_empty() || name::is_whole(&person.name));
    names && texts.map(String::len).sum::<usize>() <= MOST_ATTRIBUTES
}
