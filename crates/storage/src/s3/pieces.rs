//! Objects that are read piece by piece: with one request, however long they are, as long as nothing breaks off.

use std::ops::Range;

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::{GetOptions, GetRange, ObjectStore as _};

use super::answer::{Meaning, Refusal};
use super::{AGAIN, S3Store};
use crate::{Pieces, Result};

/// The highest end of a range that is said to a server: some read it as a signed number.
const LAST_END: u64 = i64::MAX as u64;

/// An object that is being read.
struct Reading {
    store: S3Store,
    key: ObjectKey,
    /// What was not read yet.
    rest: Range<u64>,
    answer: BoxStream<'static, object_store::Result<Bytes>>,
    /// How often it may break off before more of it comes.
    again: usize,
}

/// A range of an object, cut off at its end. What breaks off is asked for again from there.
pub(super) async fn read(store: &S3Store, key: &ObjectKey, range: Range<u64>) -> Result<Pieces> {
    if range.is_empty() {
        return Ok(stream::empty().boxed());
    }
    let answer = ask(store, key, range.clone()).await?;
    let reading = Reading { store: store.clone(), key: key.clone(), rest: range, answer, again: AGAIN };
    Ok(stream::try_unfold(reading, next).boxed())
}

async fn ask(
    store: &S3Store,
    key: &ObjectKey,
    range: Range<u64>,
) -> Result<BoxStream<'static, object_store::Result<Bytes>>> {
    let get = |inner: AmazonS3, path| async move {
        let range = match range.end {
            LAST_END.. => GetRange::Offset(range.start),
            _ => GetRange::Bounded(range),
        };
        match inner.get_opts(&path, GetOptions { range: Some(range), ..GetOptions::default() }).await {
            Err(error) if Refusal::of(&error).meaning == Meaning::NoRange => Ok(stream::empty().boxed()),
            got => Ok(got?.into_stream()),
        }
    };
    store.call("read", key, |inner, path| get.clone()(inner, path)).await
}

async fn next(mut reading: Reading) -> Result<Option<(Bytes, Reading)>> {
    loop {
        let error = match reading.answer.next().await {
            None => return Ok(None),
            Some(Ok(piece)) => {
                reading.rest.start += piece.len() as u64;
                reading.again = AGAIN;
                return Ok(Some((piece, reading)));
            }
            Some(Err(error)) => error,
        };
        let Some(again) = reading.again.checked_sub(1) else {
            let refusal = Refusal::of(&error);
            return Err(refusal.into_error("read", reading.key.to_string(), &reading.store.bucket.name));
        };
        reading.again = again;
        reading.answer = ask(&reading.store, &reading.key, reading.rest.clone()).await?;
    }
}
