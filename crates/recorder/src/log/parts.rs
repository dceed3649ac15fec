//! Divides a chunk into what is sound and what is words, frame for frame, so that one can go without the other.

use prost::Message as _;

use super::{Body, Entry, chunk, frame};

/// The two parts of a chunk, each a chunk of the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Packets, sender reports, streams, pauses, placements, the connection, beginning and end.
    pub sound: Vec<u8>,
    /// Messages, participants, who spoke, and entries of a kind that this version does not know.
    pub words: Vec<u8>,
}

/// Divides a chunk; `None` when a part of it cannot be read, because then it would be lost.
pub fn divide(bytes: &[u8]) -> Option<Parts> {
    let (head, mut frames) = chunk::open(bytes).ok()?;
    let mut parts = Parts { sound: head.to_vec(), words: head.to_vec() };
    for payload in frames.by_ref() {
        let entry = Entry::decode(payload).ok()?;
        let part = if is_sound(&entry) { &mut parts.sound } else { &mut parts.words };
        frame::append(part, |out| out.extend_from_slice(payload));
    }
    (!frames.is_torn()).then_some(parts)
}

fn is_sound(entry: &Entry) -> bool {
    match entry.body {
        Some(
            Body::Packet(_)
            | Body::Report(_)
            | Body::Stream(_)
            | Body::Joined(_)
            | Body::Pause(_)
            | Body::Ended(_)
            | Body::Link(_)
            | Body::Placed(_),
        ) => true,
        Some(Body::Participant(_) | Body::Data(_) | Body::Speakers(_)) | None => false,
    }
}

/// The chunk that was divided into these parts: its entries in the order of their numbers. `None` when they are not parts of one.
pub fn join(parts: &Parts) -> Option<Vec<u8>> {
    let (head, sound) = chunk::open(&parts.sound).ok()?;
    let (other, words) = chunk::open(&parts.words).ok()?;
    let numbered = |payload| Some((Entry::decode(payload).ok()?.number, payload));
    let mut all: Vec<(u64, &[u8])> = sound.chain(words).map(numbered).collect::<Option<_>>()?;
    all.sort_by_key(|(number, _)| *number);
    let mut out = head.to_vec();
    for (_, payload) in all {
        frame::append(&mut out, |out| out.extend_from_slice(payload));
    }
    (head == other).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Packet, Participant, Speakers};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn entry(number: u64, kind: u8) -> Entry {
        let body = match kind {
            0 => Some(Body::Packet(Packet { payload: vec![kind; 9].into(), ..Packet::default() })),
            1 => Some(Body::Participant(Participant { name: "somebody".to_owned(), ..Participant::default() })),
            2 => Some(Body::Data(b"said".to_vec())),
            3 => Some(Body::Speakers(Speakers::default())),
            _ => None,
        };
        Entry { number, at: 1 + number as i64, body }
    }

    fn chunk_of(kinds: &[u8]) -> Vec<u8> {
        let mut bytes = chunk::begin(Uuid::from_u128(7), 3, 0);
        for (number, kind) in kinds.iter().enumerate() {
            chunk::append(&mut bytes, &entry(number as u64, *kind));
        }
        bytes
    }

    proptest! {
        #[test]
        fn each_entry_is_in_one_part_and_together_they_are_the_chunk(kinds in prop::collection::vec(0_u8..5, 0..40)) {
            let bytes = chunk_of(&kinds);
            let parts = divide(&bytes).unwrap();
            let [sound, words] = [&parts.sound, &parts.words].map(|part| chunk::decode(&part.clone().into()).unwrap());
            prop_assert!(sound.entries.iter().all(|entry| matches!(entry.body, Some(Body::Packet(_)))));
            prop_assert!(!words.entries.iter().any(|entry| matches!(entry.body, Some(Body::Packet(_)))));
            prop_assert_eq!(sound.entries.len() + words.entries.len(), kinds.len());
            prop_assert_eq!((sound.number, words.capture), (3, Uuid::from_u128(7)));
            prop_assert_eq!(join(&parts), Some(bytes));
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(parts) = divide(&[chunk::begin(Uuid::nil(), 0, 0), bytes].concat()) {
                join(&parts);
            }
        }
    }

    #[test]
    fn what_is_torn_or_of_a_later_version_is_not_lost() {
        let mut bytes = chunk_of(&[0, 1]);
        // An entry of a kind that is not known: field 15, one byte long.
        frame::append(&mut bytes, |out| out.extend_from_slice(&[8, 2, 0x7a, 1, 42]));
        let parts = divide(&bytes).unwrap();
        assert!(!parts.sound.ends_with(&[42]) && parts.words.ends_with(&[0x7a, 1, 42]));
        assert_eq!(join(&parts), Some(bytes.clone()));
        bytes.pop();
        assert_eq!(divide(&bytes), None);
        assert_eq!(divide(b"no chunk"), None);
        let other = chunk::begin(Uuid::nil(), 9, 0);
        assert_eq!(join(&Parts { words: other, ..parts }), None);
    }
}
