//! Rooms that are left out by name, and sessions that are refused: the one place where the rule is asked.
//!
//! Most SDK versions do not send the room's name with a session, so the rule is asked whenever a name becomes known: when an upload
//! comes, after a crash, when it is read, when telemetry or a webhook names the room. What came before the name is erased then
//! (docs/decisions/0012-deletion.md).

use std::time::Duration;

use echosphere_domain::id::ProjectId;
use echosphere_livekit::session_upload::header::Header;
use echosphere_recorder::rooms::{Room, RoomService};
use echosphere_store::{Error, Gone, SessionIds};

use crate::app::App;
use crate::clock;
use crate::config::Project;

/// How long LiveKit may take to say which rooms there are.
const LIVEKIT_PATIENCE: Duration = Duration::from_secs(2);

/// What the rule says of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is not left out.
    Kept,
    /// It is left out.
    Excluded,
    /// Nobody knows its name.
    Unknown,
}

/// The rule: of the names that are known of a room, one that is left out decides.
pub fn decide<'n>(project: &Project, names: impl IntoIterator<Item = &'n str>) -> Answer {
    let mut answer = if project.excluded_rooms.is_empty() { Answer::Kept } else { Answer::Unknown };
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if project.excludes_room(name) {
            return Answer::Excluded;
        }
        answer = Answer::Kept;
    }
    answer
}

/// Whether a project leaves rooms out by name.
pub fn has_rules(app: &App, project: &ProjectId) -> bool {
    app.config.project(project).is_some_and(|project| !project.excluded_rooms.is_empty())
}

/// Whether a rule of a project leaves rooms of this name out.
pub fn is_excluded(app: &App, project: &ProjectId, name: &str) -> bool {
    app.config.project(project).is_some_and(|project| decide(project, [name]) == Answer::Excluded)
}

/// What the rule says of a session's room, by a name that came with it and by what is known already.
pub async fn ask(app: &App, project: &ProjectId, session: &SessionIds, told: Option<&str>) -> Result<Answer, Error> {
    let Some(rules) = app.config.project(project).filter(|project| !project.excluded_rooms.is_empty()) else {
        return Ok(Answer::Kept);
    };
    let known = app.store.room_names(project, session).await?;
    Ok(decide(rules, known.iter().map(String::as_str).chain(told)))
}

/// The same for a name that telemetry told. A user's own log record may have an attribute of that name, so one that is not surely the
/// room's counts only where no other name is known.
pub async fn ask_of_telemetry(
    app: &App,
    project: &ProjectId,
    session: &SessionIds,
    (told, is_sure): (Option<&str>, bool),
) -> Result<Answer, Error> {
    let Some(rules) = app.config.project(project).filter(|project| !project.excluded_rooms.is_empty()) else {
        return Ok(Answer::Kept);
    };
    let known = app.store.room_names(project, session).await?;
    let told = told.filter(|_| is_sure || known.is_empty());
    Ok(decide(rules, known.iter().map(String::as_str).chain(told)))
}

/// The ids of a session, as its header says.
pub fn ids(header: &Header) -> SessionIds {
    SessionIds { job_id: header.job_id.clone(), room_sid: header.room_sid.clone(), started_at: header.start_time }
}

/// The rooms that LiveKit has now; none when it cannot be asked within moments.
pub async fn rooms(app: &App, project: &ProjectId) -> Vec<Room> {
    let pair = app.config.project(project).and_then(|project| project.livekit.first());
    let (Some(url), Some(pair)) = (&app.config.livekit_url, pair) else { return Vec::new() };
    let service = RoomService::new(&app.wire, url, &pair.key, &pair.secret);
    match tokio::time::timeout(LIVEKIT_PATIENCE, service.rooms(clock::now())).await {
        Ok(Ok(rooms)) => rooms,
        Ok(Err(error)) => {
            tracing::warn!(%project, %error, "LiveKit cannot be asked for the name of a room");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!(%project, "LiveKit does not answer when it is asked for the name of a room");
            Vec::new()
        }
    }
}

/// The name of a room that goes on, as LiveKit says.
pub async fn name_of(app: &App, project: &ProjectId, room_sid: &str) -> Option<String> {
    let room = rooms(app, project).await.into_iter().find(|room| room.sid == room_sid)?;
    Some(room.name).filter(|name| !name.is_empty())
}

/// Nothing more is kept of a session (or, left out by a rule, of its room), and what was kept of it is erased.
pub async fn refuse(app: &App, project: &ProjectId, session: &SessionIds, reason: Gone) -> Result<(), Error> {
    if session.job_id.is_none() && session.room_sid.is_none() {
        return Ok(());
    }
    if app.store.refuse(project, session, reason, clock::now()).await? {
        tracing::warn!(
            %project, job = session.job_id, room = session.room_sid, reason = reason.as_str(),
            "what was kept of a session that must not be kept is erased"
        );
        metrics::counter!("echosphere_refused_after_all_total", "reason" => reason.as_str()).increment(1);
        app.work.wake();
    }
    Ok(())
}

/// Somebody said which name a room has.
pub async fn told(app: &App, project: &ProjectId, room_sid: &str, name: &str) -> Result<(), Error> {
    let Some(rules) = app.config.project(project).filter(|project| !project.excluded_rooms.is_empty()) else {
        return Ok(());
    };
    if room_sid.is_empty() || name.is_empty() {
        return Ok(());
    }
    if decide(rules, [name]) == Answer::Excluded {
        let session = SessionIds { room_sid: Some(room_sid.to_owned()), ..SessionIds::default() };
        if app.store.upload_gone(project, &session).await? == Some(Gone::Excluded) {
            return Ok(());
        }
        return refuse(app, project, &session, Gone::Excluded).await;
    }
    app.held.wake();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_that_is_left_out_decides_and_without_a_name_nothing_does() {
        let mut project = Project::default_project(Vec::new());
        assert_eq!(decide(&project, []), Answer::Kept, "without a rule no name is needed");
        project.excluded_rooms = vec!["internal-*".to_owned()];
        for (names, expected) in [
            (&[][..], Answer::Unknown),
            (&[""], Answer::Unknown),
            (&["support"], Answer::Kept),
            (&["internal-1"], Answer::Excluded),
            (&["support", "internal-1"], Answer::Excluded),
            (&["internal-1", "support"], Answer::Excluded),
        ] {
            assert_eq!(decide(&project, names.iter().copied()), expected, "{names:?}");
        }
    }
}
