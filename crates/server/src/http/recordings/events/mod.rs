//! `GET /v1/recordings/{id}/events`: what happens to a recording, as server-sent events (WHATWG HTML, section 9.2).
//!
//! One [`watcher`] looks at a recording for all who listen, and hands them its newest state. A listener sends what changed since
//! the state that it sent last: so nothing waits in a queue, and who is slow gets the newest state later. No listener stays for
//! ever: its place ends after `http.listener_life`, and a browser comes back for another.

mod changes;
mod frame;
mod places;
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
use self::watcher::Newest;
pub use self::watcher::{Snapshot, Watchers};
use crate::app::SharedApp;
use crate::clock;
use crate::http::access::{Caller, Signed, Viewer};
use crate::http::problem::Problem;

/// How long a listener is told nothing, at most: a proxy closes a connection on which nothing comes for a minute, and a listener that
/// is gone is found out by telling it something.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// How often it is looked whether a listener is still signed in.
const LOOK: Duration = Duration::from_secs(5);
/// How soon a listener comes back after its connection broke.
const RETRY: Duration = Duration::from_secs(2);

/// What happens to a recording, as it happens. The first events tell the present state, so that a late listener lacks nothing:
/// `status` (the recording), `turns` (the transcript). Then `status` whenever it changes, `turn` for each turn that is new or
/// changed (by its `id`), `turns` when all are new, `segment` when there is more to hear, `end` after COMPLETED or FAILED.
/// A client that comes back with the `Last-Event-ID` of the present state is not told it again; when the recording is over, it
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
        (status = 204, description = "The recording is over, and the client was told before"),
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
        stopping: app.stopping.subscribe(),
        until: Instant::now() + app.config.http.listener_life,
        app,
        newest,
        last,
        told: None,
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
    // nginx would hold events back until its buffer is full.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(([kind, uncached, unbuffered], Body::from_stream(pieces)).into_response())
}

struct Listener {
    app: SharedApp,
    base: String,
    /// Whoever listens, until what it came with ends.
    caller: Caller,
    /// When it was looked whether it has.
    looked: Instant,
    newest: watch::Receiver<Newest>,
    stopping: watch::Receiver<bool>,
    /// What the client had before it came (back).
    last: Option<String>,
    told: Option<Arc<Snapshot>>,
    queue: VecDeque<Frame>,
    /// Of the event that is being sent.
    pieces: VecDeque<Bytes>,
    /// When it has to come again.
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
            if self.told.as_ref().is_some_and(|told| told.is_over) || *self.stopping.borrow() {
                return None;
            }
            if !self.may_stay().await {
                return None;
            }
            let newest = self.newest.borrow_and_update().clone();
            if let Some(newest) = newest.filter(|newest| self.told.as_ref().is_none_or(|told| told.id != newest.id)) {
                self.tell(newest);
                continue;
            }
            let look_again = self.look_again();
            tokio::select! {
                _ = self.stopping.changed() => {}
                () = tokio::time::sleep_until(self.until) => return None,
                () = self.place.end.notified() => return None,
                () = tokio::time::sleep_until(look_again) => {}
                changed = self.newest.changed() => changed.ok()?,
            }
        }
    }

    /// Whether what the listener came with is still good. A database that does not answer sends nobody away.
    async fn may_stay(&mut self) -> bool {
        if Instant::now() < self.look_again() {
            return true;
        }
        self.looked = Instant::now();
        self.caller.is_still_good(&self.app).await.unwrap_or(true)
    }

    /// When to look whether it is.
    fn look_again(&self) -> Instant {
        let left = self.caller.until().map(|until| until.since(clock::now()));
        let left = left.map_or(LOOK, |left| Duration::from_nanos(u64::try_from(left).unwrap_or(0)));
        (self.looked + LOOK).min(Instant::now() + left)
    }

    fn tell(&mut self, newest: Arc<Snapshot>) {
        let is_first = self.told.is_none();
        if is_first && self.last.as_deref() == Some(&newest.id) {
            self.queue.push_back(Frame::comment("nothing new", RETRY));
        } else {
            let show = |snapshot: &Snapshot| {
                let (captures, same_room) = (snapshot.captures.clone(), snapshot.same_room.clone());
                super::show(&self.app, &self.base, &self.caller, snapshot.recording.clone(), captures, same_room)
            };
            let mut events = changes::since(self.told.as_deref(), &newest, show);
            if is_first && !events.is_empty() {
                events.insert(0, Frame::comment("the present state", RETRY));
            }
            // Only who has all of a state may say so.
            if let Some(last) = events.pop() {
                events.push(last.id(&newest.id));
            }
            self.queue.extend(events);
        }
        self.told = Some(newest);
    }
}
