//! The state machine of a recording: decides its next state and effects, and is the only place that does.
//!
//! `STARTING -> ACTIVE -> PROCESSING -> COMPLETED`, or `FAILED` when there is no sound, unless no audio was asked for.
//! [`step`] is total: every event in every state has a defined answer, and repeated or reordered events are normal.
//! Besides the status there are `partial`, `deletion`, `tier` and `revision`, which may still change after the end.

pub mod capture;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;

/// The status of a recording, as the API shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Requested; no sound has been received yet.
    Starting,
    /// Sound is being kept.
    Active,
    /// The session has ended; what was kept is being made playable.
    Processing,
    /// Everything that is listed can be played.
    Completed,
    /// There is no playable media.
    Failed,
}

impl Status {
    /// Every status, in the order of the lifecycle.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Active, Self::Processing, Self::Completed, Self::Failed];

    /// The word that the API and the database use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Active => "ACTIVE",
            Self::Processing => "PROCESSING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether nothing more is expected.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// A word that is not a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a status: expected STARTING, ACTIVE, PROCESSING, COMPLETED or FAILED")]
pub struct UnknownStatus(String);

/// How far the deletion of a recording has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletion {
    /// Not requested.
    #[default]
    None,
    /// To be requested at a time ([`State::delete_at`]); the only one that goes back.
    Scheduled,
    /// Requested; bytes may still exist.
    Pending,
    /// The bytes are gone.
    Done,
}

impl Deletion {
    /// Whether it was requested: from then on nothing more is kept, and it never goes back.
    pub const fn is_requested(self) -> bool {
        matches!(self, Self::Pending | Self::Done)
    }
}

/// Where the bytes of a recording are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Ready to be played.
    #[default]
    Hot,
    /// On its way to the archive.
    Archiving,
    /// In the archive: not playable without a restore.
    Archived,
    /// On its way back.
    Restoring,
}

/// Why a recording has no sound, or why it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Audio was not recorded, and nobody had asked for it.
    NoAudio,
    /// Audio was expected and did not come.
    AudioMissing,
    /// Audio came and could not be read.
    AudioUnreadable,
    /// The room is end-to-end encrypted: nothing can be heard without its key.
    Encrypted,
    /// LiveKit could not be reached, or refused us, before any sound was received.
    ConnectionLost,
    /// Nobody came into the room.
    NobodyCame,
}

/// Everything about a recording that only [`step`] may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// The status.
    pub status: Status,
    /// Whether something that was said is missing; the gaps say where and why.
    pub partial: bool,
    /// Why there is no sound, if there is none.
    pub reason: Option<Reason>,
    /// Which version of the segment index is current; 0 before there is one. Media time zero never changes.
    pub revision: u32,
    /// Whether its room is over while the rest of what was heard is still on its way to storage: the room's name is free again.
    pub is_over: bool,
    /// How far a deletion is.
    pub deletion: Deletion,
    /// When it is to be deleted, if its deletion is scheduled.
    pub delete_at: Option<WallTime>,
    /// Whether it is under legal hold: as long as it is, no deletion begins.
    pub is_held: bool,
    /// Where the bytes are.
    pub tier: Tier,
}

impl State {
    /// The state of a recording that begins now with a session that is still going on.
    pub const fn starting() -> Self {
        Self {
            status: Status::Starting,
            partial: false,
            reason: None,
            revision: 0,
            is_over: false,
            deletion: Deletion::None,
            delete_at: None,
            is_held: false,
            tier: Tier::Hot,
        }
    }

    /// The state of a recording that an upload begins: its session is over.
    pub const fn processing() -> Self {
        Self { status: Status::Processing, ..Self::starting() }
    }

    /// Whether it is the one live recording of its room: no other of the same room may be, and none of that name.
    pub const fn holds_room(&self) -> bool {
        matches!(self.status, Status::Starting | Status::Active) && !self.is_over && !self.deletion.is_requested()
    }
}

/// What all captures of a recording amount to together, after one of them was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// There is sound. `partial` when some of what was said is missing.
    Playable {
        /// Whether something is missing.
        partial: bool,
    },
    /// There is no sound.
    Silent {
        /// Why.
        reason: Reason,
        /// Whether something else (the transcript) is missing too.
        partial: bool,
    },
}

/// What happens to a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The first sound of a room that is being recorded was kept.
    Heard,
    /// The recorded room has ended, or recording was stopped; what was heard of it is not all in storage yet.
    RoomOver,
    /// The same, and all that was heard is in storage.
    RoomEnded,
    /// A session upload joined it and is about to be read.
    UploadJoined,
    /// A capture was read, and the segment index is replaced by what all captures together now amount to.
    Published(Content),
    /// A listed segment is neither stored nor renderable any more.
    SegmentLost,
    /// Its deletion was requested.
    DeletionRequested,
    /// Its deletion was scheduled for a time, or for another one.
    DeletionScheduled(WallTime),
    /// A scheduled deletion was called off.
    DeletionCancelled,
    /// It came under legal hold, or the hold was lifted.
    HoldSet(bool),
    /// Time has passed: what is scheduled may be due.
    TimePassed,
    /// The last of its bytes is gone.
    Erased,
}

/// What has to be done as a result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Render the segments of this revision that are not stored yet.
    Render {
        /// The revision.
        revision: u32,
    },
    /// Remove the bytes of everything that the recording owns.
    Erase,
    /// Find out what a room's capture log amounts to, and publish it.
    Finalize,
}

/// Decides what an event does to a recording at a time, and what has to follow.
///
/// A new recording steps from [`State::starting`], or from [`State::processing`]. The caller stores the new state and the effects in one transaction.
pub fn step(state: State, event: Event, now: WallTime) -> (State, Vec<Effect>) {
    match event {
        _ if state.deletion.is_requested() => step_deleted(state, event),
        Event::Heard => (heard(state), Vec::new()),
        Event::RoomOver => (State { is_over: true, ..state }, Vec::new()),
        Event::RoomEnded => room_ended(state),
        Event::UploadJoined => (upload_joined(state), Vec::new()),
        Event::Published(content) => published(state, content),
        Event::SegmentLost => (State { partial: true, ..state }, Vec::new()),
        Event::DeletionRequested if state.is_held => (state, Vec::new()),
        Event::DeletionRequested => deletion_begins(state),
        Event::DeletionScheduled(at) => due(State { deletion: Deletion::Scheduled, delete_at: Some(at), ..state }, now),
        Event::DeletionCancelled => (State { deletion: Deletion::None, delete_at: None, ..state }, Vec::new()),
        Event::HoldSet(is_held) => due(State { is_held, ..state }, now),
        Event::TimePassed => due(state, now),
        // Without a request there is nothing to finish: the message is about a deletion that was never requested here.
        Event::Erased => (state, Vec::new()),
    }
}

fn deletion_begins(state: State) -> (State, Vec<Effect>) {
    (State { deletion: Deletion::Pending, delete_at: None, ..state }, vec![Effect::Erase])
}

/// A scheduled deletion begins when its time has come, unless something holds the recording.
fn due(state: State, now: WallTime) -> (State, Vec<Effect>) {
    let is_due = state.deletion == Deletion::Scheduled && state.delete_at.is_some_and(|at| at <= now);
    if is_due && !state.is_held { deletion_begins(state) } else { (state, Vec::new()) }
}

/// A deleted recording gains nothing; whatever still arrives for it is erased as well.
fn step_deleted(state: State, event: Event) -> (State, Vec<Effect>) {
    match event {
        Event::Erased => (State { deletion: Deletion::Done, ..state }, Vec::new()),
        Event::UploadJoined | Event::Published(_) => deletion_begins(state),
        Event::DeletionRequested if state.deletion == Deletion::Pending => (state, vec![Effect::Erase]),
        Event::RoomOver => (State { is_over: true, ..state }, Vec::new()),
        Event::DeletionRequested
        | Event::DeletionScheduled(_)
        | Event::DeletionCancelled
        | Event::HoldSet(_)
        | Event::TimePassed
        | Event::SegmentLost
        | Event::Heard
        | Event::RoomEnded => (state, Vec::new()),
    }
}

/// From now on there is a segment index, which grows.
fn heard(state: State) -> State {
    match state.status {
        Status::Starting => State { status: Status::Active, revision: state.revision.max(1), ..state },
        Status::Active | Status::Processing | Status::Completed | Status::Failed => state,
    }
}

fn room_ended(state: State) -> (State, Vec<Effect>) {
    match state.status {
        Status::Starting | Status::Active => (State { status: Status::Processing, ..state }, vec![Effect::Finalize]),
        // Reported again: the process that handled the first report may have died before the work was done.
        Status::Processing => (state, vec![Effect::Finalize]),
        Status::Completed | Status::Failed => (state, Vec::new()),
    }
}

/// `COMPLETED` stays: it only gains revisions. `STARTING` and `ACTIVE` stay: the room decides when it ends, though one of its sessions is
/// over.
fn upload_joined(state: State) -> State {
    let status = match state.status {
        Status::Processing | Status::Failed => Status::Processing,
        Status::Starting | Status::Active | Status::Completed => state.status,
    };
    State { status, ..state }
}

fn published(state: State, content: Content) -> (State, Vec<Effect>) {
    let revision = state.revision.saturating_add(1);
    match content {
        Content::Playable { partial } => {
            let status = if state.status == Status::Active { Status::Active } else { Status::Completed };
            (State { status, partial, reason: None, revision, ..state }, vec![Effect::Render { revision }])
        }
        Content::Silent { reason, partial } => {
            let status = match (state.status, reason) {
                (Status::Active | Status::Completed, _) => state.status,
                (_, Reason::NoAudio) => Status::Completed,
                (_, _) => Status::Failed,
            };
            let partial = partial || reason != Reason::NoAudio;
            (State { status, partial, reason: Some(reason), revision, ..state }, Vec::new())
        }
    }
}

#[cfg(test)]
mod tests;
