//! Tests of `connection`.

use super::*;

fn seen(phase: Phase) -> Seen {
    Seen { phase, since: 1, ..Seen::default() }
}

#[test]
fn each_phase_has_its_time() {
    let limits = Http::default();
    let overdue = |seen: Seen, seconds: u64| seen.overdue(&limits, seconds * 1_000);
    for (phase, seconds, limit) in [
        (Phase::New, 10, Limit::Header),
        (Phase::Head, 10, Limit::Header),
        (Phase::Idle, 75, Limit::Idle),
        (Phase::Rest, 60, Limit::Body),
    ] {
        assert_eq!(overdue(seen(phase), seconds), None, "{phase:?}");
        assert_eq!(overdue(seen(phase), seconds + 1), Some(limit), "{phase:?}");
    }
    // Events, or a client that waits for what is yet to come.
    assert_eq!(overdue(seen(Phase::Busy), 100_000), None);
}

#[test]
fn a_body_may_halt_and_may_not_drip() {
    let limits = Http::default();
    let body = |halted: u64, received: u64, seconds: u64| {
        Seen { halted: halted * 1_000, received, ..seen(Phase::Busy) }.overdue(&limits, seconds * 1_000)
    };
    assert_eq!(body(100, 60 << 20, 159), None);
    assert_eq!(body(100, 60 << 20, 161), Some(Limit::Body));
    // A byte now and then is as good as none; one KiB a second is enough.
    assert_eq!(body(95, 20, 100), Some(Limit::Body));
    assert_eq!(body(95, 100 << 10, 100), None);
}

#[test]
fn an_answer_waits_for_its_reader_but_not_for_ever() {
    let limits = Http::default();
    let answer = |blocked: u64, waited: u64, written: u64, seconds: u64| {
        let seen = Seen { blocked: blocked * 1_000, waited: waited * 1_000, written, ..seen(Phase::Busy) };
        seen.overdue(&limits, seconds * 1_000)
    };
    assert_eq!(answer(10, 0, 0, 69), None);
    assert_eq!(answer(10, 0, 1 << 30, 71), Some(Limit::Write));
    // Read byte by byte, and read at the speed of speech.
    assert_eq!(answer(100, 100, 500, 101), Some(Limit::Write));
    assert_eq!(answer(100, 100, 300_000, 101), None);
    assert_eq!(answer(0, 0, 0, 100_000), None);
}

#[test]
fn who_asks_for_nothing_goes_first_and_who_is_served_stays() {
    let rank = |seen: Seen| seen.expendable(60_000);
    let mut all = [Phase::Idle, Phase::New, Phase::Rest, Phase::Head].map(seen);
    all.sort_by_key(|seen| rank(*seen));
    assert_eq!(all.map(|seen| seen.phase), [Phase::New, Phase::Head, Phase::Rest, Phase::Idle]);
    assert!(rank(Seen { since: 5, ..seen(Phase::Idle) }) < rank(Seen { since: 6, ..seen(Phase::Idle) }));
    assert_eq!(rank(seen(Phase::Busy)), None);
    assert_eq!(rank(Seen { halted: 1, ..seen(Phase::Busy) }), None, "an upload that pauses");
    assert_eq!(rank(Seen { blocked: 58_000, ..seen(Phase::Busy) }), None);
    assert!(rank(Seen { blocked: 1, ..seen(Phase::Busy) }) > rank(seen(Phase::Idle)));
}

#[test]
fn a_connection_goes_from_phase_to_phase() {
    let connection = Connection::new(Instant::now());
    let phase = || connection.seen().unwrap().phase;
    connection.read();
    assert_eq!(phase(), Phase::New, "the first headers count from the beginning");
    connection.asked(false);
    connection.read();
    connection.answered();
    assert_eq!(phase(), Phase::Idle);
    connection.read();
    assert_eq!(phase(), Phase::Head);
    connection.asked(true);
    connection.halts();
    assert!(connection.seen().unwrap().halted > 0);
    connection.received(5);
    assert_eq!((connection.seen().unwrap().halted, connection.seen().unwrap().received), (0, 5));
    connection.answered();
    connection.read();
    assert_eq!(phase(), Phase::Rest);
    connection.body_ended();
    assert_eq!(phase(), Phase::Idle);
    assert!(connection.end() && !connection.end() && connection.seen().is_none());
}
