//! Who was in a recorded room: those whom our recorder saw there, and those whom only LiveKit's webhooks named, because they had left
//! before it came or while it was away.
//!
//! Somebody who is left out of a recording is not known through this door either (`docs/decisions/0008-redaction.md`).

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::name;
use echosphere_domain::recording::{Participant, Recording};
use echosphere_livekit::webhook::{Event, Person};
use echosphere_recorder::room::people::Exclusions;
use echosphere_store::Error;

use crate::app::App;
use crate::config::Config;
use crate::live::{Told, exclusions};
use crate::{clock, names};

/// The most that attributes of one person may take, in bytes of names and values: what LiveKit allows by default (livekit-server,
/// pkg/config, `max_attributes_size`).
const MOST_ATTRIBUTES: usize = 65_536;

/// A webhook names somebody.
pub async fn told(app: &App, project: &ProjectId, event: &Event) -> Result<(), Error> {
    let (Some(person), false) = (&event.person, event.room_sid.is_empty()) else { return Ok(()) };
    if !is_recordable(&app.config, project, &event.room_name) {
        return Ok(());
    }
    let (now, known) = (clock::now(), participant(person));
    if exclusions(&app.config, &Told::default()).covers(&known.identity, &known.kind, &known.attributes) {
        return app.store.leave_out(project, &event.room_sid, &known.identity, now).await;
    }
    if !fits(person) {
        tracing::warn!(identity = names::shown(&person.identity), "a participant is too large to be listed");
        return Ok(());
    }
    app.store.note_person(project, &event.room_sid, &known, now).await?;
    // Those of a room that goes on are asked for when its next segment is kept, and when it has ended.
    for recording in app.store.ended_recordings(project, &event.room_sid).await? {
        let people = with_told(app, project, recording, Some(&event.room_sid), Vec::new()).await?;
        app.store.add_participants(recording, &people).await?;
    }
    Ok(())
}

/// A recording got a revision: who was in its room is known by now.
pub async fn complete(app: &App, recording: &Recording) -> Result<(), Error> {
    let sid = recording.room_sid.as_deref();
    let people = with_told(app, &recording.project, recording.id, sid, Vec::new()).await?;
    if people.is_empty() { Ok(()) } else { app.store.add_participants(recording.id, &people).await }
}

/// Those who were seen in a recording's room, and then those who were only named.
pub async fn with_told(
    app: &App,
    project: &ProjectId,
    recording: RecordingId,
    room_sid: Option<&str>,
    seen: Vec<Participant>,
) -> Result<Vec<Participant>, Error> {
    let Some(sid) = room_sid else { return Ok(seen) };
    let mut named = app.store.people(project, sid).await?;
    named.retain(|person| !seen.iter().any(|known| known.identity == person.identity));
    if named.is_empty() {
        return Ok(seen);
    }
    let rules = rules(app, recording).await?;
    let mut all = seen;
    for person in named {
        if rules.iter().any(|rule| rule.covers(&person.identity, &person.kind, &person.attributes)) {
            app.store.leave_out(project, sid, &person.identity, clock::now()).await?;
        } else {
            all.push(person);
        }
    }
    Ok(all)
}

/// Who is left out of a recording. What one recording of a room leaves out counts for all.
async fn rules(app: &App, recording: RecordingId) -> Result<Vec<Exclusions>, Error> {
    let mut by_name = exclusions(&app.config, &Told::default());
    by_name.identities.extend(app.store.excluded(recording).await?);
    let told = app.store.redactions(recording).await?.told;
    let told = told.iter().map(|told| exclusions(&app.config, &Told::from_json(told)));
    Ok(told.chain([by_name]).collect())
}

/// Whether rooms of that name may be recorded at all.
fn is_recordable(config: &Config, project: &ProjectId, room: &str) -> bool {
    config.project(project).is_some_and(|project| project.recording && !project.excludes_room(room))
}

fn participant(person: &Person) -> Participant {
    let Person { identity, name, kind, attributes } = person.clone();
    Participant { identity, name: Some(name).filter(|name| !name.is_empty()), kind, attributes }
}

/// Whether all of somebody can be kept. Of a part of their attributes it could not be said whether they are left out.
fn fits(person: &Person) -> bool {
    let texts = person.attributes.iter().flat_map(|(name, value)| [name, value]).chain([&person.kind]);
    let names = name::is_whole(&person.identity) && (person.name.is_empty() || name::is_whole(&person.name));
    names && texts.map(String::len).sum::<usize>() <= MOST_ATTRIBUTES
}
