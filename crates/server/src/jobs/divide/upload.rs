//! Divides the body of an upload: its sound, its chat history and its header become objects of their own.

use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::{ByteRange, Location};
use echosphere_domain::master::{self, Master, Part};
use echosphere_livekit::session_upload::multipart::{Lengths, Scan, Scanner};
use echosphere_livekit::session_upload::{AUDIO, CHAT_HISTORY, HEADER};
use echosphere_store::Purpose;
use futures_util::StreamExt;

use super::{Outcome, Whole, write};
use crate::jobs::{Error, Jobs};

/// The most bytes between two parts that are taken for a delimiter and the headers of a part; those of the SDKs are about 150.
const MOST_BETWEEN: u64 = 1_024;

/// The parts that a body may have, by their names.
const NAMES: [(&str, Part); 3] = [(AUDIO, Part::Sound), (CHAT_HISTORY, Part::Words), (HEADER, Part::Header)];

pub(super) async fn divide(jobs: &Jobs, what: &Whole<'_>, whole: &Master) -> Result<Outcome, Error> {
    let Some(body) = whole.own() else { return Ok(Outcome::Whole("it is not ours")) };
    let sound = master::of(what.masters, Part::Sound);
    let Some(size) = jobs.objects.head(body).await?.map(|object| object.size) else {
        // Of a session of which nothing may be kept but some turns, nothing was stored.
        let nothing = Outcome::Divided { parts: Vec::new(), replaced: vec![body.clone()] };
        return Ok(if sound.is_none() { nothing } else { Outcome::Whole("it is gone from storage") });
    };
    if let Some(sound @ Master::Ogg(Location { range: Some(ByteRange { offset: 0, length }), .. })) = sound
        && *length == size
    {
        // What must not be kept was taken out of it: there is nothing but sound in it.
        return Ok(Outcome::Divided { parts: vec![(Part::Sound, sound.clone())], replaced: Vec::new() });
    }
    let Some(upload) = what.capture.upload else { return Ok(Outcome::Whole("its upload is divided elsewhere")) };
    let Some(upload) = jobs.store.upload(upload).await? else { return Ok(Outcome::Whole("its upload is not known")) };
    if size != upload.bytes {
        return Ok(Outcome::Whole("its body is not as long as it was when it came"));
    }
    let mut scan = scan(jobs, body, size, &upload.content_type, Lengths::Believed).await?;
    if !scan.closed {
        // As when it was read: it was cut, or a length was wrong.
        scan = self::scan(jobs, body, size, &upload.content_type, Lengths::Ignored).await?;
    }
    let mut parts = Vec::new();
    for found in &scan.parts {
        let Some((_, part)) = NAMES.iter().find(|(name, _)| *name == found.name) else {
            return Ok(Outcome::Whole("its body has a part of a name that is not known"));
        };
        if parts.iter().any(|(known, _)| known == part) {
            return Ok(Outcome::Whole("its body has two parts of one name"));
        }
        parts.push((*part, ByteRange { offset: found.offset, length: found.length }));
    }
    let mut ranges: Vec<ByteRange> = parts.iter().map(|(_, range)| *range).collect();
    if !are_all(&mut ranges, size) {
        return Ok(Outcome::Whole("there is more in its body than the parts that were found"));
    }
    // The index of the sound counts from where it was when it was read.
    let read = sound.map(|sound| sound.location().and_then(|location| location.range));
    let found = parts.iter().find(|(part, _)| *part == Part::Sound).map(|(_, range)| *range);
    if read.is_some_and(|read| read != found) {
        return Ok(Outcome::Whole("its sound is not where it was when it was read"));
    }
    let mut written = Vec::new();
    for (part, range) in parts.into_iter().filter(|(_, range)| range.length > 0) {
        let to = part.of_upload(&what.recording.prefix, what.capture.attempt);
        let pieces = jobs.objects.pieces(body.clone(), range.offset..range.offset + range.length);
        write(jobs, what, Purpose::Upload, &to, pieces.boxed()).await?;
        let master = match part {
            Part::Sound if sound.is_some() => Master::Ogg(Location::part(to, 0, range.length)),
            _ => Master::File(Location::whole(to)),
        };
        written.push((part, master));
    }
    Ok(Outcome::Divided { parts: written, replaced: vec![body.clone()] })
}

/// Whether these parts are all that there is in a body, but for what separates them.
fn are_all(parts: &mut [ByteRange], size: u64) -> bool {
    parts.sort_by_key(|part| part.offset);
    let mut end = 0;
    for part in &*parts {
        if part.offset.saturating_sub(end) > MOST_BETWEEN {
            return false;
        }
        end = part.offset + part.length;
    }
    !parts.is_empty() && size.saturating_sub(end) <= MOST_BETWEEN
}

async fn scan(jobs: &Jobs, body: &ObjectKey, size: u64, content_type: &str, lengths: Lengths) -> Result<Scan, Error> {
    let mut scanner = Scanner::new(content_type, lengths);
    while let Some(wanted) = scanner.wanted(size) {
        let bytes = jobs.objects.get_range(body, wanted).await?;
        if bytes.is_empty() {
            break;
        }
        scanner.push(&bytes);
    }
    Ok(scanner.finish())
}
