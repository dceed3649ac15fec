//! Reads what an Opus packet says about itself, without decoding it (RFC 6716 section 3, RFC 7845 section 5.1).

/// The duration of a packet in samples of 48 kHz, from its first two bytes; `None` when it breaks RFC 6716's rules
/// (no bytes, no frames, or more than 120 ms).
pub fn duration(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=5760).contains(&samples).then_some(samples)
}

/// The identification header (RFC 7845 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Channels: 1 or 2 in what can be played.
    pub channels: u8,
    /// Samples of 48 kHz at the beginning that the decoder needs and that are not heard.
    pub pre_skip: u16,
    /// Gain to apply when decoding, in 1/256 dB.
    pub gain: i16,
}

impl Head {
    /// Reads the first packet of a logical stream, and whether it can be played: more than two channels, or an unknown version or
    /// mapping, cannot. `None` when it is not an Opus stream.
    pub fn parse(packet: &[u8]) -> Option<(Self, bool)> {
        if !packet.starts_with(b"OpusHead") || packet.len() < 19 {
            return None;
        }
        let (version, channels, family) = (packet[8], packet[9], packet[18]);
        // Family 1 with one or two channels is one ordinary stream, as family 0 is (RFC 7845 section 5.1.1.2).
        let is_playable = version >> 4 == 0 && (1..=2).contains(&channels) && family <= 1;
        let pre_skip = u16::from_le_bytes([packet[10], packet[11]]);
        let gain = i16::from_le_bytes([packet[16], packet[17]]);
        Some((Self { channels, pre_skip, gain }, is_playable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_by_the_table_of_rfc_6716() {
        for (toc, count, samples) in [
            (0b0000_0000, 0, Some(480)),  // SILK narrowband, 10 ms, one frame
            (0b0001_1000, 0, Some(2880)), // SILK narrowband, 60 ms
            (0b1111_1000, 0, Some(960)),  // CELT fullband, 20 ms
            (0b1111_1001, 0, Some(1920)), // two frames
            (0b1111_1011, 6, Some(5760)), // six frames, 120 ms
            (0b1111_1011, 7, None),       // 140 ms
            (0b1111_1011, 0, None),       // no frames
            (0b1000_0000, 0, Some(120)),  // CELT narrowband, 2.5 ms
        ] {
            assert_eq!(duration(&[toc, count]), samples, "{toc:08b} {count}");
        }
        assert_eq!(duration(&[]), None);
    }
}
