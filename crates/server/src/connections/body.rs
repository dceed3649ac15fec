//! The bodies of requests and answers, wrapped so that their connection knows how far they are.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::connection::Connection;

/// How much more is read of a body that nobody wants, in bytes, so that its sender reads the answer instead of seeing a reset.
const REST: u64 = 32 << 20;
/// For how long it is read.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of a request.
pub(super) struct Sent {
    inner: Option<Incoming>,
    connection: Arc<Connection>,
    /// Whether the sender was asked for it: one that waits for that (`Expect: 100-continue`) sends nothing before.
    is_asked_for: bool,
}

impl Sent {
    /// `waits`: whether the sender waits until it is asked for the body.
    pub(super) fn new(inner: Incoming, connection: Arc<Connection>, waits: bool) -> Self {
        let inner = Some(inner).filter(|inner| !inner.is_end_stream());
        Self { inner, connection, is_asked_for: !waits }
    }

    /// Whether there is anything in it.
    pub(super) fn is_some(&self) -> bool {
        self.inner.is_some()
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_asked_for = true;
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = Pin::new(inner).poll_frame(cx);
        match &frame {
            Poll::Pending => self.connection.halts(),
            Poll::Ready(Some(Ok(frame))) => self.connection.received(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(None | Some(Err(_))) => {
                self.inner = None;
                self.connection.body_ended();
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if inner.is_end_stream() {
            return self.connection.body_ended();
        }
        // If the sender was never asked for the body, it sends none, and the connection ends with the answer.
        let (true, Ok(runtime)) = (self.is_asked_for, tokio::runtime::Handle::try_current()) else { return };
        let connection = Arc::clone(&self.connection);
        runtime.spawn(async move {
            let _ = tokio::time::timeout(PATIENCE, drain(inner)).await;
            connection.body_ended();
        });
    }
}

async fn drain(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        if bytes > REST {
            return;
        }
    }
}

/// The body of an answer.
pub(super) struct Answer {
    inner: axum::body::Body,
    connection: Arc<Connection>,
}

impl Answer {
    pub(super) fn new(inner: axum::body::Body, connection: Arc<Connection>) -> Self {
        Self { inner, connection }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.answered();
    }
}
