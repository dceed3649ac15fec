//! The other half of a room: what was heard goes into object storage, as chunks of the log and as live segments.
//!
//! Cutting, sending and rendering go on beside each other, so that a storage that hangs keeps nothing from the disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::lifecycle::Status;
use echosphere_domain::time::WallTime;
use echosphere_recorder::room::Command;
use tokio::sync::oneshot;

use super::Session;
use crate::{clock, work};

/// How often to look whether something is due.
const LOOK: Duration = Duration::from_millis(200);
/// How often a chunk is cut.
const CHUNK: Duration = Duration::from_secs(2);
/// How often at least while chunks go to the disk first, and from which size on: a sync each costs the disk more than bytes.
const SPOOLED_CHUNK: (Duration, usize) = (Duration::from_secs(8), 64 << 10);
/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a room may take until its name can be used again in the meantime.
const PROMPT: Duration = Duration::from_millis(300);
/// How long storage may take for the last chunk of a room that is handed over, before the chunk stays on the disk.
const HAND_OVER: Duration = Duration::from_secs(2);

/// Keeps until it is told how the room ended: true when it is over, false when another process goes on. Then keeps the
/// rest, and says that the room has ended, if it has.
pub(super) async fn keep(session: Arc<Session>, end: oneshot::Receiver<bool>) {
    let keeping = async {
        let mut known = Known::of(&session);
        let ended = tokio::select! {
            ended = end => ended.unwrap_or(false),
            ((), (), ()) = async {
                tokio::join!(cut(&session), follow(&session, &mut known), session.measure_earlier())
            } => false,
        };
        finish(&session, known, ended).await;
    };
    tokio::select! {
        () = keeping => {}
        () = session.upload() => {}
    }
    session.app.work.wake();
}

/// Cuts chunks, for ever.
async fn cut(session: &Session) {
    let mut cut_at = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let (after, size) = if session.outbox.is_empty() { (CHUNK, usize::MAX) } else { SPOOLED_CHUNK };
        if cut_at.elapsed() < CHUNK || (cut_at.elapsed() < after && session.capture().filling() < size) {
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

/// Tells the rows what was found out, and renders, for ever.
async fn follow(session: &Session, known: &mut Known) {
    let mut next = session.rendered.unwrap_or(0);
    loop {
        tokio::time::sleep(LOOK).await;
        let mut outcome = known.tell(session).await;
        if outcome.is_ok() && session.rendered.is_some() {
            outcome = session.render_due(&mut next).await;
        }
        if let Err(error) = outcome {
            tracing::warn!(recording = %session.recording.id, %error, "a room cannot be followed now");
            metrics::counter!("echosphere_live_storage_failures_total").increment(1);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Keeps the rest of a room. When this process stops before storage has taken it, it lies on the disk, and the next one goes
/// on from there.
async fn finish(session: &Session, mut known: Known, ended: bool) {
    let mut stopping = session.app.stopping.subscribe();
    if ended {
        tokio::select! {
            () = come_to_the_end(session, &mut known) => return,
            () = async {
                let _ = stopping.wait_for(|stopping| *stopping).await;
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

async fn come_to_the_end(session: &Session, known: &mut Known) {
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

async fn end(session: &Session, known: &mut Known) -> Result<(), work::Error> {
    session.cut().await.map_err(|source| work::Error::Io { action: "keep a chunk", source })?;
    known.tell(session).await?;
    if tokio::time::timeout(PROMPT, session.outbox.emptied()).await.is_err() {
        session.app.store.room_over(session.recording.id).await?;
        session.outbox.emptied().await;
    }
    session.app.store.room_ended(session.recording.id, clock::now()).await?;
    Ok(())
}

/// What the rows know of a room.
struct Known {
    is_joined: bool,
    is_heard: bool,
}

impl Known {
    fn of(session: &Session) -> Self {
        Self { is_joined: false, is_heard: session.recording.state.status == Status::Active }
    }

    /// Tells the rows what was found out about the room.
    async fn tell(&mut self, session: &Session) -> Result<(), work::Error> {
        let (store, id) = (&session.app.store, session.recording.id);
        if !self.is_joined {
            let sid = session.capture().assembler().room().map(|room| room.room_sid.clone());
            if let Some(sid) = sid {
                if let Some(other) = store.room_joined(id, &sid).await? {
                    tracing::warn!(recording = %id, %other, "the room is recorded already; this recording is given up");
                    let _ = session.commands.try_send(Command::Stop);
                }
                self.is_joined = true;
            }
        }
        loop {
            let next = session.left_out().first().cloned();
            let Some((identity, who)) = next else { break };
            store.note_left_out(id, who).await?;
            let sid = session.capture().assembler().room().map(|room| room.room_sid.clone());
            if let Some(sid) = sid {
                store.leave_out(&session.recording.project, &sid, &identity, clock::now()).await?;
            }
            session.left_out().remove(0);
        }
        if !self.is_heard {
            let zero = session.capture().assembler().zero();
            if let Some(zero) = zero {
                store.heard(id, WallTime::from_nanos(zero)).await?;
                self.is_heard = true;
            }
        }
        Ok(())
    }
}
