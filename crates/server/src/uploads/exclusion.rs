//! Rooms that are excluded by name, and sessions that are refused: the one place that applies the rule.
//!
//! Most SDK versions do not send the room's name with a session, so the rule is applied whenever a name becomes known: when an
//! upload comes, after a crash, when it is read, when telemetry or a webhook names the room. What came before the name is then
//! erased (docs/decisions/0012-deletion.md).

use std::sync::Arc;
use std::time::Duration;

use echosphere_domain::id::ProjectId;
use echosphere_domain::rule::{self, Rule};
use echosphere_livekit::session_upload::header::Header;
use echosphere_recorder::rooms::{Room, RoomService};
use echosphere_recorder::wire::Wire;
use echosphere_store::{Error, Gone, SessionIds, Store};

use crate::clock::Clock;
use crate::config::Config;
use crate::project_rules::ProjectRules;
use crate::signals::Bell;

/// How long LiveKit may take to list its rooms.
const LIVEKIT_PATIENCE: Duration = Duration::from_secs(2);

/// What the rule says about a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is not excluded.
    Kept,
    /// It is excluded.
    Excluded,
    /// Its name is not known.
    Unknown,
}

/// The rule: a room is excluded if any of its known names is.
pub fn decide<'n>(rules: &[Rule], names: impl IntoIterator<Item = &'n str>) -> Answer {
    let mut answer = if rule::has_exclusions(rules) { Answer::Unknown } else { Answer::Kept };
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if rule::excludes(rules, name) {
            return Answer::Excluded;
        }
        answer = Answer::Kept;
    }
    answer
}

/// The ids of a session, as its header gives them.
pub fn ids(header: &Header) -> SessionIds {
    SessionIds { job_id: header.job_id.clone(), room_sid: header.room_sid.clone(), started_at: header.start_time }
}

/// The rules of all projects, with what is known of rooms.
#[derive(Clone)]
pub struct Exclusion {
    /// The rules.
    pub rules: ProjectRules,
    /// How LiveKit is reached, with which keys.
    pub config: Arc<Config>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// How requests to LiveKit are sent.
    pub wire: Wire,
    /// Wakes the check of held uploads.
    pub held: Arc<Bell>,
    /// Wakes background work.
    pub jobs: Arc<Bell>,
    /// The time of day.
    pub clock: Clock,
}

impl Exclusion {
    /// Whether a project excludes rooms by name.
    pub fn has_rules(&self, project: &ProjectId) -> bool {
        self.exclusions(project).is_some()
    }

    /// The rules of a project, if one of them excludes rooms by name.
    fn exclusions(&self, project: &ProjectId) -> Option<&[Rule]> {
        Some(self.rules.of(project)).filter(|rules| rule::has_exclusions(rules))
    }

    /// Whether a rule of a project excludes rooms of this name.
    pub fn is_excluded(&self, project: &ProjectId, name: &str) -> bool {
        decide(self.rules.of(project), [name]) == Answer::Excluded
    }

    /// What the rule says about a session's room, by a name that came with the session and by the names that are known already.
    pub async fn ask(&self, project: &ProjectId, session: &SessionIds, name: Option<&str>) -> Result<Answer, Error> {
        let Some(rules) = self.exclusions(project) else { return Ok(Answer::Kept) };
        let known = self.store.room_names(project, session).await?;
        Ok(decide(rules, known.iter().map(String::as_str).chain(name)))
    }

    /// The same for a name that telemetry reported. A user's own log record may have an attribute of that name, so one that is not
    /// surely the room's counts only if no other name is known.
    pub async fn ask_of_telemetry(
        &self,
        project: &ProjectId,
        session: &SessionIds,
        (name, is_sure): (Option<&str>, bool),
    ) -> Result<Answer, Error> {
        let Some(rules) = self.exclusions(project) else { return Ok(Answer::Kept) };
        let known = self.store.room_names(project, session).await?;
        let name = name.filter(|_| is_sure || known.is_empty());
        Ok(decide(rules, known.iter().map(String::as_str).chain(name)))
    }

    /// The rooms that LiveKit has now; none when it does not answer in time.
    pub async fn rooms(&self, project: &ProjectId) -> Vec<Room> {
        let pair = self.config.project(project).and_then(|project| project.livekit.first());
        let (Some(url), Some(pair)) = (&self.config.livekit_url, pair) else { return Vec::new() };
        let service = RoomService::new(&self.wire, url, &pair.key, &pair.secret);
        match tokio::time::timeout(LIVEKIT_PATIENCE, service.rooms(self.clock.now())).await {
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

    /// The name of a room that LiveKit has now.
    pub async fn name_of(&self, project: &ProjectId, room_sid: &str) -> Option<String> {
        let room = self.rooms(project).await.into_iter().find(|room| room.sid == room_sid)?;
        Some(room.name).filter(|name| !name.is_empty())
    }

    /// Refuses a session (or, when a rule excludes it, its room): nothing more is kept of it, and what was kept is erased.
    pub async fn refuse(&self, project: &ProjectId, session: &SessionIds, reason: Gone) -> Result<(), Error> {
        if session.job_id.is_none() && session.room_sid.is_none() {
            return Ok(());
        }
        if self.store.refuse(project, session, reason, self.clock.now()).await? {
            tracing::warn!(
                %project, job = session.job_id, room = session.room_sid, reason = reason.as_str(),
                "what was kept of a session that must not be kept is erased"
            );
            metrics::counter!("echosphere_refused_after_all_total", "reason" => reason.as_str()).increment(1);
            self.jobs.ring();
        }
        Ok(())
    }

    /// Applies the rule to a room whose name was reported.
    pub async fn room_named(&self, project: &ProjectId, room_sid: &str, name: &str) -> Result<(), Error> {
        let Some(rules) = self.exclusions(project) else { return Ok(()) };
        if room_sid.is_empty() || name.is_empty() {
            return Ok(());
        }
        if decide(rules, [name]) == Answer::Excluded {
            let session = SessionIds { room_sid: Some(room_sid.to_owned()), ..SessionIds::default() };
            if self.store.upload_gone(project, &session).await? == Some(Gone::Excluded) {
                return Ok(());
            }
            return self.refuse(project, &session, Gone::Excluded).await;
        }
        self.held.ring();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_that_is_excluded_decides_and_without_a_name_nothing_does() {
        assert_eq!(decide(&[], []), Answer::Kept, "without a rule no name is needed");
        let rules = [Rule::ExcludeRooms { rooms: "internal-*".to_owned() }];
        for (names, expected) in [
            (&[][..], Answer::Unknown),
            (&[""], Answer::Unknown),
            (&["support"], Answer::Kept),
            (&["internal-1"], Answer::Excluded),
            (&["support", "internal-1"], Answer::Excluded),
            (&["internal-1", "support"], Answer::Excluded),
        ] {
            assert_eq!(decide(&rules, names.iter().copied()), expected, "{names:?}");
        }
    }
}
