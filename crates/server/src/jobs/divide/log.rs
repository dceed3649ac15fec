//! Divides a capture log: its chunks become two objects, one of sound and one of words.

use std::sync::Arc;

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::master::{Master, Part};
use echosphere_recorder::log::joined::Table;
use echosphere_recorder::log::parts::{self, Parts};
use echosphere_store::Purpose;
use futures_util::{StreamExt, stream};

use super::{Outcome, Whole, go_on, verify};
use crate::error;
use crate::jobs::{Error, Jobs};
use crate::objects::Objects;

pub(super) async fn divide(jobs: &Jobs, what: &Whole<'_>, whole: &Master) -> Result<Outcome, Error> {
    let Master::Log { chunks, length, is_joined: false, is_gone: false, .. } = *whole else {
        return Ok(Outcome::Whole("it is no capture log in chunks"));
    };
    let (prefix, attempt) = (&what.recording.prefix, what.capture.attempt);
    let keys: Arc<[ObjectKey]> = (0..chunks).map(|number| prefix.log_chunk(attempt, number)).collect();
    let (mut sound, mut words, mut total) = (Vec::new(), Vec::new(), 0);
    for key in keys.iter() {
        go_on(jobs)?;
        let Some(chunk) = jobs.objects.find(key).await? else { return Ok(Outcome::Whole("a chunk is gone")) };
        total += chunk.len() as u64;
        // A chunk whose end is torn has bytes that are of neither part.
        let parts = parts::divide(&chunk).filter(|parts| parts::join(parts).as_deref() == Some(&*chunk));
        let Some(parts) = parts else {
            return Ok(Outcome::Whole("a chunk is damaged, or its entries are not in their order"));
        };
        sound.push(parts.sound.len() as u32);
        words.push(parts.words.len() as u32);
    }
    if total != length {
        return Ok(Outcome::Whole("its chunks are not as long as they were when it was read"));
    }
    let id = what.capture.id.as_uuid();
    let mut written = Vec::new();
    let tables = [(Part::Sound, Table::new(id, &sound)), (Part::Words, Table::new(id, &words))];
    for (part, table) in &tables {
        let to = part.of_log(prefix, attempt);
        write(jobs, what, &keys, *part, table, &to).await?;
        let (at, length) = (Location::whole(to), table.length());
        written.push((*part, Master::Log { at, is_joined: true, chunks, length, is_gone: false }));
    }
    for (part, table) in &tables {
        verify(jobs, &part.of_log(prefix, attempt), 0, &table.to_bytes().into()).await?;
    }
    for (number, key) in (0..).zip(keys.iter()) {
        go_on(jobs)?;
        let parts = divided(&jobs.objects, key).await?;
        for ((part, table), bytes) in tables.iter().zip([parts.sound, parts.words]) {
            let at = table.chunk(number).unwrap_or_default().start;
            verify(jobs, &part.of_log(prefix, attempt), at, &bytes.into()).await?;
        }
    }
    Ok(Outcome::Divided { parts: written, replaced: keys.to_vec() })
}

/// The parts of a chunk that was divided before.
async fn divided(objects: &Objects, key: &ObjectKey) -> Result<Parts, error::Error> {
    let changed = || error::Error::io("divide a capture log")(std::io::Error::other(format!("{key} has changed")));
    parts::divide(&objects.get(key).await?).ok_or_else(changed)
}

/// Writes one part of all chunks as an object.
async fn write(
    jobs: &Jobs,
    what: &Whole<'_>,
    keys: &Arc<[ObjectKey]>,
    part: Part,
    table: &Table,
    to: &ObjectKey,
) -> Result<(), Error> {
    let (objects, keys) = (jobs.objects.clone(), Arc::clone(keys));
    let head = stream::once(std::future::ready(Ok(Bytes::from(table.to_bytes()))));
    let chunks = stream::iter(0..keys.len()).then(move |number| {
        let (objects, key) = (objects.clone(), keys[number].clone());
        async move {
            let parts = divided(&objects, &key).await.map_err(into_storage)?;
            Ok(Bytes::from(if part == Part::Sound { parts.sound } else { parts.words }))
        }
    });
    Ok(jobs.objects.put(what.recording, Purpose::LogPart, to, head.chain(chunks).boxed()).await?)
}

fn into_storage(error: error::Error) -> echosphere_storage::Error {
    match error {
        error::Error::Storage(error) => error,
        other => echosphere_storage::Error::Interrupted { action: "divide a capture log", target: other.to_string() },
    }
}
