//! Tests of `admission`.

use super::*;
use proptest::prelude::*;

const NOTHING: Measured = Measured { rooms: 0, waiting: 0, free: None };

fn gate() -> Gate {
    let limits =
        Recorder { max_rooms: 10_000, max_cpu: 85, max_spool: 1_000, min_free_disk: 500, ..Recorder::default() };
    Gate::new(&limits, 2)
}

/// Takes `seconds` seconds in which `cores` cores are used for `rooms` rooms.
fn run(gate: &mut Gate, from: u64, seconds: u64, cores: f64, rooms: usize) {
    let before = gate.meter.0.back().map_or(Duration::ZERO, |sample| sample.cpu);
    for second in 0..=seconds {
        let cpu = before + Duration::from_secs_f64(cores * second as f64);
        gate.meter.take(Duration::from_secs(from + second), cpu, rooms);
    }
}

#[test]
fn a_busy_machine_takes_no_more_rooms_until_it_is_clearly_less_busy() {
    let mut gate = gate();
    let rooms = |rooms| Measured { rooms, ..NOTHING };
    run(&mut gate, 0, 20, 1.60, 160);
    assert!((gate.percent() - 80.0).abs() < 0.1 && (gate.meter.cores_per_room() - 0.01).abs() < 0.001);
    assert_eq!(gate.admit(rooms(160)), Ok(()));
    // Nine that have just begun cost half a percent each, and are not measured yet.
    assert_eq!(gate.admit(rooms(168)), Ok(()));
    assert!(matches!(gate.admit(rooms(170)), Err(Refusal::Cpu { rooms: 170, limit: 85, .. })));
    // What closed it is gone, but it is not clearly less.
    assert!(gate.admit(rooms(160)).is_err());
    run(&mut gate, 30, 20, 1.55, 155);
    assert_eq!(gate.admit(rooms(155)), Ok(()));
}

#[test]
fn a_burst_and_a_machine_without_rooms_refuse_nobody() {
    let mut gate = gate();
    run(&mut gate, 0, 20, 2.0, 0);
    assert_eq!(gate.admit(NOTHING), Ok(()));
    let mut gate = self::gate();
    run(&mut gate, 0, 20, 0.4, 40);
    run(&mut gate, 21, 2, 2.0, 40);
    assert_eq!(gate.admit(Measured { rooms: 40, ..NOTHING }), Ok(()));
}

#[test]
fn what_waits_is_an_alarm_first_and_a_refusal_then() {
    let mut gate = gate();
    let waiting = |waiting| Measured { waiting, ..NOTHING };
    let mut alarms = |waiting| gate.is_spool_alarming(waiting);
    assert!(!alarms(499) && alarms(500) && alarms(401) && !alarms(399));
    assert_eq!(gate.admit(waiting(999)), Ok(()));
    assert!(gate.admit(waiting(1_000)).is_err() && gate.admit(waiting(901)).is_err());
    assert_eq!(gate.admit(waiting(899)), Ok(()));
    assert!(gate.admit(Measured { free: Some(499), ..NOTHING }).is_err());
    assert_eq!(gate.admit(Measured { free: Some(500), ..NOTHING }), Ok(()));
    gate.limits.max_rooms = 3;
    assert_eq!(gate.admit(Measured { rooms: 3, ..NOTHING }), Err(Refusal::Rooms(3)));
}

proptest! {
    #[test]
    fn noise_around_the_limit_does_not_make_it_flap(noise in prop::collection::vec(-4.0..4.0_f64, 200)) {
        let mut latch = Latch::default();
        let closed: Vec<bool> = noise.iter().map(|off| latch.is_closed(84.0 + off, 85.0, 80.0)).collect();
        let changes = closed.windows(2).filter(|pair| pair[0] != pair[1]).count();
        prop_assert!(changes <= 1, "{changes}");
    }
}
