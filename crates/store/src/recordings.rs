//! Recordings with their captures and transcripts: reading, listing, publishing, scheduling deletion, legal hold.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::{Content, Status};
use echosphere_domain::master::Master;
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Gap, Participant, Recording};
use echosphere_domain::rendition::Rendition;
use echosphere_domain::segment::Segment;
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Transcript;

use crate::telemetry::SessionFacts;
use crate::{Lease, Result};

/// Which recordings to list. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only with this status.
    pub status: Option<Status>,
    /// Only of rooms with exactly this name.
    pub room_name: Option<String>,
    /// Only with exactly this session id, or with a capture of this job that is not superseded.
    pub session_id: Option<String>,
}

/// Where a page begins: after this recording, in the order newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the last recording of the previous page began, or if that is not known, when it was created.
    pub began_at: WallTime,
    /// Its id, which breaks ties.
    pub id: RecordingId,
}

/// One page of recordings, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage {
    /// The recordings, each with its captures.
    pub items: Vec<(Recording, Vec<Capture>)>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

/// A capture that was read, and the segment index that all captures together now amount to.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The recording.
    pub recording: RecordingId,
    /// The revision that was current when the decision was made; if it no longer is, that is an `Error::Conflict`.
    pub based_on: u32,
    /// The recording's other captures, as read before the decision: one more, one less, or another status now is a conflict too.
    pub beside: Vec<(CaptureId, CaptureStatus)>,
    /// The capture, with what was found out by reading it.
    pub capture: Capture,
    /// The index of its audio, in the media crate's own form.
    pub audio_index: Option<Vec<u8>>,
    /// The capture log of a room, also where nothing was heard; `None` of any other capture.
    pub log: Option<Master>,
    /// Its transcript.
    pub transcript: Option<Transcript>,
    /// Captures that it replaces: they become `Superseded`, their indexes and transcripts are removed, and their masters condemned
    /// unless another capture needs them.
    pub supersedes: Vec<CaptureId>,
    /// Other captures whose sound is rendered differently from now on; only together with `content`.
    pub filled: Vec<(CaptureId, Audio)>,
    /// What all captures amount to; `None` while a room is still being recorded: then only the capture, `supersedes` and `facts`
    /// are written, and the segment index keeps growing.
    pub content: Option<Content>,
    /// A rendition of the new revision; it takes the place of the one with its id.
    pub rendition: Rendition,
    /// Its segments, in order.
    pub segments: Vec<Segment>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// Length of the media.
    pub duration: MediaTime,
    /// The time of the first sample (or turn).
    pub started_at: Option<WallTime>,
    /// The time of the last sample (or turn).
    pub ended_at: Option<WallTime>,
    /// Names and tags; they fill in what is not known yet and never overwrite.
    pub facts: SessionFacts,
    /// Who took part; replaces the list if not empty.
    pub participants: Vec<Participant>,
    /// Now.
    pub now: WallTime,
}

/// What rendering a whole revision yielded besides its segments.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedRevision {
    /// The recording.
    pub recording: RecordingId,
    /// The revision that was rendered.
    pub revision: u32,
    /// The object with peaks and levels; announced before.
    pub analysis: ObjectKey,
    /// Transcripts whose times were refined from what is heard.
    pub transcripts: Vec<(CaptureId, Transcript)>,
    /// Now.
    pub now: WallTime,
}

/// Recordings, their captures and their transcripts.
#[async_trait]
pub trait Recordings {
    /// One recording with its captures in the order of their attempts; `None` also when it is another project's. Scope: project.
    async fn recording(&self, project: &ProjectId, id: RecordingId) -> Result<Option<(Recording, Vec<Capture>)>>;

    /// A page of recordings, newest first; those whose deletion is done are left out. `limit` is 1 to 200. Scope: project.
    async fn list(&self, project: &ProjectId, filter: &Filter, after: Option<Cursor>, limit: u32) -> Result<ListPage>;

    /// The transcripts of a recording's captures, in the order of their attempts, superseded ones left out. Scope: id.
    async fn transcripts(&self, recording: RecordingId) -> Result<Vec<(CaptureId, Transcript)>>;

    /// Recordings whose current revision is rendered and that have a transcript aligned by a version older than `version`, in the
    /// order of their ids, from the one after `after`; `limit` at most. Scope: all projects.
    async fn aligned_before(&self, version: u32, after: Option<RecordingId>, limit: u32) -> Result<Vec<Recording>>;

    /// The index of a capture's audio. Scope: id.
    async fn audio_index(&self, capture: CaptureId) -> Result<Option<Vec<u8>>>;

    /// The object with peaks and levels of the current revision, once all of it is rendered. Scope: id.
    async fn analysis(&self, recording: RecordingId) -> Result<Option<ObjectKey>>;

    /// Switches to a new revision in one transaction: writes the capture and its upload (state `Joined`), makes its body and the
    /// objects of carried-over segments live, condemns the objects of dropped segments and the old analysis, steps the recording
    /// by `Event::Published`, and queues the effects as tasks (`TaskKind::Render` with dedupe key
    /// `{project}/{recording}/{revision}`). The task that holds the lease is finished in the same transaction. Returns the
    /// recording as it is now. If its deletion was requested, only the task is finished. Scope: id.
    async fn publish(&self, publication: &Publication, lease: &Lease) -> Result<Recording>;

    /// Ends the rendering of a revision in one transaction: stores transcripts and analysis, makes the analysis object live, and
    /// finishes the task; if the recording captured a room, each session in it gets a `TaskKind::Separate` task. If the revision is
    /// no longer current, or deletion was requested, only the task is finished and the analysis condemned. Scope: id.
    async fn finish_render(&self, rendered: &RenderedRevision, lease: &Lease) -> Result<()>;

    /// Steps a recording by `Event::DeletionRequested`, and queues the effects as tasks (`TaskKind::Erase` with the recording's id
    /// as dedupe key). `None` when the project has no such recording (or its deletion is done). Scope: project.
    ///
    /// A session that is kept in two recordings is deleted from both. With a room's recording, the recordings that its sessions
    /// have of their own are deleted. With a session's own recording, the room's recording gives the session up
    /// (`TaskKind::Compose`); the session's body then belongs to the deleted recording.
    async fn request_deletion(&self, project: &ProjectId, id: RecordingId, now: WallTime) -> Result<Option<Recording>>;

    /// Schedules the deletion of a recording for a time, or calls it off: steps it by `Event::DeletionScheduled` or
    /// `Event::DeletionCancelled`. Returns the recording as it is now; `None` when the project has no such recording (or its deletion
    /// is done). Scope: project.
    async fn schedule_deletion(
        &self,
        project: &ProjectId,
        id: RecordingId,
        at: Option<WallTime>,
        now: WallTime,
    ) -> Result<Option<Recording>>;

    /// Puts a recording under legal hold, or lifts the hold: steps it by `Event::HoldSet`. Returns the recording as it is now; `None`
    /// when the project has no such recording (or its deletion is done). Scope: project.
    async fn set_hold(
        &self,
        project: &ProjectId,
        id: RecordingId,
        is_held: bool,
        now: WallTime,
    ) -> Result<Option<Recording>>;

    /// How many recordings there are of each status, deleted ones left out; for metrics. Scope: all projects.
    async fn count_by_status(&self) -> Result<Vec<(Status, u64)>>;
}
