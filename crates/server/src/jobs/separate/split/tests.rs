//! Tests of `split`.

use super::*;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::master::Master;
use echosphere_domain::recording::Audio;
use uuid::Uuid;

fn capture(n: u128, job: Option<&str>, start_s: i64, status: CaptureStatus) -> Capture {
    let (id, recording) = (CaptureId::new(Uuid::from_u128(n)), RecordingId::new(Uuid::from_u128(1)));
    let audio = Audio {
        master: Master::Ogg(Location::part(ObjectKey::parse("k").unwrap(), 0, 1)),
        samples: 1,
        segment_ms: 4_000,
        fills: Vec::new(),
    };
    Capture {
        status,
        started_at: Some(WallTime::from_millis(start_s * 1000)),
        job_id: job.map(str::to_owned),
        audio: (status != CaptureStatus::Superseded).then_some(audio),
        ..Capture::processing(id, recording, n as u32, Source::Upload)
    }
}

fn others(captures: &[Capture], heard_first: Option<u128>) -> (Option<String>, Vec<Vec<u32>>) {
    let sessions = Sessions::of(captures, heard_first.map(|n| CaptureId::new(Uuid::from_u128(n))));
    let groups = sessions.others.iter().map(|group| group.iter().map(|capture| capture.attempt).collect());
    (sessions.first, groups.collect())
}

#[test]
fn what_is_heard_first_stays_and_each_other_job_goes_with_all_its_uploads() {
    use CaptureStatus::{Complete, Superseded};
    let captures = [
        capture(1, Some("A"), 500, Complete),
        capture(2, Some("B"), 100, Superseded),
        capture(3, Some("C"), 900, Complete),
        capture(4, Some("B"), 100, Complete),
    ];
    assert_eq!(others(&captures, Some(1)), (Some("A".to_owned()), vec![vec![2, 4], vec![3]]));
    assert_eq!(others(&captures, Some(4)), (Some("B".to_owned()), vec![vec![1], vec![3]]));
    assert_eq!(others(&captures, None), (Some("A".to_owned()), vec![vec![2, 4], vec![3]]));
    assert_eq!(others(&captures[1..2], None), (None, vec![]), "nothing is left of it");
}

#[test]
fn without_a_job_the_start_tells_sessions_apart() {
    use CaptureStatus::{Complete, Partial, Superseded};
    let mut cut = capture(4, None, 130, Partial);
    cut.audio = None;
    let captures =
        [capture(1, None, 100, Superseded), capture(2, None, 100, Complete), capture(3, None, 700, Complete), cut];
    assert_eq!(others(&captures, Some(2)), (None, vec![vec![3]]), "who knows what the cut one is of");
}
