//! The checksum of Ogg pages (RFC 3533 section 6): CRC-32 with the polynomial 0x04c11db7, most significant bit first,
//! starting from zero, without a final inversion. Not the CRC-32 of zip files.

const POLYNOMIAL: u32 = 0x04c1_1db7;

/// Eight tables, so that eight bytes are folded in one step ("slicing by 8").
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut i = 0;
    while i < 256 {
        let mut n = 1;
        while n < 8 {
            let before = tables[n - 1][i];
            tables[n][i] = (before << 8) ^ tables[0][(before >> 24) as usize];
            n += 1;
        }
        i += 1;
    }
    tables
}

/// Continues a checksum over more bytes.
pub fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    let mut blocks = bytes.chunks_exact(8);
    for block in &mut blocks {
        let high = crc ^ u32::from_be_bytes([block[0], block[1], block[2], block[3]]);
        let [a, b, c, d] = high.to_be_bytes();
        crc = TABLES[7][a as usize]
            ^ TABLES[6][b as usize]
            ^ TABLES[5][c as usize]
            ^ TABLES[4][d as usize]
            ^ TABLES[3][block[4] as usize]
            ^ TABLES[2][block[5] as usize]
            ^ TABLES[1][block[6] as usize]
            ^ TABLES[0][block[7] as usize];
    }
    for &byte in blocks.remainder() {
        crc = (crc << 8) ^ TABLES[0][((crc >> 24) as u8 ^ byte) as usize];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn slowly(bytes: &[u8]) -> u32 {
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
                if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL }
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
        fn slicing_agrees_with_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0_usize..64) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(update(update(0, &bytes[..cut]), &bytes[cut..]), slowly(&bytes));
        }
    }
}
