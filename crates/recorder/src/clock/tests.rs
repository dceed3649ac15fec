//! Tests of clocks that run on: loss, jitter, drift, wraps and reports, and how far any packet is from where it was spoken.

use super::*;
use proptest::prelude::*;

/// Pseudo-random numbers, the same in each run.
fn random(seed: &mut u64) -> f64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) as f64 / (1_u64 << 53) as f64
}

struct Line {
    ppm: f64,
    jitter_ms: f64,
    loss: f64,
    outages: Vec<(i64, i64)>,
    seconds: i64,
    start_rtp: i64,
    seed: u64,
}

/// The largest distance of a packet from where it was spoken, in milliseconds, in hindsight.
fn worst(line: &Line) -> f64 {
    let (zero, mut seed) = (1_795_439_500_000 * MS, line.seed | 1);
    let spoken = |n: i64| zero + (n as f64 * 20e6 * (1.0 + line.ppm * 1e-6)) as i64;
    let mut clock = Clock::default();
    let mut sent = Vec::new();
    for n in 0..line.seconds * 50 {
        let out = line.outages.iter().any(|(from, to)| (from * 50..to * 50).contains(&n));
        if out || random(&mut seed) < line.loss {
            continue;
        }
        let arrived = spoken(n) + (random(&mut seed) * line.jitter_ms * 1e6) as i64;
        sent.push((arrived, n));
    }
    sent.sort_unstable();
    for &(arrived, n) in &sent {
        clock.packet((line.start_rtp + n * 960) as u64, arrived);
    }
    let placement = clock.placement(zero);
    let off = |&(_, n): &(i64, i64)| {
        let sample = placement.sample((line.start_rtp + n * 960) as u64).unwrap();
        ((sample * 62_500 / 3 + zero - spoken(n)) as f64 / 1e6).abs()
    };
    sent.iter().map(off).fold(0.0, f64::max)
}

#[test]
fn four_hours_of_drift_jitter_loss_and_outages() {
    for ppm in [-100.0, 0.0, 100.0] {
        let line = Line {
            ppm,
            jitter_ms: 500.0,
            loss: 0.05,
            outages: vec![(100, 130), (4000, 4030), (14_000, 14_030)],
            seconds: 4 * 3600,
            start_rtp: 4_000_000_000,
            seed: 77,
        };
        let worst = worst(&line);
        assert!(worst < 20.0, "{ppm} ppm: {worst} ms");
    }
}

#[test]
fn a_clock_that_stood_still_while_muted_goes_on_where_it_is_heard() {
    let mut clock = Clock::default();
    for n in 0..500 {
        clock.packet(n * 960, 20 * MS * n as i64);
    }
    for n in 0..500 {
        clock.packet((500 + n) * 960, 20 * MS * (500 + n) as i64 + 7_000 * MS);
    }
    let placement = clock.placement(0);
    assert_eq!(placement.sample(499 * 960), Some(499 * 960));
    assert_eq!(placement.sample(500 * 960), Some(500 * 960 + 7 * 48_000));
}

#[test]
fn what_was_rendered_stays() {
    let step = |from_rtp, offset| Step { from_rtp, offset };
    let old = Placement { steps: vec![step(i64::MIN, 10)] };
    let new = Placement { steps: vec![step(i64::MIN, 500), step(2_000, 620)] };
    let both = old.followed_by(&new, 1_000);
    assert_eq!(both.steps, [step(i64::MIN, 10), step(1_000, 500), step(2_000, 620)]);
    assert_eq!(old.difference(&new, 0, 900), 490);
    assert_eq!(both.difference(&new, 1_000, 9_000), 0);
}

#[test]
fn what_was_heard_stays_unless_it_is_known_much_better() {
    let step = |from_rtp, offset| Step { from_rtp, offset };
    let live = Placement { steps: vec![step(i64::MIN, 10), step(5_000, 300)] };
    let better = Placement { steps: vec![step(i64::MIN, 0), step(1_000, 250), step(4_000, 305)] };
    let (placement, corrected) = live.corrected(&better, 100, 9_000, 20);
    assert_eq!(placement.steps, [step(i64::MIN, 10), step(1_000, 250), step(4_000, 305), step(5_000, 300)]);
    assert_eq!(corrected, std::iter::once(1_000..5_000).collect::<Vec<_>>());
    assert_eq!(better.corrected(&better, 100, 9_000, 20), (better.clone(), Vec::new()));
}

#[test]
fn what_is_said_anew_holds_for_all_that_comes_after() {
    let step = |from_rtp, offset| Step { from_rtp, offset };
    let mut live = Placement { steps: vec![step(i64::MIN, 10), step(1_000, 20), step(2_000, 30)] };
    let wanted = live.followed_by(&Placement { steps: vec![step(i64::MIN, 10), step(1_800, 40)] }, 1_500);
    let changes = live.changes_to(&wanted);
    assert_eq!(changes, [step(1_500, 10), step(1_800, 40)]);
    for change in changes {
        live.step(change);
    }
    assert_eq!(live, wanted);
    let shorter = Placement { steps: vec![step(i64::MIN, 10)] };
    for change in live.changes_to(&shorter) {
        live.step(change);
    }
    assert_eq!(live.difference(&shorter, 0, 9_000), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_packet_lies_within_20_ms_of_where_it_was_spoken(
        ppm in -100.0..100.0_f64,
        jitter_ms in 0.0..500.0_f64,
        loss in 0.0..0.05_f64,
        outage in prop::option::of((20_i64..500, 1_i64..30)),
        seconds in 60_i64..1_800,
        start_rtp in 0_i64..5_000_000_000,
        seed in any::<u64>(),
    ) {
        let outages = outage.map(|(at, length)| (at, at + length)).into_iter().collect();
        let line = Line { ppm, jitter_ms, loss, outages, seconds, start_rtp, seed };
        let worst = worst(&line);
        prop_assert!(worst < 20.0, "{worst} ms");
    }

    #[test]
    fn no_numbers_make_it_panic(points in prop::collection::vec((any::<u64>(), any::<i64>()), 0..300), zero in any::<i64>()) {
        let mut clock = Clock::default();
        for (rtp, at) in points {
            clock.packet(rtp % (1 << 50), at >> 12);
            clock.report(rtp % (1 << 50), at >> 12);
        }
        let placement = clock.placement(zero >> 12);
        prop_assert!(placement.steps.is_sorted_by_key(|step| step.from_rtp));
        let _ = placement.sample(5);
    }
}
