//! Tests with senders whose RTP clock stalls, queues that leave it running, and wrong timestamps: how far any packet is placed from
//! where it was spoken.

use proptest::prelude::*;

use super::*;

const ZERO: i64 = 1_795_439_500_000 * MS;

/// Pseudo-random numbers, the same in each run.
fn random(seed: &mut u64) -> f64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) as f64 / (1_u64 << 53) as f64
}

/// An agent who speaks in turns. After each of them the encoder is given nothing for a while.
#[derive(Debug, Clone, Copy)]
struct Agent {
    turns: u32,
    speaks_ms: i64,
    quiet_ms: i64,
    stands_ms: i64,
    /// Whether a packet is sent every 420 ms while quiet, or none.
    dtx: bool,
    jitter_ms: f64,
    ppm: f64,
    /// Sender reports, as LiveKit derives them from the publisher's.
    reports: bool,
    /// Between these seconds packets are late by this many milliseconds more.
    queue: Option<(i64, i64, f64)>,
    seed: u64,
}

const AGENT: Agent = Agent {
    turns: 20,
    speaks_ms: 3_000,
    quiet_ms: 5_000,
    stands_ms: 90,
    dtx: true,
    jitter_ms: 5.0,
    ppm: 0.0,
    reports: false,
    queue: None,
    seed: 7,
};

/// What the clock receives.
enum Sent {
    Packet { rtp: i64, spoken: i64, is_speech: bool },
    Report { rtp: i64, ntp: i64 },
}

/// How far speech is placed from where it was spoken, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Off {
    /// The largest distance, in hindsight.
    worst: f64,
    /// The share that is more than 20 ms off, in hindsight, in percent.
    share: f64,
    /// The largest distance of what arrives while the call is still going on.
    live: f64,
}

impl Agent {
    /// Everything that arrives, in order of arrival, with its time.
    fn sent(&self) -> Vec<(i64, Sent)> {
        let mut seed = self.seed | 1;
        let (mut rtp, mut now) = (48_000_000, ZERO);
        let mut all = Vec::new();
        // The publisher's last report, and when its next one and LiveKit's next one are due.
        let (mut reported, mut reports_at, mut next) = ((rtp, now), now + 3_000 * MS, now + 4_500 * MS);
        for _ in 0..self.turns {
            let spoken = self.speaks_ms / 20;
            for n in 0..spoken + (self.quiet_ms - self.stands_ms) / 20 {
                if n == spoken {
                    now += self.stands_ms * MS;
                }
                if n < spoken || self.dtx && (n - spoken) % 21 == 0 {
                    let arrived = now + (random(&mut seed) * self.jitter_ms * 1e6) as i64 + self.queued(now);
                    all.push((arrived, Sent::Packet { rtp, spoken: now, is_speech: n < spoken }));
                }
                if now >= reports_at {
                    reported = (rtp, now + ((random(&mut seed) - 0.5) * 10e6) as i64);
                    reports_at = now + 2_500 * MS + (random(&mut seed) * 5e9) as i64;
                }
                if self.reports && now >= next {
                    all.push((now, Sent::Report { rtp: reported.0 + samples(now - reported.1), ntp: now }));
                    next = now + 3_000 * MS + (random(&mut seed) * 2e9) as i64;
                }
                (rtp, now) = (rtp + 960, now + (20e6 * (1.0 + self.ppm * 1e-6)) as i64);
            }
        }
        all.sort_by_key(|(arrived, _)| *arrived);
        all
    }

    fn queued(&self, now: i64) -> i64 {
        let second = (now - ZERO) / (1_000 * MS);
        let late = self.queue.filter(|(from, to, _)| (*from..*to).contains(&second));
        late.map_or(0, |(.., late_ms)| (late_ms * 1e6) as i64)
    }

    fn off(&self) -> Off {
        let sent = self.sent();
        let mut clock = Clock::default();
        let mut off = Off::default();
        let far = |placement: &Placement, rtp: i64, spoken: i64| {
            (nanos(placement.sample(rtp as u64).unwrap()) + ZERO - spoken).abs() as f64 / 1e6
        };
        let mut looked = ZERO;
        for (arrived, sent) in &sent {
            match *sent {
                Sent::Report { rtp, ntp } => clock.report(rtp as u64, ntp),
                Sent::Packet { rtp, spoken, .. } => {
                    clock.packet(rtp as u64, *arrived);
                    if *arrived > looked + 4_000 * MS {
                        looked = *arrived;
                        off.live = off.live.max(far(&clock.placement_so_far(ZERO), rtp, spoken));
                    }
                }
            }
        }
        for (arrived, sent) in &sent {
            let is_wrong = |rtp: i64| clock.is_ahead(rtp as u64, *arrived);
            assert!(!matches!(sent, Sent::Packet { rtp, .. } if is_wrong(*rtp)), "{self:?}: no time is wrong");
        }
        let placement = clock.placement(ZERO);
        let speech = sent.iter().filter_map(|(_, sent)| match *sent {
            Sent::Packet { rtp, spoken, is_speech: true } => Some(far(&placement, rtp, spoken)),
            _ => None,
        });
        let speech: Vec<f64> = speech.collect();
        off.worst = speech.iter().copied().fold(0.0, f64::max);
        off.share = speech.iter().filter(|far| **far > 20.0).count() as f64 * 100.0 / speech.len() as f64;
        off
    }
}

/// All patterns of turns: how long the agent speaks, how long the clock stalls, with or without DTX, with or without reports.
fn patterns() -> impl Iterator<Item = Agent> {
    let speaks = [500, 1_500, 3_000].into_iter();
    let stands =
        speaks.flat_map(|speaks_ms| [30, 90, 140, 300].map(|stands_ms| Agent { speaks_ms, stands_ms, ..AGENT }));
    let dtx = stands.flat_map(|agent| [true, false].map(|dtx| Agent { dtx, ..agent }));
    dtx.flat_map(|agent| [true, false].map(|reports| Agent { reports, ..agent }))
}

#[test]
fn every_turn_lies_where_it_was_spoken() {
    for agent in patterns() {
        for jitter_ms in [0.0, 5.0, 40.0] {
            let agent = Agent { jitter_ms, ..agent };
            let off = agent.off();
            assert!(off.worst < 20.0, "{agent:?}: {off:?}");
            // Twenty turns do not add up: only what arrived in the last ten seconds may be a queue.
            let turns = 2.0 + 10_000.0 / (agent.speaks_ms + agent.quiet_ms) as f64;
            assert!(off.live < turns * agent.stands_ms as f64 + 20.0, "{agent:?}: {off:?}");
        }
    }
}

/// With half a second of jitter, the fastest of 25 packets is 20 ms late on average, and a step of 30 ms is no more than chance in
/// one turn. What holds is that turns do not add up, and that enough packets are as good as little jitter.
#[test]
fn turns_do_not_add_up_in_half_a_second_of_jitter() {
    for agent in patterns() {
        let agent = Agent { jitter_ms: 500.0, ..agent };
        let off = agent.off();
        println!("{agent:?}: {off:?}");
        let is_plain = agent.speaks_ms >= 3_000 && agent.stands_ms >= 90;
        let most = if is_plain { 20.0 } else { 100.0 + agent.stands_ms as f64 };
        assert!(off.worst < most, "{agent:?}: {off:?}");
    }
}

#[test]
fn a_queue_in_the_network_is_no_step() {
    let seconds = [2, 8, 30, 120].into_iter();
    let queues = seconds.flat_map(|seconds| [60.0, 140.0, 300.0, 500.0].map(|late_ms| (31, 31 + seconds, late_ms)));
    for queue in queues {
        for reports in [false, true] {
            let speaker = Agent { stands_ms: 0, reports, queue: Some(queue), turns: 40, jitter_ms: 20.0, ..AGENT };
            let off = speaker.off();
            assert!(off.worst < 20.0, "{speaker:?}: {off:?}");
            let is_followed = queue.1 > 40 || queue.2 > 150.0;
            assert!(is_followed || off.live < 20.0, "{speaker:?}: {off:?}");
            // If the clock steps at each turn, a queue of several turns looks the same while it lasts, and no longer.
            let agent = Agent { stands_ms: 90, ..speaker };
            let off = agent.off();
            let turns = (queue.1 - queue.0) / 8 + 1;
            assert!(off.worst < queue.2 + 95.0 && off.share <= turns as f64 * 2.5, "{agent:?}: {off:?}");
        }
    }
}

#[test]
fn a_sender_whose_wall_clock_is_set_is_not_moved() {
    let mut clock = Clock::default();
    for n in 0..3_000 {
        clock.packet(n * 960, ZERO + n as i64 * 20 * MS + 5 * MS);
        if n % 150 == 75 {
            let set = if n < 1_500 { 0 } else { 90 * MS };
            clock.report(n * 960, ZERO + n as i64 * 20 * MS + set);
        }
    }
    assert_eq!(clock.placement(ZERO + 5 * MS).steps, [Step { from_rtp: i64::MIN, offset: 0 }]);
}

#[test]
fn small_steps_add_up_to_one_that_is_followed() {
    for stands_ms in [4, 8, 12] {
        let off = Agent { stands_ms, turns: 60, ..AGENT }.off();
        assert!(off.worst < 20.0, "{stands_ms}: {off:?}");
    }
}

#[test]
fn a_queue_that_was_thought_a_step_is_taken_back_by_the_next_packet_on_time() {
    let mut clock = Clock::default();
    let late = |n: i64| if (500..2_000).contains(&n) { 300 * MS } else { 0 };
    for n in 0..2_000 {
        clock.packet(n as u64 * 960, n * 20 * MS + late(n));
    }
    assert_eq!(
        clock.placement_so_far(0).sample(1_900 * 960),
        Some(1_900 * 960 + 300 * 48),
        "after 30 s it looks like one"
    );
    for n in 2_000..2_020 {
        clock.packet(n as u64 * 960, n * 20 * MS);
    }
    assert_eq!(clock.placement(0).steps, [Step { from_rtp: i64::MIN, offset: 0 }]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn turns_of_any_kind_lie_where_they_were_spoken(
        turns in 3_u32..40,
        speaks_ms in 500_i64..3_000,
        quiet_ms in 1_000_i64..10_000,
        stands_ms in 0_i64..300,
        dtx in any::<bool>(),
        reports in any::<bool>(),
        jitter_ms in 0.0..30.0_f64,
        ppm in -100.0..100.0_f64,
        seed in any::<u64>(),
    ) {
        let agent = Agent { turns, speaks_ms, quiet_ms, stands_ms, dtx, reports, jitter_ms, ppm, queue: None, seed };
        let off = agent.off();
        // The first or last packet of a turn may be placed on the wrong side of a step.
        prop_assert!(off.share < 2.0 && off.worst < 20.0 + stands_ms as f64, "{agent:?}: {off:?}");
    }

    /// A single wrong timestamp affects nothing, whatever it is and whenever it comes.
    #[test]
    fn a_packet_with_a_wrong_time_moves_no_other(
        at in 200_usize..1_000,
        wrong in prop_oneof![17_600_i64..1 << 40, -(1_i64 << 40)..-96_000_000],
        jitter_ms in 0.0..200.0_f64,
        seed in any::<u64>(),
    ) {
        let start = 1_i64 << 41;
        let (mut clean, mut seed) = (Clock::default(), seed | 1);
        let mut dirty = Clock::default();
        for n in 0..1_000_usize {
            let arrived = n as i64 * 20 * MS + (random(&mut seed) * jitter_ms * 1e6) as i64;
            let rtp = start + n as i64 * 960;
            clean.packet(rtp as u64, arrived);
            let wrong = if n == at { wrong } else { 0 };
            let is_believed = dirty.packet((rtp + wrong) as u64, arrived);
            prop_assert_eq!(is_believed, wrong == 0);
        }
        let (clean, dirty) = (clean.placement(0), dirty.placement(0));
        prop_assert!(clean.difference(&dirty, start as u64, start as u64 + 1_000 * 960) < 960, "{:?} {:?}", clean, dirty);
    }
}
