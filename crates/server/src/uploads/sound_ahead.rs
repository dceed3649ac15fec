//! Indexes the sound of an upload while it comes: what takes long is not read once more, so that the recording can be played as soon as it is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use echosphere_domain::id::UploadId;
use echosphere_livekit::session_upload::AUDIO;
use echosphere_livekit::session_upload::multipart::{Lengths, Scanner};
use echosphere_media::ogg::IndexBuilder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most uploads whose sound is indexed while they come, or waits to be read: each may take 13 MB. The sound of others is indexed when they are
/// read.
const MOST: usize = 4;

/// The sound of one upload, as far as it has come.
pub struct SoundAhead {
    scanner: Scanner,
    /// Bytes of the body that have come.
    seen: u64,
    sound: Option<Sound>,
    _place: OwnedSemaphorePermit,
}

struct Sound {
    offset: u64,
    end: u64,
    builder: IndexBuilder,
}

impl SoundAhead {
    /// Takes the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        let begin = self.seen;
        self.seen += bytes.len() as u64;
        if self.sound.is_none() {
            self.scanner.push(bytes);
            self.sound = self
                .scanner
                .coming()
                .filter(|(part, _)| part.name == AUDIO && part.offset >= begin)
                .map(|(part, end)| Sound { offset: part.offset, end, builder: IndexBuilder::default() });
        }
        if let Some(Sound { offset, end, builder }) = &mut self.sound {
            let at = |place: u64| (place.clamp(begin, self.seen) - begin) as usize;
            builder.push(&bytes[at(*offset)..at(*end)]);
        }
    }

    /// What was built, if it is of just these bytes of the body.
    pub fn built(self, offset: u64, length: u64) -> Option<IndexBuilder> {
        let sound = self.sound?;
        (sound.offset == offset && sound.end.min(self.seen) == offset + length).then_some(sound.builder)
    }
}

/// The uploads whose sound is indexed while they come.
pub struct SoundsAhead {
    places: Arc<Semaphore>,
    /// Those that have come, and are not read yet.
    waiting: Mutex<HashMap<UploadId, SoundAhead>>,
}

impl Default for SoundsAhead {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), waiting: Mutex::default() }
    }
}

impl SoundsAhead {
    /// Begins to index an upload; `None` when there are too many.
    pub fn begin(&self, content_type: &str) -> Option<SoundAhead> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let scanner = Scanner::new(content_type, Lengths::Believed);
        Some(SoundAhead { scanner, seen: 0, sound: None, _place: place })
    }

    /// Keeps what was found until the upload is read.
    pub fn keep(&self, upload: UploadId, ahead: SoundAhead) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(upload, ahead);
    }

    /// Takes what was found of an upload.
    pub fn take(&self, upload: UploadId) -> Option<SoundAhead> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&upload)
    }
}

#[cfg(test)]
mod tests {
    use echosphere_testkit::session::Session;
    use proptest::prelude::*;

    use super::*;
    use crate::uploads::body;

    fn index_of(session: &Session, ahead: Option<SoundAhead>) -> echosphere_media::ogg::OpusIndex {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &session.body).unwrap();
        let received_at = echosphere_domain::time::WallTime::from_millis(2_000_000_000_000);
        body::read(file.path(), &session.content_type, received_at, ahead).unwrap().sound.unwrap().index.unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pieces_of_any_size_make_the_index_that_reading_makes(sizes in prop::collection::vec(1_usize..60_000, 1..40), cut in 0_usize..2) {
            let mut session = Session::load("order");
            session.body.truncate(session.body.len() - cut * session.body.len() / 3);
            let all = SoundsAhead::default();
            let mut ahead = all.begin(&session.content_type).unwrap();
            let (mut rest, mut sizes) = (session.body.as_slice(), sizes.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(sizes.next().unwrap()));
                ahead.push(piece);
                rest = after;
            }
            prop_assert!(ahead.sound.is_some());
            prop_assert_eq!(index_of(&session, Some(ahead)), index_of(&session, None));
        }
    }

    #[test]
    fn what_is_of_other_bytes_is_not_used_and_places_are_given_back() {
        let session = Session::load("order");
        let all = SoundsAhead::default();
        let mut waiting: Vec<SoundAhead> = (0..MOST).filter_map(|_| all.begin(&session.content_type)).collect();
        assert!(waiting.len() == MOST && all.begin(&session.content_type).is_none());
        let mut ahead = waiting.pop().unwrap();
        ahead.push(&session.body[..session.body.len() / 2]);
        let offset = ahead.sound.as_ref().unwrap().offset;
        let id = UploadId::new(uuid::Uuid::from_u128(1));
        all.keep(id, ahead);
        assert!(all.take(id).unwrap().built(offset, 1_000).is_none());
        assert!(all.take(id).is_none() && all.begin(&session.content_type).is_some());
    }
}
