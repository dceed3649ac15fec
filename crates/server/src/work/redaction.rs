//! What must not be kept of a recording, whichever source brings it: pauses, and people who were left out.

use echosphere_domain::id::RecordingId;
use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::{Role, Transcript, Turn};
use echosphere_store::Redactions;

use super::Error;
use crate::app::App;
use crate::clock;
use crate::live::Told;

/// What must not be kept of a recording.
pub(super) async fn of(app: &App, recording: RecordingId) -> Result<Redactions, Error> {
    let mut redactions = app.store.redactions(recording).await?;
    redactions.excluded.extend(Told::of(app, recording).await?.exclude);
    Ok(redactions)
}

/// Leaves what may be kept of a session's turns. Which of a session's users was left out of the room a session does not say:
/// then no user's turn is kept, nor what the agent did meanwhile.
pub(super) fn redact(transcript: &mut Transcript, redactions: &Redactions) {
    transcript.turns.retain(|turn| {
        let whose = redactions.excluded.is_empty() || turn.role == Role::Agent;
        whose && stretch(turn).is_some_and(|(from, to)| !redactions.touches(from, to))
    });
}

/// All the time that a turn may have to do with; `None` when it does not say, so that it must be taken to be of a pause.
fn stretch(turn: &Turn) -> Option<(WallTime, WallTime)> {
    let times = turn.reported;
    let known = [times.start, times.end, times.created].into_iter().flatten();
    Some((known.clone().min()?, known.max()?))
}

/// Removes the telemetry of a recording of which something must not be kept: it has words in it, and no times to go by.
pub(super) async fn remove_telemetry(app: &App, recording: RecordingId) -> Result<(), Error> {
    let keys = app.store.take_telemetry(recording, clock::now()).await?;
    for key in &keys {
        app.objects.delete(key).await?;
    }
    app.store.swept(&keys).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use echosphere_domain::transcript::{Kind, Times};
    use echosphere_store::Stretch;

    fn turn(role: Role, start: Option<i64>, end: Option<i64>) -> Turn {
        let at = |second: Option<i64>| second.map(|second| WallTime::from_millis(second * 1000));
        Turn {
            reported: Times { start: at(start), end: at(end), created: None },
            ..Turn::new("", Kind::Message, role, format!("{start:?}"))
        }
    }

    #[test]
    fn nothing_that_touches_a_pause_stays_and_nothing_without_a_time() {
        let at = WallTime::from_millis;
        let pause = Stretch { from: at(10_000), to: Some(at(20_000)) };
        let mut redactions = Redactions { pauses: vec![pause], excluded: Vec::new() };
        let all = || Transcript {
            turns: vec![
                turn(Role::User, Some(1), Some(9)),
                turn(Role::Agent, Some(8), Some(11)),
                turn(Role::User, Some(12), Some(13)),
                turn(Role::User, None, None),
                turn(Role::Agent, Some(21), None),
            ],
            ..Transcript::default()
        };
        let mut kept = all();
        redact(&mut kept, &redactions);
        assert_eq!(kept.turns.len(), 2);
        redactions.excluded.push("bob".to_owned());
        let mut kept = all();
        redact(&mut kept, &redactions);
        assert_eq!(kept.turns.len(), 1);
    }
}
