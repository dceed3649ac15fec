//! The sound of a capture where it is kept. Dividing its master moves it, maybe while it is read: what is no longer where it was is
//! looked for once more.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use echosphere_domain::id::CaptureId;
use echosphere_domain::key::{ObjectKey, RecordingPrefix};
use echosphere_domain::location::{ByteRange, Location};
use echosphere_domain::master::{self, Master};
use echosphere_domain::recording::{Capture, Recording};
use echosphere_recorder::log::joined::{self, Table};

use super::Rendering;
use super::blocks::Blocks;
use super::error::Error;

/// Where the sound of a capture is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Ogg, in a part of an object.
    Ogg { key: ObjectKey, range: ByteRange },
    /// A capture log, each chunk an object.
    Chunks,
    /// A capture log, all chunks in one object.
    Joined { key: ObjectKey, chunks: u32 },
}

/// A place, and what was read of it to find one's way.
#[derive(Debug, Clone)]
struct Known {
    place: Place,
    table: Option<Arc<Table>>,
}

/// The sound of a capture where it is kept; it knows of no index.
#[derive(Clone)]
pub struct Kept {
    capture: CaptureId,
    prefix: RecordingPrefix,
    attempt: u32,
    known: Arc<Mutex<Known>>,
    /// For who goes through it from its beginning to its end.
    blocks: Option<Arc<Blocks>>,
}

impl Kept {
    /// The sound of a capture, of one that was not read yet its log; `None` when it is elsewhere, or is not rendered by us.
    pub fn of(recording: &Recording, capture: &Capture) -> Option<Self> {
        let place = capture.audio.as_ref().map_or(Some(Place::Chunks), |audio| place(&audio.master))?;
        let known = Arc::new(Mutex::new(Known { place, table: None }));
        Some(Self {
            capture: capture.id,
            prefix: recording.prefix.clone(),
            attempt: capture.attempt,
            known,
            blocks: None,
        })
    }

    /// The same for who goes through it from its beginning to its end: it is read in blocks.
    pub fn in_blocks(&self, blocks: &Arc<Blocks>) -> Self {
        Self { blocks: Some(Arc::clone(blocks)), ..self.clone() }
    }

    async fn range(
        &self,
        rendering: &Rendering,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, crate::error::Error> {
        match &self.blocks {
            Some(blocks) => blocks.range(&rendering.objects, key, range).await,
            None => rendering.objects.find_range(key, range).await,
        }
    }

    async fn whole(&self, rendering: &Rendering, key: &ObjectKey) -> Result<Option<Bytes>, crate::error::Error> {
        match &self.blocks {
            Some(blocks) => blocks.whole(&rendering.objects, key).await,
            None => rendering.objects.find(key).await,
        }
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// A range of the bytes of its Ogg. `Error::MasterLost` when they are not all there.
    pub async fn ogg(&self, rendering: &Rendering, wanted: Range<u64>) -> Result<Bytes, Error> {
        if wanted.is_empty() {
            return Ok(Bytes::new());
        }
        loop {
            let known = self.known();
            if let Place::Ogg { key, range } = &known.place {
                let bytes = range.offset + wanted.start..range.offset + wanted.end;
                let found = self.range(rendering, key, bytes).await?;
                if let Some(bytes) = found.filter(|bytes| bytes.len() as u64 == wanted.end - wanted.start) {
                    return Ok(bytes);
                }
            }
            if !self.is_moved(rendering, &known).await? {
                return Err(Error::MasterLost(self.key(&known, 0)));
            }
        }
    }

    /// A chunk of its capture log; `None` when there is none with this number.
    pub async fn chunk(&self, rendering: &Rendering, number: u32) -> Result<Option<Bytes>, crate::error::Error> {
        loop {
            let known = self.known();
            let found = match &known.place {
                Place::Ogg { .. } => None,
                Place::Chunks => self.whole(rendering, &self.prefix.log_chunk(self.attempt, number)).await?,
                Place::Joined { key, chunks } => match self.table(rendering, &known, key, *chunks).await? {
                    Some(table) => match table.chunk(number) {
                        Some(range) => self.range(rendering, key, range).await?,
                        None => return Ok(None),
                    },
                    None => None,
                },
            };
            if found.is_some() || !self.is_moved(rendering, &known).await? {
                return Ok(found);
            }
        }
    }

    /// A chunk that must be there. `Error::MasterLost` when it is not.
    pub async fn needed_chunk(&self, rendering: &Rendering, number: u32) -> Result<Bytes, Error> {
        let found = self.chunk(rendering, number).await?;
        found.ok_or_else(|| self.lost(number))
    }

    /// That a chunk cannot be read.
    pub fn lost(&self, number: u32) -> Error {
        Error::MasterLost(self.key(&self.known(), number))
    }

    fn key(&self, known: &Known, chunk: u32) -> ObjectKey {
        match &known.place {
            Place::Ogg { key, .. } | Place::Joined { key, .. } => key.clone(),
            Place::Chunks => self.prefix.log_chunk(self.attempt, chunk),
        }
    }

    async fn table(
        &self,
        rendering: &Rendering,
        known: &Known,
        key: &ObjectKey,
        chunks: u32,
    ) -> Result<Option<Arc<Table>>, crate::error::Error> {
        if known.table.is_some() {
            return Ok(known.table.clone());
        }
        let head = rendering.objects.find_range(key, 0..joined::table_length(chunks)).await?;
        let table = head.as_deref().and_then(Table::parse).map(Arc::new);
        if table.is_some() {
            self.set(Known { table: table.clone(), ..known.clone() });
        }
        Ok(table)
    }

    /// Whether it is elsewhere now.
    async fn is_moved(&self, rendering: &Rendering, known: &Known) -> Result<bool, crate::error::Error> {
        let masters = rendering.store.masters(self.capture).await?;
        let Some(now) = master::sound(&masters).and_then(place).filter(|now| *now != known.place) else {
            return Ok(false);
        };
        self.set(Known { place: now, table: None });
        Ok(true)
    }
}

fn place(master: &Master) -> Option<Place> {
    match master {
        Master::Ogg(at @ Location { range: Some(range), .. }) => {
            Some(Place::Ogg { key: at.own()?.clone(), range: *range })
        }
        Master::Log { at, is_joined: true, chunks, is_gone: false, .. } => {
            Some(Place::Joined { key: at.own()?.clone(), chunks: *chunks })
        }
        Master::Log { .. } => Some(Place::Chunks),
        Master::Ogg(_) | Master::Segments | Master::File(_) => None,
    }
}
