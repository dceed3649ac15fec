//! The checksum of Ogg pages (RFC 3533 section 6), which start from zero, and of the sections of MPEG-TS (ISO/IEC 13818-1 Annex A), which start from
//! all ones: CRC-32 with the polynomial 0x04c11db7, most significant bit first, without a final inversion. Not the CRC-32 of zip files, but that of the
//! same bytes with their bits in reverse: it has the same polynomial, least significant bit first, and processors compute it many bytes at a time.

/// Bytes whose bits are reversed at a time.
const PIECE: usize = 512;

/// Continues a checksum over more bytes.
pub fn update(crc: u32, bytes: &[u8]) -> u32 {
    // That of zip files is inverted before and after.
    let mut reversed = crc32fast::Hasher::new_with_initial(!crc.reverse_bits());
    let mut piece = [0; PIECE];
    for bytes in bytes.chunks(PIECE) {
        let piece = &mut piece[..bytes.len()];
        piece.iter_mut().zip(bytes).for_each(|(reversed, byte)| *reversed = byte.reverse_bits());
        reversed.update(piece);
    }
    (!reversed.finalize()).reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn slowly(bytes: &[u8]) -> u32 {
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
                if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 }
            })
        })
    }

    #[test]
    fn the_check_value_of_this_crc() {
        // CRC-32/MPEG-2 without its initial value; "123456789" from zero.
        assert_eq!(update(0, b"123456789"), 0x89a1_897f);
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 0_usize..600) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(update(update(0, &bytes[..cut]), &bytes[cut..]), slowly(&bytes));
        }
    }
}
