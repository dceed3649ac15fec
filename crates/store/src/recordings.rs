//! Recordings, their captures and their transcripts.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::{Content, Status};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Gap, Participant, Recording};
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
    /// Only with exactly this session id, or with a capture of this job.
    pub session_id: Option<String>,
}

/// Where a page begins: after this recording, in the order newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the last recording of the page before began, or where that is not known, when it was made.
    pub began_at: WallTime,
    /// Its id, which settles ties.
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

/// A capture that was read, and the segment index that all captures now amount to.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The recording, as read before the decision; its revision is compared (`Error::Conflict`).
    pub recording: RecordingId,
    /// The revision that was current when the decision was made.
    pub based_on: u32,
    /// The recording's other captures, as read before the decision: another one, or one that is further now, is a conflict too.
    pub beside: Vec<(CaptureId, CaptureStatus)>,
    /// The capture, with what was found out about it.
    pub capture: Capture,
    /// The index of its audio, in the media crate's own form.
    pub audio_index: Option<Vec<u8>>,
    /// Its transcript.
    pub transcript: Option<Transcript>,
    /// Captures whose place it takes: they become `Superseded`, their transcripts are removed and their bodies condemned, unless
    /// another recording needs them.
    pub supersedes: Vec<CaptureId>,
    /// Other captures whose sound is rendered otherwise from now on; only together with `content`.
    pub filled: Vec<(CaptureId, Audio)>,
    /// What all captures amount to; `None` while a room is still being recorded: then only the capture is kept, and the
    /// segment index goes on growing.
    pub content: Option<Content>,
    /// The segments of the new revision, of the audio rendition, in order.
    pub segments: Vec<Segment>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// Length of the media.
    pub duration: MediaTime,
    /// When the first sample (or turn) was.
    pub started_at: Option<WallTime>,
    /// When the last sample (or turn) was.
    pub ended_at: Option<WallTime>,
    /// Names and tags; they fill what is not known yet and never overwrite.
    pub facts: SessionFacts,
    /// Who took part; replaces the list if not empty.
    pub participants: Vec<Participant>,
    /// Now.
    pub now: WallTime,
}

/// What a whole revision's rendering brought besides its segments.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedRevision {
    /// The recording.
    pub recording: RecordingId,
    /// The revision that was rendered.
    pub revision: u32,
    /// The object with peaks and levels; announced before.
    pub analysis: ObjectKey,
    /// Transcripts whose times were refined by what is heard.
    pub transcripts: Vec<(CaptureId, Transcript)>,
    /// Now.
    pub now: WallTime,
}

/// Recordings, their captures and their transcripts.
#[async_trait]
pub trait Recordings {
    /// One recording with its captures in the order of their attempts; `None` too when it is another project's.
    async fn recording(&self, project: &ProjectId, id: RecordingId) -> Result<Option<(Recording, Vec<Capture>)>>;

    /// A page of recordings, newest first; those whose deletion is done are left out. `limit` is 1 to 200.
    async fn list(&self, project: &ProjectId, filter: &Filter, after: Option<Cursor>, limit: u32) -> Result<ListPage>;

    /// The transcripts of a recording's captures, in the order of their attempts, superseded ones left out.
    async fn transcripts(&self, recording: RecordingId) -> Result<Vec<(CaptureId, Transcript)>>;

    /// Recordings whose current revision is rendered, and that have a transcript which was aligned by an older version than this: in the
    /// order of their ids, after this one, `limit` at most.
    async fn aligned_before(&self, version: u32, after: Option<RecordingId>, limit: u32) -> Result<Vec<Recording>>;

    /// The index of a capture's audio.
    async fn audio_index(&self, capture: CaptureId) -> Result<Option<Vec<u8>>>;

    /// The object with peaks and levels of the current revision, once it is rendered whole.
    async fn analysis(&self, recording: RecordingId) -> Result<Option<ObjectKey>>;

    /// Switches to a new revision in one transaction: the capture and its upload (state `Joined`), its body and the
    /// objects of carried-over segments live, objects of dropped segments and the old analysis condemned, the recording
    /// stepped by `Event::Published`, its effects tasks (`TaskKind::Render` with dedupe key `{project}/{recording}/{revision}`).
    /// The lease is the ingest task's; it is finished in the same transaction. Returns the recording as it is now.
    /// Of a recording under deletion nothing is written: only the task is finished.
    async fn publish(&self, publication: &Publication, lease: &Lease) -> Result<Recording>;

    /// Ends the rendering of a revision: transcripts and analysis stored, object live, the render task finished, in one
    /// transaction; where the recording captured a room, each session in it gets a `TaskKind::Separate` task. When the revision is no longer current only the task is finished and the analysis condemned.
    async fn finish_render(&self, rendered: &RenderedRevision, lease: &Lease) -> Result<()>;

    /// Steps a recording by `Event::DeletionRequested`, effects to tasks (`TaskKind::Erase`, dedupe key the recording's
    /// id). `None` when it is not there (or its deletion is done).
    ///
    /// A session that is kept in two recordings goes from both: with a room's recording go those that its sessions have of their
    /// own; with one of these the room's recording gives up the session, whose body is then the deleted recording's
    /// (`TaskKind::Compose`).
    async fn request_deletion(&self, project: &ProjectId, id: RecordingId, now: WallTime) -> Result<Option<Recording>>;

    /// How many recordings there are of each status, over all projects; for metrics.
    async fn count_by_status(&self) -> Result<Vec<(Status, u64)>>;
}
