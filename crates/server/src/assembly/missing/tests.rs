//! Tests of `missing`.

use super::*;
use echosphere_domain::id::CaptureId;
use echosphere_recorder::sound;

const S: i64 = 48_000;

fn gap(start: i64, samples: i64, reason: &str) -> sound::Gap {
    sound::Gap { start, samples, reason: reason.to_owned() }
}

fn side_gap(start: i64, samples: i64, agent: bool, several: bool) -> SideGap {
    SideGap { start, samples, agent, several }
}

fn fill(start: i64, samples: i64, agent: bool) -> Fill {
    let from = CaptureId::new(uuid::Uuid::from_u128(2));
    Fill { start, samples, agent, from, at: start }
}

fn summary(gaps: &[Gap]) -> Vec<(&str, i64, i64)> {
    gaps.iter().map(|gap| (gap.reason.as_str(), gap.start.as_millis(), gap.duration.as_millis())).collect()
}

#[test]
fn a_gap_is_gone_when_both_sides_of_it_are_filled() {
    let index = Index {
        gaps: vec![gap(10 * S, 5 * S, "connection_lost"), gap(30 * S, 2 * S, "paused"), gap(40 * S, S, "packets_lost")],
        side_gaps: vec![
            side_gap(10 * S, 5 * S, true, false),
            side_gap(10 * S, 5 * S, false, false),
            side_gap(40 * S, S, false, false),
        ],
        ..Index::default()
    };
    let pause = ("paused", 30_000, 2_000);
    let lost = ("packets_lost", 40_000, 1_000);
    assert_eq!(summary(&unfilled(&index, &[])), [("connection_lost", 10_000, 5_000), pause, lost]);
    let agent = fill(10 * S, 5 * S, true);
    assert_eq!(
        summary(&unfilled(&index, std::slice::from_ref(&agent))),
        [("connection_lost", 10_000, 5_000), pause, lost]
    );
    let both = [agent.clone(), fill(10 * S, 5 * S, false)];
    assert_eq!(summary(&unfilled(&index, &both)), [pause, lost]);
    // The session ended in the middle of the side gap.
    let half = [agent, fill(10 * S, 2 * S, false)];
    assert_eq!(summary(&unfilled(&index, &half)), [("connection_lost", 12_000, 3_000), pause, lost]);
}

#[test]
fn an_end_that_was_cut_is_filled_on_both_sides_or_is_not() {
    let open = |agent, several| side_gap(20 * S, 1_000 * S, agent, several);
    let index =
        Index { samples: 20 * 48_000, side_gaps: vec![open(true, false), open(false, false)], ..Index::default() };
    let both = [fill(20 * S, 9 * S, true), fill(20 * S, 9 * S - 2_400, false)];
    assert!(is_end_filled(&index, &both) && !is_end_filled(&index, &both[..1]) && !is_end_filled(&index, &[]));
    let others = Index { side_gaps: vec![open(true, false), open(false, true)], ..index.clone() };
    assert!(!is_end_filled(&others, &both));
    let ended = Index { side_gaps: Vec::new(), ..index };
    assert!(!is_end_filled(&ended, &[]), "nothing is missing");
}

#[test]
fn who_else_was_there_is_still_missing() {
    let index = Index {
        gaps: vec![gap(10 * S, 5 * S, "recorder_restarted")],
        side_gaps: vec![side_gap(10 * S, 5 * S, true, false), side_gap(10 * S, 5 * S, false, true)],
        ..Index::default()
    };
    let both = [fill(10 * S, 5 * S, true), fill(10 * S, 5 * S, false)];
    assert_eq!(summary(&unfilled(&index, &both)), [("recorder_restarted", 10_000, 5_000)]);
}
