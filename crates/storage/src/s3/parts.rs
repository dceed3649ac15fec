//! Objects that are written in parts: however long they are, a few parts are in memory.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use echosphere_domain::key::ObjectKey;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::{ObjectStore as _, PutMultipartOptions, WriteMultipart};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::answer::{Meaning, Refusal};
use super::{S3Store, attributes};
use crate::{Error, ObjectStore, Pieces, Result};

/// The length of a part, in bytes; what is no longer is written at once. With S3's 10,000 parts an object may have 78 GiB.
pub(super) const PART: usize = 8 << 20;
/// How many parts are on their way at once.
const AT_ONCE: usize = 3;
/// How much of a file is read at a time, in bytes.
const READ: usize = 1 << 20;

/// The bytes of a file, piece by piece.
pub(super) fn of_file(file: &Path) -> Pieces {
    let path = file.to_owned();
    let opened = async move {
        match File::open(&path).await {
            Ok(file) => Ok(pieces_of(file, path)),
            Err(error) => Err(Error::io("read", path.display(), error)),
        }
    };
    stream::once(opened).try_flatten().boxed()
}

fn pieces_of(file: File, path: PathBuf) -> Pieces {
    let read = move |mut file: File| {
        let target = path.display().to_string();
        async move {
            let mut piece = BytesMut::with_capacity(READ);
            match file.read_buf(&mut piece).await {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some((piece.freeze(), file))),
                Err(error) => Err(Error::io("read", target, error)),
            }
        }
    };
    stream::try_unfold(file, read).boxed()
}

/// Stores what comes as an object: at once if it is no longer than a part, else in parts, which become an object when all of them are there.
pub(super) async fn put(store: &S3Store, key: &ObjectKey, mut pieces: Pieces) -> Result<()> {
    // Pieces are passed on as they are: a copy of each would double what is in memory.
    let (mut first, mut length) = (Vec::new(), 0);
    while length <= PART as u64 {
        match pieces.next().await {
            Some(piece) => {
                first.push(piece?);
                length += first.last().map_or(0, |piece| piece.len() as u64);
            }
            None => return store.put(key, first.concat().into()).await,
        }
    }
    let failed =
        |error: &object_store::Error| Refusal::of(error).into_error("store", key.to_string(), &store.bucket.name);
    let begin = |inner: AmazonS3, path| {
        let options = PutMultipartOptions { attributes: attributes(key), ..PutMultipartOptions::default() };
        async move { inner.put_multipart_opts(&path, options).await }
    };
    let mut parts = WriteMultipart::new_with_chunk_size(store.call("store", key, begin).await?, PART);
    for piece in first {
        parts.put(piece);
    }
    let written = async {
        while let Some(piece) = pieces.next().await {
            let piece: Bytes = piece?;
            length += piece.len() as u64;
            parts.wait_for_capacity(AT_ONCE).await.map_err(|error| failed(&error))?;
            parts.put(piece);
        }
        Ok(())
    };
    if let Err(error) = written.await {
        give_up(parts, key).await;
        return Err(error);
    }
    match parts.finish().await {
        Ok(_) => Ok(()),
        // It may have been put together although nobody heard the answer: what is there then says so.
        Err(error) if Refusal::of(&error).meaning == Meaning::NoObject => match store.head(key).await? {
            Some(meta) if meta.size == length => Ok(()),
            _ => Err(failed(&error)),
        },
        Err(error) => Err(failed(&error)),
    }
}

async fn give_up(parts: WriteMultipart, key: &ObjectKey) {
    if let Err(error) = parts.abort().await {
        tracing::warn!(%key, %error, "parts of an object are left in the bucket; a lifecycle rule (AbortIncompleteMultipartUpload) removes them");
    }
}
