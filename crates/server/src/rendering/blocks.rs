//! Objects that somebody goes through from the beginning to the end, a little at a time: each request brings more than was asked for, which
//! serves those that follow.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::objects::Objects;

/// How much is read at once, in bytes.
const BLOCK: u64 = 2 << 20;
/// How much is held at most, in bytes.
const MOST: usize = 4 << 20;

/// What was read last of the objects that somebody goes through. Whoever asks for what another one is reading waits for it.
#[derive(Debug, Default)]
pub struct Blocks {
    held: Mutex<VecDeque<Block>>,
}

/// A part of an object.
#[derive(Debug)]
struct Block {
    key: ObjectKey,
    start: u64,
    bytes: Bytes,
    /// Whether the object ends here.
    is_last: bool,
}

impl Block {
    /// A range of its object, if all that there is of it is here.
    fn part(&self, key: &ObjectKey, range: &Range<u64>) -> Option<Bytes> {
        let (start, length) = (range.start.checked_sub(self.start)?, self.bytes.len() as u64);
        let end = range.end.saturating_sub(self.start);
        let is_here = self.key == *key && start <= length && (end <= length || self.is_last);
        is_here.then(|| self.bytes.slice(start as usize..end.clamp(start, length) as usize))
    }
}

impl Blocks {
    /// A range of an object's bytes, shortened to where the object ends; `None` when there is no such object.
    pub async fn range(&self, objects: &Objects, key: &ObjectKey, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        let mut held = self.held.lock().await;
        if let Some(part) = held.iter().find_map(|block| block.part(key, &range)) {
            return Ok(Some(part));
        }
        let wanted = range.start..range.end.max(range.start.saturating_add(BLOCK));
        let Some(bytes) = objects.find_range(key, wanted.clone()).await? else { return Ok(None) };
        let is_last = (bytes.len() as u64) < wanted.end - wanted.start;
        let block = Block { key: key.clone(), start: range.start, bytes, is_last };
        let part = block.part(key, &range);
        hold(&mut held, block);
        Ok(part)
    }

    /// All of a small object's bytes; `None` when there is no such object.
    pub async fn whole(&self, objects: &Objects, key: &ObjectKey) -> Result<Option<Bytes>, Error> {
        let mut held = self.held.lock().await;
        if let Some(part) = held.iter().find_map(|block| block.part(key, &(0..u64::MAX))) {
            return Ok(Some(part));
        }
        let Some(bytes) = objects.find(key).await? else { return Ok(None) };
        hold(&mut held, Block { key: key.clone(), start: 0, bytes: bytes.clone(), is_last: true });
        Ok(Some(bytes))
    }
}

fn hold(held: &mut VecDeque<Block>, block: Block) {
    held.push_front(block);
    while held.iter().map(|block| block.bytes.len()).sum::<usize>() > MOST {
        held.pop_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    #[test]
    fn a_block_serves_what_lies_in_it_and_after_the_end_of_its_object() {
        let block = |is_last| Block { key: key("a"), start: 10, bytes: Bytes::from_static(b"0123456789"), is_last };
        for (range, whole, cut) in [
            (10..12, Some("01"), Some("01")),
            (18..20, Some("89"), Some("89")),
            (18..21, None, Some("89")),
            (20..u64::MAX, None, Some("")),
            (21..22, None, None),
            (9..12, None, None),
        ] {
            let part = |is_last| block(is_last).part(&key("a"), &range);
            assert_eq!(
                (part(false).as_deref(), part(true).as_deref()),
                (whole.map(str::as_bytes), cut.map(str::as_bytes)),
                "{range:?}"
            );
            assert_eq!(block(true).part(&key("b"), &range), None);
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut held = VecDeque::new();
        for number in 0..9 {
            let bytes = Bytes::from(vec![0; MOST / 4]);
            hold(&mut held, Block { key: key(&number.to_string()), start: 0, bytes, is_last: true });
        }
        let numbers: Vec<&str> = held.iter().map(|block| block.key.as_str()).collect();
        assert_eq!(numbers, ["8", "7", "6", "5"]);
    }
}
