//! Reads the packet of an entry and nothing else of it: rooms that nobody listens to are measured by their packets, all the time.

use bytes::Bytes;
use prost::encoding::decode_varint;

use super::Packet;

/// A field of an encoded message (Protocol Buffers, "Encoding").
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The packet of an encoded entry, which lies in `chunk`: its payload shares the chunk's bytes. `None` when the entry has none, or is damaged.
pub(super) fn packet_of(chunk: &Bytes, entry: &[u8]) -> Option<Packet> {
    let (mut rest, mut found) = (entry, None);
    while !rest.is_empty() {
        if let (3, Field::Bytes(packet)) = take(&mut rest)? {
            found = Some(packet);
        }
    }
    let mut rest = found?;
    let mut packet = Packet::default();
    while !rest.is_empty() {
        match take(&mut rest)? {
            (1, Field::Number(stream)) => packet.stream = stream as u32,
            (2, Field::Number(sequence)) => packet.sequence = sequence,
            (3, Field::Number(rtp)) => packet.rtp = rtp,
            (4, Field::Bytes(payload)) => packet.payload = chunk.slice_ref(payload),
            _ => {}
        }
    }
    Some(packet)
}

/// The next field, and its tag; `None` when the rest is not one.
fn take<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = decode_varint(rest).ok()?;
    let length = match key & 7 {
        0 => return Some((key >> 3, Field::Number(decode_varint(rest).ok()?))),
        1 => 8,
        2 => usize::try_from(decode_varint(rest).ok()?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some((key >> 3, Field::Bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Body, Entry};
    use proptest::prelude::*;
    use prost::Message as _;

    proptest! {
        #[test]
        fn it_is_the_packet_of_the_whole_entry(
            (number, at) in any::<(u64, i64)>(),
            (stream, sequence, rtp) in any::<(u32, u64, u64)>(),
            payload in prop::collection::vec(any::<u8>(), 0..40),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let packet = Packet { stream, sequence, rtp, payload: payload.into() };
            let mut bytes = Entry { number, at, body: Some(Body::Packet(packet.clone())) }.encode_to_vec();
            if let Some((place, byte)) = damage {
                let at = place.index(bytes.len());
                bytes[at] = byte;
                let bytes = Bytes::from(bytes);
                let _ = packet_of(&bytes, &bytes);
            } else {
                let bytes = Bytes::from(bytes);
                prop_assert_eq!(packet_of(&bytes, &bytes), Some(packet));
            }
        }
    }
}
