//! Any bytes to an index, and from the index to packets.
#![no_main]

use echosphere_media::ogg::{IndexBuilder, OpusIndex};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = OpusIndex::from_bytes(data);
    let mut builder = IndexBuilder::default();
    data.chunks(97).for_each(|chunk| builder.push(chunk));
    let longest = u64::from(data.len() as u32) * 1_000;
    let Ok(index) = builder.finish_within(longest) else { return };
    assert_eq!(OpusIndex::from_bytes(&index.to_bytes()).as_ref(), Ok(&index));
    let end = i64::try_from(index.total_samples()).unwrap_or(i64::MAX).min(1 << 40);
    for range in [0..end, 0..48_000, end - 48_000..end] {
        let bytes = index.byte_range(range.clone());
        assert!(bytes.end <= data.len() as u64);
        let packets = index.packets(range.clone(), &data[bytes.start as usize..bytes.end as usize]);
        for pair in packets.windows(2).filter(|pair| pair[0].link == pair[1].link) {
            assert!(pair[0].start + i64::from(pair[0].samples) <= pair[1].start);
        }
        if index.is_silent(range.clone()) {
            let heard = |packet: &echosphere_media::ogg::Packet| {
                let link = index.links()[packet.link].heard();
                let (from, to) = (packet.start.max(link.start), (packet.start + i64::from(packet.samples)).min(link.end));
                from.max(range.start) < to.min(range.end)
            };
            assert!(!packets.iter().any(heard));
        }
    }
    // Packets, and what silence is believed: nothing beyond.
    let all = index.byte_range(-(1 << 20)..1 << 40);
    let all = index.packets(-(1 << 20)..1 << 40, &data[all.start as usize..all.end as usize]);
    let packets: u64 = all.iter().map(|packet| u64::from(packet.samples)).sum();
    assert!(index.is_truncated() || !index.gaps().is_empty() || index.total_samples() <= packets.max(longest));
});
