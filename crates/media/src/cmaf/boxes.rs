//! Writes boxes (ISO/IEC 14496-12, section 4.2).

/// Appends a box: its size, its type, its content.
pub(super) fn boxed(out: &mut Vec<u8>, kind: [u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind);
    content(out);
    let size = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a full box: a box with a version and flags (24 bits).
pub(super) fn full(out: &mut Vec<u8>, kind: [u8; 4], version: u8, flags: u32, content: impl FnOnce(&mut Vec<u8>)) {
    boxed(out, kind, |out| {
        out.extend_from_slice(&(u32::from(version) << 24 | flags).to_be_bytes());
        content(out);
    });
}

/// Appends numbers of 32 bits.
pub(super) fn words<const N: usize>(out: &mut Vec<u8>, numbers: [u32; N]) {
    out.extend(numbers.into_iter().flat_map(u32::to_be_bytes));
}

/// Appends numbers of 16 bits.
pub(super) fn halves<const N: usize>(out: &mut Vec<u8>, numbers: [u16; N]) {
    out.extend(numbers.into_iter().flat_map(u16::to_be_bytes));
}
