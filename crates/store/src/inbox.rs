//! The inbox: webhooks, rooms that polling found, and requests of users. What is accepted is stored before it is answered, in the order in
//! which it was received, with what follows from it in the same transaction.

use async_trait::async_trait;
use echosphere_domain::id::{NodeId, ProjectId, RecordingId};
use echosphere_domain::time::WallTime;

use crate::Result;

/// Who an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// LiveKit, in a webhook.
    Webhook,
    /// This program, which asked LiveKit.
    Poll,
    /// A user, by the API.
    Api,
}

/// Which event it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The project that it is of.
    pub project: ProjectId,
    /// Who it comes from.
    pub origin: Origin,
    /// Its id there: the webhook's, the found room's sid, or a UUID of ours.
    pub id: String,
}

/// What has happened, or what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// LiveKit tells of something, in a webhook.
    Livekit {
        /// LiveKit's name of the event.
        event: String,
        /// The webhook's body, without secrets.
        body: String,
    },
    /// Polling found a room with somebody in it.
    RoomFound,
    /// A user asks something of a room that is being recorded: it waits for the room's owner.
    Asked(Command),
    /// A user asks for the deletion of a recording.
    DeletionAsked,
}

/// What a user may ask of a room that is being recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Stop recording.
    Stop,
    /// Keep nothing from now on.
    Pause,
    /// Keep again.
    Resume,
    /// Exclude this identity from now on.
    Exclude(String),
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which it is.
    pub id: EventId,
    /// What it says.
    pub what: What,
    /// The recording that it is about, if it names one.
    pub recording: Option<RecordingId>,
    /// LiveKit's id of the room; empty when it is about none, or a recording is named.
    pub room_sid: String,
    /// The room's name; empty likewise.
    pub room_name: String,
    /// Who asked, as their credentials say: the kind of these, never a name of a person.
    pub asked_by: Option<String>,
    /// When LiveKit created it, if it says so.
    pub created_at: Option<WallTime>,
    /// When it was received.
    pub received_at: WallTime,
    /// How often working on it has failed.
    pub attempts: u32,
}

impl Event {
    /// One that was received now, and names neither a recording nor a room.
    pub fn received(id: EventId, what: What, received_at: WallTime) -> Self {
        Self {
            id,
            what,
            recording: None,
            room_sid: String::new(),
            room_name: String::new(),
            asked_by: None,
            created_at: None,
            received_at,
            attempts: 0,
        }
    }
}

/// What became of an event when it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was stored, with all that follows from it so far.
    Stored,
    /// It is known, or the recording is deleted already: nothing was done again.
    Known,
    /// The recording that it is about does not go on any more, or does not exist: nothing was stored.
    Over,
    /// The recording is under legal hold, and is not deleted: nothing was stored.
    Held,
}

/// The answer to what a user asked of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It has acted.
    Acted,
    /// The room was over before.
    Over,
}

/// The inbox of events.
#[async_trait]
pub trait Inbox {
    /// Stores an event, and writes what follows from it, in one transaction that it may share with others.
    ///
    /// - What LiveKit tells and what polling found waits ([`Inbox::due_events`]). A room that is found again after it was worked on
    ///   waits again. Of a room of which nothing may be kept, neither name nor body are stored.
    /// - What is asked of a room that is being recorded counts for all sources from then on (pauses, who is excluded), and waits for the
    ///   room's owner ([`Inbox::asked_of`]).
    /// - A deletion that is asked for begins; while the recording's room has an owner, it waits for the owner as well, who is to leave the
    ///   room.
    ///
    /// Scope: project.
    async fn apply(&self, event: &Event, now: WallTime) -> Result<Applied>;

    /// Webhooks and rooms that polling found which are due, in the order in which they were received; `limit` at most. Scope: all
    /// projects.
    async fn due_events(&self, now: WallTime, limit: u32) -> Result<Vec<Event>>;

    /// What users ask of the rooms that a node owns and is not answered yet, in the order in which it was received; `limit` at most.
    /// Scope: all projects.
    async fn asked_of(&self, owner: NodeId, limit: u32) -> Result<Vec<Event>>;

    /// How many webhooks and rooms that polling found are not done; for metrics. Scope: all projects.
    async fn open_events(&self) -> Result<u64>;

    /// An event is done, with this answer to whoever asked: its body is deleted, and its id is kept so that a repetition is recognised.
    /// Scope: project.
    async fn event_done(&self, id: &EventId, answer: Option<Answer>) -> Result<()>;

    /// Working on an event failed: it is tried again at `due`. Scope: project.
    async fn event_failed(&self, id: &EventId, due: WallTime) -> Result<()>;

    /// The answer to what a user asked; `None` before there is one. Scope: project.
    async fn answer(&self, id: &EventId) -> Result<Option<Answer>>;

    /// Deletes events that are done and were received before this time; returns how many. Scope: all projects.
    async fn forget_events(&self, before: WallTime) -> Result<u64>;

    /// Time has passed: deletions that were scheduled and are due begin. Returns how many. Scope: all projects.
    async fn time_passed(&self, now: WallTime) -> Result<u64>;
}
