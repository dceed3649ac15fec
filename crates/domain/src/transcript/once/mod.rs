//! Removes duplicate lines when several sources report the same call.
//!
//! An agent's own account of its session is better than what the room receives of it: exact times, tool calls, what the model was
//! told. But it covers only the participant that the agent was linked to. So both are kept, each with its capture, and of the
//! room's lines those are shown that no session has. Two sessions in one room both have the user, and each may have taken the
//! other's agent for a user: such a line is a duplicate when it has the same words and sounds at the same time, and is shown where
//! its own agent reports it.
//!
//! Lines are compared by their letters and digits alone. What is one line in one source may be several in another.

mod line;
mod shift;
mod spoken;
mod stream;

use std::collections::HashSet;

use self::line::{Line, lines};
use self::shift::shift;
use self::stream::Stream;
use super::{Role, Transcript};

/// The sessions and then the room, without the lines that another of them reports as well. Of lines that both a session and the
/// room report, the session's are kept.
pub fn once(mut sessions: Vec<Transcript>, room: Option<Transcript>) -> Vec<Transcript> {
    let room = room.map(|mut room| {
        for session in &sessions {
            let gone = reported_by_session(session, &room);
            remove(&mut room, &gone);
        }
        room
    });
    among(&mut sessions);
    for (from, to) in pairs(sessions.len()) {
        let gone = reported_as_users(&sessions[from], &sessions[to]);
        remove(&mut sessions[to], &gone);
    }
    for session in &mut sessions {
        let gone = room.as_ref().map(|room| reported_as_users(room, session)).unwrap_or_default();
        remove(session, &gone);
    }
    sessions.extend(room);
    sessions
}

/// Ranks the sessions, those with the surest times first, and leaves out of each what one ranked before it reports as
/// well.
fn among(sessions: &mut [Transcript]) {
    let mut surest: Vec<usize> = (0..sessions.len()).collect();
    surest.sort_by_key(|at| std::cmp::Reverse(exact_percent(&sessions[*at])));
    for (rank, &later) in surest.iter().enumerate() {
        for &earlier in &surest[..rank] {
            let gone = reported_in_both(&sessions[earlier], &sessions[later]);
            remove(&mut sessions[later], &gone);
        }
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |from| (0..count).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

/// The percentage of turns whose exact times were found in the sound.
fn exact_percent(transcript: &Transcript) -> usize {
    let exact = transcript.turns.iter().filter(|turn| turn.refined.is_some_and(|refined| !refined.approximate)).count();
    100 * exact / transcript.turns.len().max(1)
}

fn remove(transcript: &mut Transcript, gone: &HashSet<usize>) {
    let mut at = 0..;
    transcript.turns.retain(|_| at.next().is_none_or(|at| !gone.contains(&at)));
}

const ROLES: [Role; 3] = [Role::Agent, Role::User, Role::System];

fn of(lines: &[Line], role: Role) -> impl Iterator<Item = &Line> {
    lines.iter().filter(move |line| line.role == role)
}

/// The room's turns that a session reports as well.
fn reported_by_session(session: &Transcript, room: &Transcript) -> HashSet<usize> {
    let (kept, checked) = (lines(session, 0), lines(room, 0));
    let kept = lines(session, shift(&checked, &kept));
    let same = |role| {
        let mut stream = Stream::new(of(&kept, role));
        stream.take_all(of(&checked, role).collect(), |_| line::NEAR, role == Role::Agent)
    };
    ROLES.into_iter().flat_map(same).collect()
}

/// The turns of the session `later` that `earlier`, which is ranked before it, reports as well.
fn reported_in_both(earlier: &Transcript, later: &Transcript) -> HashSet<usize> {
    let (kept, checked) = (lines(earlier, 0), lines(later, 0));
    let kept = lines(earlier, shift(&checked, &kept));
    let same = |role| Stream::new(of(&kept, role)).take_all(of(&checked, role).collect(), Line::reach, false);
    ROLES.into_iter().flat_map(same).collect()
}

/// The turns that a session reports as a user's although an agent spoke them, whose own account has them as well.
fn reported_as_users(agents: &Transcript, session: &Transcript) -> HashSet<usize> {
    let (kept, checked) = (lines(agents, 0), lines(session, 0));
    let kept = lines(agents, shift(&checked, &kept));
    let stream = Stream::new(of(&kept, Role::Agent));
    of(&checked, Role::User).filter(|line| stream.sounds_with(line)).map(|line| line.turn).collect()
}

#[cfg(test)]
mod tests;
