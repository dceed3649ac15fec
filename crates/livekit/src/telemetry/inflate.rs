//! Decompresses gzip bodies up to a size limit.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

/// Why a body could not be inflated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It is not a gzip stream.
    #[error("the body is not gzip: {0}")]
    NotGzip(String),
    /// It exceeds the limit when inflated.
    #[error("the body is larger than {limit} bytes when inflated")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It cannot be read from its source.
    #[error("the body cannot be read: {0}")]
    Unreadable(String),
}

/// Inflates a gzip stream (RFC 1952, several members allowed) of at most `limit` bytes when inflated.
pub fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    super::read_whole(true, bytes, limit)
}

/// Passes a body to `read` as a stream of at most `limit` bytes, inflated if it is gzip.
pub(super) fn inflated<T>(
    body: impl Read,
    is_gzip: bool,
    limit: usize,
    read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> Result<T, InflateError> {
    let mut source = Limited { left: limit, is_too_large: false, inner: Body::new(body, is_gzip) };
    // Reads what `read` left over, so that the limit applies to the whole body.
    let result = read(&mut source).and_then(|read| io::copy(&mut source, &mut io::sink()).map(|_| read));
    if source.is_too_large {
        return Err(InflateError::TooLarge { limit });
    }
    result.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof if is_gzip => {
            InflateError::NotGzip(error.to_string())
        }
        _ => InflateError::Unreadable(error.to_string()),
    })
}

enum Body<R> {
    Gzip(Box<MultiGzDecoder<io::BufReader<R>>>),
    Plain(R),
}

impl<R: Read> Body<R> {
    fn new(body: R, is_gzip: bool) -> Self {
        if is_gzip { Self::Gzip(Box::new(MultiGzDecoder::new(io::BufReader::new(body)))) } else { Self::Plain(body) }
    }
}

/// Fails once more than `left` bytes were read.
struct Limited<R> {
    inner: Body<R>,
    left: usize,
    is_too_large: bool,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.inner {
            Body::Gzip(inner) => inner.read(buffer)?,
            Body::Plain(inner) => inner.read(buffer)?,
        };
        self.is_too_large |= count > self.left;
        if self.is_too_large {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.left -= count;
        Ok(count)
    }
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
