//! Senders whose RTP clock stands still: how far any packet lies from where it was spoken.

use proptest::prelude::*;

use super::*;

const ZERO: i64 = 1_795_439_500_000 * MS;

/// Numbers that look random, the same in each run.
fn random(seed: &mut u64) -> f64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) as f64 / (1_u64 << 53) as f64
}

/// An agent who speaks in turns. Behind each of them nothing is given to the encoder for a while.
#[derive(Debug, Clone, Copy)]
struct Agent {
    turns: u32,
    speaks_ms: i64,
    quiet_ms: i64,
    stands_ms: i64,
    /// Whether a packet comes every 420 ms of the quiet, or none.
    dtx: bool,
    jitter_ms: f64,
    /// Sender reports, as LiveKit makes them of the publisher's.
    reports: bool,
    seed: u64,
}

const AGENT: Agent = Agent {
    turns: 20,
    speaks_ms: 3_000,
    quiet_ms: 5_000,
    stands_ms: 90,
    dtx: true,
    jitter_ms: 5.0,
    reports: false,
    seed: 7,
};

/// What reaches the clock.
enum Sent {
    Packet { rtp: i64, spoken: i64, is_speech: bool },
    Report { rtp: i64, ntp: i64 },
}

impl Agent {
    /// Everything that arrives, in that order, with its arrival.
    fn sent(&self) -> Vec<(i64, Sent)> {
        let mut seed = self.seed | 1;
        let (mut rtp, mut now) = (48_000_000, ZERO);
        let mut all = Vec::new();
        // The publisher's last report: RTP time at a time; and LiveKit's next.
        let (mut told, mut tells_at, mut next) = ((rtp, now), now + 3_000 * MS, now + 4_500 * MS);
        for _ in 0..self.turns {
            let quiet = (self.quiet_ms - self.stands_ms) / 20;
            for n in 0..self.speaks_ms / 20 + quiet {
                let is_speech = n < self.speaks_ms / 20;
                let quiet_n = n - self.speaks_ms / 20;
                if quiet_n == 0 {
                    now += self.stands_ms * MS;
                }
                if is_speech || self.dtx && quiet_n % 21 == 0 {
                    let arrived = now + (random(&mut seed) * self.jitter_ms * 1e6) as i64;
                    all.push((arrived, Sent::Packet { rtp, spoken: now, is_speech }));
                }
                if now >= tells_at {
                    told = (rtp, now + ((random(&mut seed) - 0.5) * 10e6) as i64);
                    tells_at = now + 2_500 * MS + (random(&mut seed) * 5e9) as i64;
                }
                if self.reports && now >= next {
                    all.push((now, Sent::Report { rtp: told.0 + samples(now - told.1), ntp: now }));
                    next = now + 3_000 * MS + (random(&mut seed) * 2e9) as i64;
                }
                (rtp, now) = (rtp + 960, now + 20 * MS);
            }
        }
        all.sort_by_key(|(arrived, _)| *arrived);
        all
    }

    /// The farthest that any packet of speech lies from where it was spoken, in milliseconds: with hindsight, and while the call
    /// goes on, when half a minute has passed.
    fn worst(&self) -> (f64, f64) {
        let sent = self.sent();
        let mut clock = Clock::default();
        let mut live: f64 = 0.0;
        let off = |placement: &Placement, rtp: i64, spoken: i64| {
            (nanos(placement.sample(rtp as u64).unwrap()) + ZERO - spoken).abs() as f64 / 1e6
        };
        let mut looked = ZERO;
        for (arrived, sent) in &sent {
            match *sent {
                Sent::Packet { rtp, .. } => assert!(clock.packet(rtp as u64, *arrived)),
                Sent::Report { rtp, ntp } => clock.report(rtp as u64, ntp),
            }
            if let Sent::Packet { rtp, spoken, .. } = *sent
                && *arrived > looked + 4_000 * MS
            {
                looked = *arrived;
                live = live.max(off(&clock.placement_so_far(ZERO), rtp, spoken));
            }
        }
        let placement = clock.placement(ZERO);
        let speech = sent.iter().filter_map(|(_, sent)| match *sent {
            Sent::Packet { rtp, spoken, is_speech: true } => Some(off(&placement, rtp, spoken)),
            _ => None,
        });
        let all: Vec<f64> = speech.collect();
        if std::env::var("WHERE").is_ok() {
            let per = (self.speaks_ms / 20) as usize;
            for (n, turn) in all.chunks(per).enumerate() {
                println!("turn {n}: {}", turn.iter().map(|x| format!("{x:.0}")).collect::<Vec<_>>().join(" "));
            }
            println!("{:?}", clock.stretches.iter().map(|s| (s.from_rtp / 960, s.rise / MS, s.packets)).collect::<Vec<_>>());
        }
        (all.into_iter().fold(0.0, f64::max), live)
    }
}

#[test]
#[ignore = "prints figures"]
fn figures() {
    for jitter_ms in [0.0, 5.0, 60.0, 500.0] {
        for reports in [false, true] {
            for dtx in [true, false] {
                for speaks_ms in [500, 1_500, 3_000] {
                    let worst = |stands_ms| {
                        let mut all = (0.0_f64, 0.0_f64);
                        for seed in [7, 99, 1234] {
                            let (a, b) = Agent { stands_ms, jitter_ms, reports, dtx, speaks_ms, seed, ..AGENT }.worst();
                            all = (all.0.max(a), all.1.max(b));
                        }
                        format!("{:4.0} {:4.0}", all.0, all.1)
                    };
                    println!(
                        "jitter {jitter_ms:3} reports {reports:5} dtx {dtx:5} speaks {speaks_ms:4}: 30: {} 90: {} 140: {} 300: {}",
                        worst(30), worst(90), worst(140), worst(300)
                    );
                }
            }
        }
    }
}

#[test]
#[ignore = "prints figures"]
fn one() {
    println!("{:?}", Agent { jitter_ms: 0.0, dtx: false, speaks_ms: 3_000, ..AGENT }.worst());
}
