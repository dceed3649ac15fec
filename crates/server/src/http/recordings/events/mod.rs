//! `GET /v1/recordings/{id}/events`: what happens to a recording, as server-sent events (WHATWG HTML, section 9.2).
//!
//! One task ([`watcher`]) looks at a recording for all its clients, and hands out its newest state. Each client is sent what
//! changed since the state that it was sent last: so states do not queue up, and a slow client gets the newest one later. No client
//! stays for ever: its stream ends after `http.listener_life`, and a browser reconnects.

mod changes;
mod frame;
mod places;
mod snapshot;
mod watcher;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::Instant;

use self::frame::Frame;
use self::places::Place;
pub use self::snapshot::Snapshot;
use self::watcher::Newest;
pub use self::watcher::Watchers;
use crate::clock;
use crate::http::access::{Caller, Signed, Viewer};
use crate::http::problem::Problem;
use crate::http::state::SharedApp;

/// The longest time for which a client is sent nothing: proxies close a connection that is silent for a minute, and a client that
/// has gone is noticed only when something is sent to it.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// How often it is checked whether a client's credential is still valid.
const LOOK: Duration = Duration::from_secs(5);
/// How soon a client reconnects after its connection broke.
const RETRY: Duration = Duration::from_secs(2);

/// What happens to a recording, as it happens. The first events give the present state, so that a late listener lacks nothing:
/// `status` (the recording), `turns` (the transcript). Then `status` whenever it changes, `turn` for each turn that is new or
/// changed (by its `id`), `turns` when all are new, `segment` when there is more to hear, `end` after COMPLETED or FAILED.
/// A client that comes back with the `Last-Event-ID` of the present state does not get it again; when the recording is over, it
/// is answered 204, after which an `EventSource` stays away.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/events", tag = "recordings", operation_id = "watchRecording",
    params(
        ("id" = String, Path, description = "The recording's id"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that came"),
        Signed,
    ),
    responses(
        (status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String),
        (status = 204, description = "The recording is over, and the client knows it already"),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many listen", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (recording, _) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    if last.is_some() && recording.state.status.is_terminal() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let busy = || Problem::unavailable("too many listen to recordings now; ask for the recording itself instead");
    let place = app.watchers.admit(&recording).ok_or_else(busy)?;
    let newest = Watchers::subscribe(&app, &recording);
    let listener = Listener {
        base: super::base(&app, &headers),
        caller,
        looked: Instant::now(),
        until: Instant::now() + app.config.http.listener_life,
        app,
        newest,
        last,
        sent: None,
        queue: VecDeque::new(),
        pieces: VecDeque::new(),
        place,
    };
    let pieces = stream::unfold(listener, |mut listener| async move {
        let piece = listener.next_piece().await?;
        Some((Ok::<_, Infallible>(piece), listener))
    });
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    let uncached = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Otherwise nginx would not pass events on until its buffer is full.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(([kind, uncached, unbuffered], Body::from_stream(pieces)).into_response())
}

struct Listener {
    app: SharedApp,
    base: String,
    /// Who the client is; its stream ends with its credential.
    caller: Caller,
    /// When its credential was last checked.
    looked: Instant,
    newest: watch::Receiver<Newest>,
    /// The id of the last event that the client received before this request.
    last: Option<String>,
    /// The state that was sent last.
    sent: Option<Arc<Snapshot>>,
    queue: VecDeque<Frame>,
    /// What is left of the event that is being sent.
    pieces: VecDeque<Bytes>,
    /// When its stream ends, and it has to reconnect.
    until: Instant,
    place: Place,
}

impl Listener {
    /// The next bytes; `None` when there will be none.
    async fn next_piece(&mut self) -> Option<Bytes> {
        if self.pieces.is_empty() {
            match tokio::time::timeout(HEARTBEAT, self.next()).await {
                Ok(event) => self.pieces.extend(event?.into_pieces().into_iter().filter(|piece| !piece.is_empty())),
                Err(_) => self.pieces.push_back(Bytes::from_static(b":\n\n")),
            }
        }
        self.pieces.pop_front()
    }

    /// The next event; `None` when there will be none.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            if self.sent.as_ref().is_some_and(|sent| sent.is_over) || self.app.stop.is_cancelled() {
                return None;
            }
            if !self.may_stay().await {
                return None;
            }
            let newest = self.newest.borrow_and_update().clone();
            if let Some(newest) = newest.filter(|newest| self.sent.as_ref().is_none_or(|sent| sent.id != newest.id)) {
                self.enqueue(newest);
                continue;
            }
            let look_again = self.look_again();
            tokio::select! {
                () = self.app.stop.cancelled() => {}
                () = tokio::time::sleep_until(self.until) => return None,
                () = self.place.end.notified() => return None,
                () = tokio::time::sleep_until(look_again) => {}
                changed = self.newest.changed() => changed.ok()?,
            }
        }
    }

    /// Whether the client's credential is still valid. While the database does not answer, every client may stay.
    async fn may_stay(&mut self) -> bool {
        if Instant::now() < self.look_again() {
            return true;
        }
        self.looked = Instant::now();
        self.caller.is_still_good(&self.app).await.unwrap_or(true)
    }

    /// When to check the credential next.
    fn look_again(&self) -> Instant {
        let left = self.caller.until().map(|until| until.since(clock::now()));
        let left = left.map_or(LOOK, |left| Duration::from_nanos(u64::try_from(left).unwrap_or(0)));
        (self.looked + LOOK).min(Instant::now() + left)
    }

    fn enqueue(&mut self, newest: Arc<Snapshot>) {
        let is_first = self.sent.is_none();
        if is_first && self.last.as_deref() == Some(&newest.id) {
            self.queue.push_back(Frame::comment("nothing new", RETRY));
        } else {
            let show = |snapshot: &Snapshot| {
                let (captures, same_room) = (snapshot.captures.clone(), snapshot.same_room.clone());
                super::show(&self.app, &self.base, &self.caller, snapshot.recording.clone(), captures, same_room)
            };
            let mut events = changes::since(self.sent.as_deref(), &newest, show);
            if is_first && !events.is_empty() {
                events.insert(0, Frame::comment("the present state", RETRY));
            }
            // The id comes with the last event, so that a client that names it has all of the state.
            if let Some(last) = events.pop() {
                events.push(last.id(&newest.id));
            }
            self.queue.extend(events);
        }
        self.sent = Some(newest);
    }
}
