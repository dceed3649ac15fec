//! gzip, with an end.

use std::io::Read;

use flate2::read::MultiGzDecoder;

/// Why bytes were not inflated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// They are no gzip stream.
    #[error("the body is not gzip: {0}")]
    NotGzip(String),
    /// They grow beyond the limit.
    #[error("the body is larger than {limit} bytes when inflated")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Inflates a gzip stream (RFC 1952, several members allowed) of at most `limit` bytes.
pub fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    let decoder = MultiGzDecoder::new(bytes);
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut out);
    read.map_err(|error| InflateError::NotGzip(error.to_string()))?;
    if out.len() > limit { Err(InflateError::TooLarge { limit }) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_goes_off_at_the_limit() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(inflate(&bomb, 1 << 20), Err(InflateError::TooLarge { limit: 1 << 20 }));
        let two = [gzip(b"ab"), gzip(b"c")].concat();
        assert_eq!(inflate(&two, 100).unwrap(), b"abc");
        assert!(matches!(inflate(b"nonsense", 100), Err(InflateError::NotGzip(_))));
    }
}
