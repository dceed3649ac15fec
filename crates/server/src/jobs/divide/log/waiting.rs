//! One part of all chunks, one after another, in a file without a name: it goes with whoever has it open.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use echosphere_storage::{Error, Pieces};
use futures_util::{StreamExt, stream};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// How much of it is read at a time, in bytes.
const PIECE: usize = 1 << 20;

/// A part of a capture log that is not stored yet.
pub(super) struct Waiting {
    file: File,
    lengths: Vec<u32>,
}

impl Waiting {
    /// Makes a file at this path, and takes its name away.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        // A process may have ended, or another task may be, between the two steps.
        remove(path)?;
        let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        remove(path)?;
        Ok(Self { file: File::from_std(file), lengths: Vec::new() })
    }

    /// Takes the part of the next chunk.
    pub(super) async fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lengths.push(u32::try_from(bytes.len()).map_err(io::Error::other)?);
        self.file.write_all(bytes).await
    }

    /// The lengths of all that it took, in bytes.
    pub(super) fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// All of it, after a head.
    pub(super) async fn pieces(mut self, head: Vec<u8>) -> io::Result<Pieces> {
        self.file.flush().await?;
        self.file.rewind().await?;
        let read = |mut file: File| async move {
            let mut piece = BytesMut::with_capacity(PIECE);
            match file.read_buf(&mut piece).await {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some((piece.freeze(), file))),
                Err(source) => Err(Error::Io { action: "read", target: "a part of a capture log".to_owned(), source }),
            }
        };
        let head = stream::once(std::future::ready(Ok(Bytes::from(head))));
        Ok(head.chain(stream::try_unfold(self.file, read)).boxed())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
