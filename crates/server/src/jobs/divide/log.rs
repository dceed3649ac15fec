//! Divides a capture log: its chunks become two objects, one of sound and one of words.
//!
//! Each of the objects begins with the lengths of all that is in it. So that each chunk is read only once, its parts wait in files of this
//! machine until these are known.

mod waiting;

use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::master::{Master, Part};
use echosphere_recorder::log::joined::Table;
use echosphere_recorder::log::parts;
use echosphere_store::Purpose;

use self::waiting::Waiting;
use super::{Outcome, Whole, go_on, write};
use crate::error;
use crate::jobs::{Error, Jobs};

pub(super) async fn divide(jobs: &Jobs, what: &Whole<'_>, whole: &Master) -> Result<Outcome, Error> {
    let Master::Log { chunks, length, is_joined: false, is_gone: false, .. } = *whole else {
        return Ok(Outcome::Whole("it is no capture log in chunks"));
    };
    let failed = |source| error::Error::io("divide a capture log")(source);
    let least = jobs.config.recorder.min_free_disk.saturating_add(length);
    jobs.data.check_free(least).map_err(failed)?;
    let (prefix, attempt) = (&what.recording.prefix, what.capture.attempt);
    let keys: Vec<ObjectKey> = (0..chunks).map(|number| prefix.log_chunk(attempt, number)).collect();
    let new = |part: &str| Waiting::new(&jobs.data.spool_part(what.capture.id, part));
    let (mut sound, mut words, mut total) = (new("sound").map_err(failed)?, new("words").map_err(failed)?, 0);
    for key in &keys {
        go_on(jobs)?;
        let Some(chunk) = jobs.objects.find(key).await? else { return Ok(Outcome::Whole("a chunk is gone")) };
        total += chunk.len() as u64;
        // A chunk whose end is torn has bytes that are of neither part.
        let parts = parts::divide(&chunk).filter(|parts| parts::join(parts).as_deref() == Some(&*chunk));
        let Some(parts) = parts else {
            return Ok(Outcome::Whole("a chunk is damaged, or its entries are not in their order"));
        };
        sound.take(&parts.sound).await.map_err(failed)?;
        words.take(&parts.words).await.map_err(failed)?;
    }
    if total != length {
        return Ok(Outcome::Whole("its chunks are not as long as they were when it was read"));
    }
    let mut written = Vec::new();
    for (part, waiting) in [(Part::Sound, sound), (Part::Words, words)] {
        let to = part.of_log(prefix, attempt);
        let table = Table::new(what.capture.id.as_uuid(), waiting.lengths());
        let pieces = waiting.pieces(table.to_bytes()).await.map_err(failed)?;
        write(jobs, what, Purpose::LogPart, &to, pieces).await?;
        let (at, length) = (Location::whole(to), table.length());
        written.push((part, Master::Log { at, is_joined: true, chunks, length, is_gone: false }));
    }
    Ok(Outcome::Divided { parts: written, replaced: keys })
}
