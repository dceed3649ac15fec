//! Decodes JSON bytes to text, whichever Unicode encoding they are in (UTF-8, UTF-16 or UTF-32).

/// The encodings that JSON may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16 { little: bool },
    Utf32 { little: bool },
}

/// Decodes a document piece by piece and drops byte order marks. Bytes that are invalid in the encoding become U+FFFD.
///
/// The encoding is given by a byte order mark, otherwise by where the zero bytes of the first two characters are: these are ASCII
/// in every JSON document (RFC 4627, section 3).
#[derive(Debug, Default)]
pub struct Decoder {
    encoding: Option<Encoding>,
    /// Bytes not decoded yet: too few to recognise the encoding, or an incomplete character.
    carry: Vec<u8>,
    /// Whether any text was decoded so far.
    has_begun: bool,
}

impl Decoder {
    /// Decodes the next bytes. `is_last` says that none come after them.
    pub fn push(&mut self, bytes: &[u8], is_last: bool, out: &mut String) {
        self.carry.extend_from_slice(bytes);
        if self.encoding.is_none() && self.carry.len() < 4 && !is_last {
            return;
        }
        let encoding = *self.encoding.get_or_insert_with(|| encoding_of(&self.carry));
        let carry = std::mem::take(&mut self.carry);
        let begin = out.len();
        let used = match encoding {
            Encoding::Utf8 => utf8(&carry, is_last, out),
            Encoding::Utf16 { little } => utf16(&carry, little, is_last, out),
            Encoding::Utf32 { little } => utf32(&carry, little, out),
        };
        self.carry = carry;
        self.carry.drain(..used);
        if !self.has_begun {
            let marks = out[begin..].len() - out[begin..].trim_start_matches('\u{feff}').len();
            out.replace_range(begin..begin + marks, "");
            self.has_begun = out.len() > begin;
        }
    }
}

/// Decodes a whole document.
pub fn decode(bytes: &[u8]) -> String {
    let mut text = String::new();
    Decoder::default().push(bytes, true, &mut text);
    text
}

fn encoding_of(bytes: &[u8]) -> Encoding {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [1..=255, 0, 0, 0, ..] => Encoding::Utf32 { little: true },
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=255, ..] => Encoding::Utf32 { little: false },
        [0xff, 0xfe, ..] | [1..=255, 0, 1..=255, 0, ..] => Encoding::Utf16 { little: true },
        [0xfe, 0xff, ..] | [0, 1..=255, 0, 1..=255, ..] => Encoding::Utf16 { little: false },
        _ => Encoding::Utf8,
    }
}

/// Returns how many bytes were consumed.
fn utf8(bytes: &[u8], is_last: bool, out: &mut String) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        let error = match std::str::from_utf8(&bytes[at..]) {
            Ok(text) => {
                out.push_str(text);
                return bytes.len();
            }
            Err(error) => error,
        };
        let good = at + error.valid_up_to();
        out.push_str(std::str::from_utf8(&bytes[at..good]).unwrap_or_default());
        match error.error_len() {
            None if !is_last => return good,
            bad => {
                out.push(char::REPLACEMENT_CHARACTER);
                at = good + bad.unwrap_or(bytes.len() - good);
            }
        }
    }
    at
}

/// A trailing odd byte is half of a unit that was cut off.
fn utf16(bytes: &[u8], little: bool, is_last: bool, out: &mut String) -> usize {
    let unit = |pair: &[u8; 2]| if little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) };
    let mut units: Vec<u16> = bytes.as_chunks().0.iter().map(unit).collect();
    // A high surrogate waits for its other half.
    if !is_last && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
        units.pop();
    }
    let used = units.len() * 2;
    out.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
    used
}

fn utf32(bytes: &[u8], little: bool, out: &mut String) -> usize {
    let unit = |four: &[u8; 4]| if little { u32::from_le_bytes(*four) } else { u32::from_be_bytes(*four) };
    let units = bytes.as_chunks().0;
    out.extend(units.iter().map(|four| char::from_u32(unit(four)).unwrap_or(char::REPLACEMENT_CHARACTER)));
    units.len() * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_pieces(bytes: &[u8], piece: usize) -> String {
        let (mut decoder, mut text) = (Decoder::default(), String::new());
        bytes.chunks(piece).for_each(|piece| decoder.push(piece, false, &mut text));
        decoder.push(&[], true, &mut text);
        text
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..60), head in 0_usize..5, piece in 1_usize..9) {
            let heads: [&[u8]; 5] = [b"", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\xef\xbb\xbf"];
            let bytes = [heads[head], &bytes].concat();
            prop_assert_eq!(in_pieces(&bytes, piece), decode(&bytes));
        }

        #[test]
        fn any_text_in_any_encoding(text in "[{\\[\"]{2}.{0,20}", piece in 1_usize..9) {
            let utf16: Vec<u16> = text.encode_utf16().collect();
            let le16: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            let be16: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            let le32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
            for bytes in [text.clone().into_bytes(), le16, be16, le32] {
                prop_assert_eq!(&in_pieces(&bytes, piece), &text);
            }
        }

        #[test]
        fn what_is_no_utf_8_is_replaced_as_everywhere(bytes in prop::collection::vec(any::<u8>(), 4..60)) {
            prop_assume!(encoding_of(&bytes) == Encoding::Utf8);
            let lossy = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(decode(&bytes), lossy.trim_start_matches('\u{feff}'));
        }
    }
}
