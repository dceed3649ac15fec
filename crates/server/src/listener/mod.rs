//! The HTTP listener: connections accepted, limited, watched, and ended in order.
//!
//! HTTP/1 alone. When as many connections are open as may be, room is made by those that ask for nothing: headers that do not
//! come, connections between two requests. Uploads and events under way stay. Whatever takes too long is ended by [`watch`].

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
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use self::body::{Answer, Sent};
use self::connection::{Connection, Limit};
use self::stream::Watched;
use self::table::{Place, Table};
use crate::config::Http;

pub use descriptors::raise as raise_descriptors;

/// The longest head of a request: its line and its headers.
const MAX_HEAD: usize = 64 << 10;
/// How often to look for connections that have taken too long.
const LOOK: Duration = Duration::from_millis(500);
/// Connections that are about to end and still there, at most, before accepting waits for them.
const ENDING: usize = 64;
/// For how many milliseconds it does.
const MOMENTS: usize = 50;
/// How long accepting rests when the system has nothing to accept with.
const REST: Duration = Duration::from_millis(20);
/// How long ended connections have to be gone.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// A listener and what it serves.
pub struct Listener {
    /// Where connections come from.
    pub socket: TcpListener,
    /// What answers.
    pub router: Router,
    /// What it holds to.
    pub limits: Http,
    /// Turns true when it is to stop.
    pub stopping: watch::Receiver<bool>,
    /// How long requests under way may take then.
    pub grace: Duration,
}

impl Listener {
    /// Serves until it is to stop, and requests under way have come to their end or the grace has. False when some had not.
    pub async fn serve(self) -> bool {
        let table = Table::new();
        let most = descriptors::most_connections(self.limits.max_connections);
        tracing::info!(connections = most, "connections are limited");
        let watch = tokio::spawn(watch(Arc::clone(&table), self.limits.clone()));
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        let mut stopping = self.stopping.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Some(place) = admit(&table, most, &stream).await {
                        let connection = serve(stream, peer, place, self.router.clone(), self.stopping.clone());
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

/// A place for a connection, when there is one or can be made one.
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
    // Those that were ended get to go.
    for _ in 0..MOMENTS {
        if table.len() <= most + ENDING {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Some(place)
}

/// Nothing was accepted: a client that was gone again, or nothing to accept with.
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
async fn serve(stream: TcpStream, peer: SocketAddr, place: Place, router: Router, mut stopping: watch::Receiver<bool>) {
    // An answer in several pieces does not wait until the one before is acknowledged.
    let _ = stream.set_nodelay(true);
    let connection = Arc::clone(&place.connection);
    let io = TokioIo::new(Watched { stream, connection: Arc::clone(&connection) });
    let asked = Arc::clone(&connection);
    let service = hyper::service::service_fn(move |request| answer(router.clone(), Arc::clone(&asked), peer, request));
    let mut builder = http1::Builder::new();
    // Time is kept by `watch`, which sees more.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_header_size(MAX_HEAD);
    let mut served = pin!(builder.serve_connection(io, service));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            _ = &mut served => return,
            () = connection.give_up.notified() => return,
            _ = stopping.wait_for(|stop| *stop), if !is_stopping => {
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
