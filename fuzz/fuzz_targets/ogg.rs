//! Any bytes to an index, and from the index to packets.
#![no_main]

use echosphere_media::ogg::{IndexBuilder, OpusIndex};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = OpusIndex::from_bytes(data);
    let mut builder = IndexBuilder::default();
    data.chunks(97).for_each(|chunk| builder.push(chunk));
    let Ok(index) = builder.finish() else { return };
    assert_eq!(OpusIndex::from_bytes(&index.to_bytes()).as_ref(), Ok(&index));
    let end = i64::try_from(index.total_samples()).unwrap_or(i64::MAX).min(1 << 40);
    for range in [0..end, 0..48_000, end - 48_000..end] {
        let bytes = index.byte_range(range.clone());
        assert!(bytes.end <= data.len() as u64);
        index.packets(range, &data[bytes.start as usize..bytes.end as usize]);
    }
});
