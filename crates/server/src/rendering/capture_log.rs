//! Reads a capture log from object storage, and extracts its tracks and participants.

use std::collections::BTreeMap;
use std::time::Duration;

use echosphere_domain::recording::{Participant, Recording, Track};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_recorder::clock::nanos;
use echosphere_recorder::log::chunk::{self, Chunk};
use echosphere_recorder::sound::{Assembler, ReceivedTrack};

use crate::error::Error;
use crate::objects::Objects;

/// How long live rendering waits after the end of a segment: packets that were lost have been retransmitted by then.
pub const LAG: Duration = Duration::from_millis(1_000);

/// Reads the chunks of a capture in their order, up to the first that does not exist, and passes on each with its number and
/// length; `None` for one that cannot be decoded. Returns how many there are.
pub async fn read(
    objects: &Objects,
    recording: &Recording,
    attempt: u32,
    mut each: impl FnMut(u32, usize, Option<Chunk>),
) -> Result<u32, Error> {
    let mut number = 0;
    while let Some((length, chunk)) = chunk(objects, recording, attempt, number).await? {
        each(number, length, chunk);
        number += 1;
    }
    Ok(number)
}

/// Reads one chunk: its length, and its content if it can be decoded; `None` when there is no such chunk.
async fn chunk(
    objects: &Objects,
    recording: &Recording,
    attempt: u32,
    number: u32,
) -> Result<Option<(usize, Option<Chunk>)>, Error> {
    let key = recording.prefix.log_chunk(attempt, number);
    let Some(bytes) = objects.find(&key).await? else { return Ok(None) };
    let chunk = chunk::decode(&bytes);
    if let Err(error) = &chunk {
        tracing::error!(%key, %error, "a chunk of a capture log cannot be read");
    }
    Ok(Some((bytes.len(), chunk.ok())))
}

/// The tracks of a capture log.
pub fn tracks(assembler: &Assembler) -> Vec<Track> {
    let Some(zero) = assembler.zero() else { return Vec::new() };
    let to_track = |track: ReceivedTrack| Track {
        id: track.track_sid,
        participant: track.identity,
        kind: track.kind,
        source: track.source.to_ascii_lowercase(),
        started_at: WallTime::from_nanos(zero).plus_nanos(nanos(track.samples.start)),
        duration: MediaTime::from_samples_48k(track.samples.end - track.samples.start),
    };
    assembler.received_tracks().into_iter().map(to_track).collect()
}

/// Everybody who took part, each identity once.
pub fn participants(assembler: &Assembler) -> Vec<Participant> {
    let people = assembler.people().map(|person| {
        let participant = Participant {
            identity: person.identity.clone(),
            name: Some(person.name.clone()).filter(|name| !name.is_empty()),
            kind: person.kind.clone(),
            attributes: person.attributes.clone().into_iter().collect(),
        };
        (person.identity.clone(), participant)
    });
    people.collect::<BTreeMap<_, _>>().into_values().collect()
}
