//! Persists a live capture: cuts chunks, uploads them, publishes live segments, and writes what was found out into the database.
//!
//! Cutting, uploading and rendering go on alongside each other, so that a storage that hangs keeps nothing from the disk.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use echosphere_domain::lifecycle::Status;
use echosphere_domain::time::WallTime;
use echosphere_recorder::room::{Command, Order, next_moment};
use tokio::sync::oneshot;

use super::listing::Listing;
use super::session::RoomSession;
use crate::error::Error;

/// How often to look whether something is due.
const LOOK: Duration = Duration::from_millis(200);
/// While chunks go to the disk first: how often one is cut at least, and the size from which on it is cut earlier, because a sync
/// for each costs the disk more than its bytes.
const SPOOLED_CHUNK: (Duration, usize) = (Duration::from_secs(8), 64 << 10);
/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long storage may take for a room's last chunks before the room's name can be used again in the meantime.
const PROMPT: Duration = Duration::from_millis(300);
/// How long storage may take for the last chunk of a room that is handed over, before the chunk stays on the disk.
const HAND_OVER: Duration = Duration::from_secs(2);

/// Persists until `end` says how the room ended: true when it is over, false when another process goes on. Then persists the rest,
/// and writes that the room has ended, if it has.
pub(super) async fn persist(session: Arc<RoomSession>, end: oneshot::Receiver<bool>) {
    let keeping = async {
        let mut known = Known::of(&session);
        let ended = tokio::select! {
            ended = end => ended.unwrap_or(false),
            ((), (), (), ()) = async {
                tokio::join!(cut(&session), follow(&session, &mut known), session.measure_earlier(), session.draw())
            } => false,
        };
        finish(&session, known, ended).await;
    };
    tokio::select! {
        () = keeping => {}
        () = session.upload() => {}
    }
    session.recorder.jobs.ring();
}

/// Waits until it is time to look. All rooms look at the same moments, so that the processor is woken once for all of them.
async fn look() {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    tokio::time::sleep_until(next_moment(*FIRST, Instant::now(), LOOK).into()).await;
}

/// Cuts chunks, for ever.
async fn cut(session: &RoomSession) {
    let mut cut_at = Instant::now();
    let chunk = session.recorder.config.chunk();
    loop {
        look().await;
        let (after, size) = if session.outbox.is_empty() { (chunk, usize::MAX) } else { SPOOLED_CHUNK };
        if cut_at.elapsed() < chunk.min(after) || (cut_at.elapsed() < after && session.capture().filling() < size) {
            continue;
        }
        match session.cut().await {
            Ok(()) => cut_at = Instant::now(),
            Err(error) => {
                tracing::error!(recording = %session.recording.id, %error, "neither object storage nor the disk takes what is heard");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Writes what was found out into the rows, and lists segments, for ever.
async fn follow(session: &RoomSession, known: &mut Known) {
    let mut listing = Listing::before(session.rendered.unwrap_or(0));
    loop {
        tokio::select! {
            () = look() => {}
            () = session.readers.wait() => {}
        }
        let followed = async {
            known.write(session).await?;
            if session.rendered.is_some() { session.list_due(&mut listing).await } else { Ok(()) }
        };
        if let Err(error) = followed.await {
            tracing::warn!(recording = %session.recording.id, %error, "a room cannot be followed now");
            metrics::counter!("echosphere_live_storage_failures_total").increment(1);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Persists the rest of a room. When this process stops before storage has taken it, it lies on the disk, and the next process goes
/// on from there.
async fn finish(session: &RoomSession, mut known: Known, ended: bool) {
    if ended {
        tokio::select! {
            () = come_to_the_end(session, &mut known) => return,
            () = async {
                session.recorder.stop.cancelled().await;
                tokio::time::sleep(HAND_OVER).await;
            } => {}
        }
    }
    let left = async {
        session.cut().await?;
        let _ = tokio::time::timeout(HAND_OVER, session.outbox.emptied()).await;
        session.spool().await
    };
    if let Err(error) = left.await {
        tracing::error!(recording = %session.recording.id, %error, "the end of what was heard is in the journal only");
    }
}

async fn come_to_the_end(session: &RoomSession, known: &mut Known) {
    loop {
        match end(session, known).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(recording = %session.recording.id, %error, "the end of a room cannot be kept now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn end(session: &RoomSession, known: &mut Known) -> Result<(), Error> {
    session.cut().await.map_err(Error::io("keep a chunk"))?;
    known.write(session).await?;
    if tokio::time::timeout(PROMPT, session.outbox.emptied()).await.is_err() {
        session.recorder.store.room_over(session.room(), session.recorder.clock.now()).await?;
        session.outbox.emptied().await;
    }
    session.recorder.store.room_ended(session.room(), session.recorder.clock.now()).await?;
    Ok(())
}

/// What the rows know of a room.
struct Known {
    is_joined: bool,
    is_heard: bool,
}

impl Known {
    fn of(session: &RoomSession) -> Self {
        Self { is_joined: false, is_heard: session.recording.state.status == Status::Active }
    }

    /// Writes what was found out about the room into the rows.
    async fn write(&mut self, session: &RoomSession) -> Result<(), Error> {
        let (store, id) = (&session.recorder.store, session.recording.id);
        if !self.is_joined {
            let sid = session.capture().assembler().room().map(|room| room.room_sid.clone());
            if let Some(sid) = sid {
                if let Some(other) = store.room_joined(session.room(), &sid).await? {
                    tracing::warn!(recording = %id, %other, "the room is recorded already; this recording is given up");
                    let _ = session.orders.send(Order::from(Command::Stop));
                }
                self.is_joined = true;
            }
        }
        loop {
            let next = session.excluded().first().cloned();
            let Some((identity, who)) = next else { break };
            store.note_left_out(session.room(), who).await?;
            let sid = session.capture().assembler().room().map(|room| room.room_sid.clone());
            if let Some(sid) = sid {
                store.leave_out(&session.recording.project, &sid, &identity, session.recorder.clock.now()).await?;
            }
            session.excluded().remove(0);
        }
        if !self.is_heard {
            let zero = session.capture().assembler().zero();
            if let Some(zero) = zero {
                store.heard(session.room(), WallTime::from_nanos(zero)).await?;
                self.is_heard = true;
            }
        }
        Ok(())
    }
}
