//! Begins to record a room: admits it, writes its rows, and runs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::name;
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{self, Recording};
use echosphere_recorder::capture::{Capture, Timepiece};
use echosphere_store::{Begun, NewLive, Once};

use super::chunk_outbox::ChunkOutbox;
use super::reach::reach;
use super::room_task::run;
use super::session::StartingPoint;
use super::{Error, LEASE, Recorder, live_renderer};
use crate::recording_options::layout;
use crate::{entropy, names};

/// What is to be recorded.
#[derive(Debug, Clone, Default)]
pub struct RecordingRequest {
    /// The room's name.
    pub room_name: String,
    /// The user's own id for the conversation.
    pub session_id: Option<String>,
    /// The user's own key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// How it is recorded.
    pub options: RecordingOptions,
    /// The request that asks for it, if it may be sent again.
    pub once: Option<Once>,
}

/// Begins to record a room.
pub async fn start(
    recorder: &Arc<Recorder>,
    project: &ProjectId,
    request: RecordingRequest,
) -> Result<(Recording, recording::Capture), Error> {
    if recorder.stop.is_cancelled() {
        return Err(Error::Stopping);
    }
    if !name::is_whole(&request.room_name) {
        return Err(Error::Name);
    }
    if let Some(once) = &request.once
        && let Some(repeated) = recorder.store.repeated(project, once, recorder.clock.now()).await?
    {
        return Err(Error::Repeated(repeated));
    }
    let reach = reach(recorder, project).await?;
    recorder.load.admit(recorder.registry.count(), recorder.registry.waiting())?;
    let now = recorder.clock.now();
    let RecordingRequest { room_name, session_id, labels, options, once } = request;
    let new = NewLive {
        recording: RecordingId::new(entropy::uuid(now)),
        capture: CaptureId::new(entropy::uuid(now)),
        project: project.clone(),
        room_name,
        session_id,
        labels,
        options: options.clone(),
        once,
        owner: recorder.node,
        lease_until: now.after(LEASE),
        now,
    };
    match recorder.store.begin_live(&new).await? {
        Begun::Already(other) => Err(Error::Already(other)),
        Begun::Repeated(repeated) => Err(Error::Repeated(repeated)),
        Begun::New(begun) => {
            let (recording, capture) = *begun;
            tracing::info!(recording = %recording.id, room = names::shown(&new.room_name), "a room is going to be recorded");
            let clock = Timepiece::new(Instant::now(), recorder.clock.now().as_nanos());
            let live = live_renderer::needs(&recorder.config);
            let log = Capture::new(capture.id.as_uuid(), clock, &recorder.registry.journal, layout(&options), live);
            let start = StartingPoint { log, outbox: ChunkOutbox::new(0..0), rendered: 0 };
            run(recorder, recording.clone(), &capture, start, options, reach);
            Ok((recording, capture))
        }
    }
}
