//! The HTTP listener: accepts connections, limits and watches them, and ends them in order at a shutdown.
//!
//! It speaks HTTP/1 alone. When as many connections are open as are allowed, those make room that ask for nothing: those whose
//! headers do not come, and those between two requests. Uploads and events under way stay, unless their client has stopped
//! reading. Whatever takes too long is ended by [`watch()`].

mod body;
mod connection;
mod descriptors;
mod stream;
mod table;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use self::body::{Answer, Sent};
use self::connection::{Connection, Limit};
use self::stream::Watched;
use self::table::{Place, Table};
use crate::config::Http;
use crate::signals::Stop;

pub use descriptors::raise as raise_descriptors;

/// The longest head of a request, its line and its headers, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// How often to look for connections that have taken too long.
const LOOK: Duration = Duration::from_millis(500);
/// How many connections more than allowed, about to end and still there, may be open before accepting waits for them.
const ENDING: usize = 64;
/// For how many milliseconds it waits at most.
const MOMENTS: usize = 50;
/// How long accepting pauses when the system has no descriptor for a connection.
const REST: Duration = Duration::from_millis(20);
/// How long connections that are ended at a shutdown may take to close.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// A listener and what it serves.
pub struct Listener {
    /// Where connections come from.
    pub socket: TcpListener,
    /// What answers.
    pub router: Router,
    /// The limits that apply to connections.
    pub limits: Http,
    /// Cancelled when it has to stop.
    pub stop: Stop,
    /// How long requests under way may take after that.
    pub grace: Duration,
}

impl Listener {
    /// Serves until it has to stop, and then until all requests under way have ended, for `grace` at most. False when some had not.
    pub async fn serve(self) -> bool {
        let table = Table::new();
        let most = descriptors::most_connections(self.limits.max_connections);
        tracing::info!(connections = most, "connections are limited");
        let watch = tokio::spawn(watch(Arc::clone(&table), self.limits.clone()));
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Some(place) = admit(&table, most, &stream).await {
                        let connection = serve(stream, peer, place, self.router.clone(), self.stop.clone());
                        let alive = alive.clone();
                        tokio::spawn(async move {
                            connection.await;
                            drop(alive);
                        });
                    }
                }
                Err(error) => refused(&table, &error).await,
            }
        }
        drop((self.socket, alive));
        let is_done = tokio::time::timeout(self.grace, all_gone.recv()).await.is_ok();
        if !is_done {
            table.end_all();
            let _ = tokio::time::timeout(LAST_MOMENTS, all_gone.recv()).await;
        }
        watch.abort();
        is_done
    }
}

/// A place in the table for a connection; room is made for it if need be. Answers 503 when no connection can be spared and
/// [`ENDING`] more than allowed are open.
async fn admit(table: &Arc<Table>, most: usize, stream: &TcpStream) -> Option<Place> {
    let open = table.len();
    if open >= most && table.make_room(1, Limit::Connections) == 0 && open >= most + ENDING {
        table.met(Limit::Connections);
        let busy =
            b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.try_write(busy);
        return None;
    }
    let place = table.enter();
    // Lets connections that were ended go.
    for _ in 0..MOMENTS {
        if table.len() <= most + ENDING {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Some(place)
}

/// Handles an error of accepting: the client is gone already, or the system has no descriptor for the connection.
async fn refused(table: &Arc<Table>, error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    if table.make_room(8, Limit::Descriptors) == 0 {
        table.met(Limit::Descriptors);
    }
    tracing::debug!(%error, "a connection cannot be accepted");
    tokio::time::sleep(REST).await;
}

async fn watch(table: Arc<Table>, limits: Http) {
    loop {
        tokio::time::sleep(LOOK).await;
        table.end_overdue(&limits);
    }
}

/// One connection, from its first request to its end.
async fn serve(stream: TcpStream, peer: SocketAddr, place: Place, router: Router, stop: Stop) {
    // No piece of an answer waits until the one before is acknowledged.
    let _ = stream.set_nodelay(true);
    let connection = Arc::clone(&place.connection);
    let io = TokioIo::new(Watched { stream, connection: Arc::clone(&connection) });
    let asked = Arc::clone(&connection);
    let service = hyper::service::service_fn(move |request| answer(router.clone(), Arc::clone(&asked), peer, request));
    let mut builder = http1::Builder::new();
    // Timeouts are enforced by `watch`, which sees more.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_header_size(MAX_HEAD);
    let mut served = pin!(builder.serve_connection(io, service));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            _ = &mut served => return,
            () = connection.give_up.notified() => return,
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    router: Router,
    connection: Arc<Connection>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Answer>, std::convert::Infallible> {
    let waits = request.headers().contains_key(header::EXPECT);
    let mut request = request.map(|body| Sent::new(body, Arc::clone(&connection), waits));
    connection.asked(request.body().is_some());
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.oneshot(request.map(axum::body::Body::new)).await?;
    Ok(response.map(|body| Answer::new(body, connection)))
}
