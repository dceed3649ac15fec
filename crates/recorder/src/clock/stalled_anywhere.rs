//! Tests with senders whose RTP clock stalls anywhere and for any time, with little speech between: how far each packet is placed
//! from where it was spoken.

use std::ops::Range;

use proptest::prelude::*;

use super::*;

const ZERO: i64 = 1_795_439_500_000 * MS;
/// A stall that is not longer is of the size of what packets wait anyway (ms).
const BRIEF: f64 = 100.0;
/// The transit time of the fastest packet.
const WAY: i64 = 5 * MS;

/// Pseudo-random numbers, the same in each run.
fn random(seed: &mut u64) -> f64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) as f64 / (1_u64 << 53) as f64
}

/// What a sender does next.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Speaks for this many milliseconds.
    Speaks(i64),
    /// Gives the encoder nothing for this many milliseconds: the RTP clock stalls. After that, this many packets arrive all at
    /// once.
    Stands(i64, i64),
    /// Sends silence.
    IsSilent(i64),
    /// Sends a packet every 400 ms.
    IsDtx(i64),
    /// Sends nothing, while the RTP clock runs on.
    IsMuted(i64),
}

#[derive(Debug, Clone)]
struct Caller {
    does: Vec<Does>,
    jitter_ms: f64,
    loss: f64,
    /// The share of packets that are late by 50 to 400 ms more, as retransmissions are.
    late: f64,
    ppm: f64,
    /// Sender reports as LiveKit makes them: derived from the publisher's last one, as though its clock ran on.
    reports: bool,
    /// How often per second the reader is held up, by 20 to 20 + `held_ms` milliseconds.
    held: f64,
    held_ms: f64,
    seed: u64,
}

const CALLER: Caller = Caller {
    does: Vec::new(),
    jitter_ms: 2.0,
    loss: 0.0,
    late: 0.0,
    ppm: 0.0,
    reports: false,
    held: 0.0,
    held_ms: 0.0,
    seed: 7,
};

#[derive(Debug, Clone, Copy)]
struct Packet {
    rtp: i64,
    spoken: i64,
    is_speech: bool,
    arrived: i64,
    /// How long the clock has been stalled in total, in nanoseconds.
    stood: i64,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    rtp: i64,
    ntp: i64,
    arrived: i64,
}

impl Caller {
    fn sent(&self) -> (Vec<Packet>, Vec<Report>) {
        let mut seed = self.seed | 1;
        let (mut rtp, mut now, mut stood) = (48_000_000, ZERO, 0);
        let (mut packets, mut reports): (Vec<Packet>, Vec<Report>) = (Vec::new(), Vec::new());
        let mut reported = (rtp, now);
        let (mut reports_at, mut next) = (now + 3_000 * MS, now + 4_500 * MS);
        let (mut burst, mut on_its_way) = (0, 0);
        let frame = (20e6 * (1.0 + self.ppm * 1e-6)) as i64;
        for does in &self.does {
            let (frames, every, is_speech) = match *does {
                Does::Speaks(ms) => (ms / 20, 1, true),
                Does::IsSilent(ms) => (ms / 20, 1, false),
                Does::IsDtx(ms) => (ms / 20, 20, false),
                Does::IsMuted(ms) => (ms / 20, i64::MAX, false),
                Does::Stands(ms, packets) => {
                    let from = now;
                    now += ms * MS;
                    stood += ms * MS;
                    burst = packets;
                    // Reports go on meanwhile, both LiveKit's and the publisher's.
                    while self.reports && next < now {
                        reports.push(Report { rtp: reported.0 + samples(next - reported.1), ntp: next, arrived: next });
                        if next >= reports_at {
                            reported = (rtp + samples(next - from), next);
                            reports_at = next + 5_000 * MS;
                        }
                        next += 3_000 * MS + (random(&mut seed) * 2e9) as i64;
                    }
                    continue;
                }
            };
            for n in 0..frames {
                if n % every == 0 && every != i64::MAX && random(&mut seed) >= self.loss {
                    // Packets that arrive at once were in transit together.
                    if burst <= 0 {
                        on_its_way = (random(&mut seed) * self.jitter_ms * 1e6) as i64;
                    }
                    let mut arrived = now + WAY + on_its_way + burst.max(0) * frame;
                    if random(&mut seed) < self.late {
                        arrived += 50 * MS + (random(&mut seed) * 350e6) as i64;
                    }
                    packets.push(Packet { rtp, spoken: now, is_speech, arrived, stood });
                }
                burst -= 1;
                if now >= reports_at {
                    reported = (rtp, now + ((random(&mut seed) - 0.5) * 10e6) as i64);
                    reports_at = now + 2_500 * MS + (random(&mut seed) * 5e9) as i64;
                }
                if self.reports && now >= next {
                    reports.push(Report { rtp: reported.0 + samples(now - reported.1), ntp: now, arrived: now });
                    next = now + 3_000 * MS + (random(&mut seed) * 2e9) as i64;
                }
                (rtp, now) = (rtp + 960, now + frame);
            }
        }
        self.hold_up(&mut packets, &mut seed);
        (packets, reports)
    }

    /// Receiving is held up now and then: what arrives meanwhile arrives at once after it.
    fn hold_up(&self, packets: &mut [Packet], seed: &mut u64) {
        let mut until = None;
        packets.sort_by_key(|packet| packet.arrived);
        for packet in packets {
            if until.is_none_or(|until| packet.arrived > until) && random(seed) * 50.0 < self.held {
                until = Some(packet.arrived + 20 * MS + (random(seed) * self.held_ms * 1e6) as i64);
            }
            packet.arrived = until.map_or(packet.arrived, |until| packet.arrived.max(until));
        }
    }

    /// The distance of each packet of speech from where it was spoken, in milliseconds, in hindsight.
    fn off(&self) -> Vec<f64> {
        let (mut packets, mut reports) = self.sent();
        reports.reverse();
        let mut clock = Clock::default();
        for packet in &packets {
            while let Some(report) = reports.pop_if(|report| report.arrived <= packet.arrived) {
                clock.report(report.rtp as u64, report.ntp);
            }
            clock.packet(packet.rtp as u64, packet.arrived);
        }
        let placement = clock.placement(ZERO + WAY);
        let far = |packet: &Packet| {
            let at = nanos(placement.sample(packet.rtp as u64).unwrap()) + ZERO;
            (at - packet.spoken) as f64 / 1e6
        };
        packets.sort_by_key(|packet| packet.rtp);
        let known = is_known(&packets);
        let speech = packets.iter().zip(&known).filter(|(packet, known)| packet.is_speech && **known);
        speech.map(|(packet, _)| far(packet).abs()).collect()
    }
}

/// The largest of some distances.
fn worst(off: &[f64]) -> f64 {
    off.iter().copied().fold(0.0, f64::max)
}

/// The share of speech that is more than so many milliseconds off, in percent.
fn astray(off: &[f64], ms: f64) -> f64 {
    off.iter().filter(|far| **far > ms).count() as f64 * 100.0 / off.len().max(1) as f64
}

/// For each packet, in order of RTP time, whether it can be known on which side of a stall it was spoken. It cannot for those just
/// before a stall that were so late that they arrived like those spoken after it.
fn is_known(packets: &[Packet]) -> Vec<bool> {
    let mut known = vec![true; packets.len()];
    for (last, pair) in packets.windows(2).enumerate().filter(|(_, pair)| pair[0].stood < pair[1].stood) {
        let stood = pair[1].stood - pair[0].stood;
        let is_late = |packet: &Packet| packet.arrived - packet.spoken - WAY >= stood - 15 * MS;
        packets[..=last]
            .iter()
            .rev()
            .take_while(|packet| is_late(packet))
            .enumerate()
            .for_each(|(n, _)| known[last - n] = false);
    }
    known
}

/// The log of a call in which the first second of sound after a stall was placed 2.5 s too early: the reader was held up for 100 ms
/// just before the stall, so that the last packets before it were late as well.
#[test]
fn packets_read_late_just_before_a_stall_do_not_hide_it() {
    // Arrivals, in milliseconds after the time given by RTP, of one packet every 20 ms.
    let mut delays = vec![0.5; 58];
    delays.extend([16.1, 32.8, 13.6, 0.9, 0.8, 0.0, 0.9, 19.8, 1.1, 4.2, 12.4, 0.5, 0.8, 41.9, 21.9, 1.9]);
    delays.extend([90.9, 71.0, 51.1, 31.1, 11.1, 14.4, 11.0, 9.9, 1.0, 0.8, 1.0, 1.9, 25.2]);
    let stalled_at = delays.len() as i64;
    delays.extend([2_500.3; 111]);
    let mut clock = Clock::default();
    for (n, delay) in delays.iter().enumerate() {
        let n = n as i64;
        if n == stalled_at || n == stalled_at + 80 {
            let arrived = n * 20 * MS + 2_500 * MS;
            clock.report((1_000_000_000 + samples(arrived)) as u64, ZERO + arrived + 5 * MS);
        }
        clock.packet((1_000_000_000 + n * 960) as u64, ZERO + n * 20 * MS + (delay * 1e6) as i64);
    }
    let placement = clock.placement(ZERO);
    let at = |n: i64| placement.sample((1_000_000_000 + n * 960) as u64).unwrap() / 48;
    for n in 0..delays.len() as i64 {
        let wanted = n * 20 + if n < stalled_at { 0 } else { 2_500 };
        assert!((at(n) - wanted).abs() <= 5, "packet {n} lies at {} ms, not {wanted}", at(n));
    }
}

/// Calls in which the fastest packet just after a stall overtook those before it and those after it were late: these were taken for
/// the first after the stall, and those before them were placed at the end of the speech before it.
#[test]
fn packets_that_one_overtook_just_after_a_stall_lie_after_it() {
    let held_up = Caller {
        does: vec![Does::Speaks(2_000), Does::Stands(840, 6), Does::Speaks(420)],
        jitter_ms: 12.671_654_886_351_11,
        loss: 0.010_367_309_592_336_048,
        late: 0.005_444_000_413_648_106,
        held: 1.440_808_813_347_777_4,
        held_ms: 83.133_562_257_295,
        seed: 7_590_390_799_819_299_302,
        ..CALLER
    };
    let jittery = Caller {
        does: vec![
            Does::Speaks(2_280),
            Does::IsMuted(2_300),
            Does::Speaks(660),
            Does::Stands(495, 3),
            Does::Speaks(1_020),
        ],
        jitter_ms: 17.612_508_180_810_952,
        loss: 0.035_187_067_261_229_416,
        late: 0.023_421_488_412_643_035,
        seed: 12_351_955_235_918_321_106,
        ..CALLER
    };
    for caller in [held_up, jittery] {
        let worst = worst(&caller.off());
        assert!(worst < 20.0, "{worst} ms: {caller:?}");
    }
}

fn speaks(ms: impl Strategy<Value = i64>) -> impl Strategy<Value = Does> {
    ms.prop_map(Does::Speaks)
}

fn stands(ms: Range<i64>) -> impl Strategy<Value = Does> {
    let long = ms.start.max(3_000)..ms.end;
    (prop_oneof![3 => ms.start..3_000, 1 => long], prop_oneof![2 => Just(0_i64), 1 => 1_i64..8])
        .prop_map(|(ms, burst)| Does::Stands(ms, burst))
}

/// Utterances of 0.3 to 3 s, with a stall or any kind of quiet between them.
fn calls() -> impl Strategy<Value = Vec<Does>> {
    let quiet = prop_oneof![
        (200_i64..4_000).prop_map(Does::IsSilent),
        (500_i64..6_000).prop_map(Does::IsDtx),
        (500_i64..6_000).prop_map(Does::IsMuted),
    ];
    let turn = (speaks(300_i64..3_000), prop_oneof![3 => stands(50..30_000), 1 => quiet]);
    (prop::collection::vec(turn, 1..12), speaks(300_i64..3_000)).prop_map(|(turns, last)| {
        let mut does: Vec<Does> = turns.into_iter().flat_map(|(speaks, then)| [speaks, then]).collect();
        does.push(last);
        does
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_stall_anywhere_moves_nothing(does in calls(), reports in any::<bool>(), ppm in -100.0..100.0_f64, seed in any::<u64>()) {
        let caller = Caller { does, ppm, reports, seed, ..CALLER };
        let worst = worst(&caller.off());
        prop_assert!(worst < 20.0, "{worst} ms: {caller:?}");
    }

    #[test]
    fn a_stall_anywhere_moves_nothing_whatever_the_network_does(
        does in calls(),
        reports in any::<bool>(),
        jitter_ms in 0.0..20.0_f64,
        loss in 0.0..0.05_f64,
        late in 0.0..0.03_f64,
        ppm in -100.0..100.0_f64,
        held in prop_oneof![Just(0.0), 0.1..2.0_f64],
        held_ms in 20.0..150.0_f64,
        seed in any::<u64>(),
    ) {
        let caller = Caller { does, jitter_ms, loss, late, ppm, reports, held, held_ms, seed };
        let off = caller.off();
        // A packet that is late just after a stall can be mistaken for the first one after it: the few before it are then placed at
        // the end of the speech before the stall. Nothing that follows is.
        let longest = caller.does.iter().map(|does| if let Does::Stands(ms, _) = does { *ms } else { 0 }).max();
        let most = longest.unwrap_or(0) as f64 + 20.0;
        // A stall that is no longer than what packets wait anyway is not found in a few words.
        let (worst, far, near) = (worst(&off), astray(&off, BRIEF), astray(&off, 20.0));
        prop_assert!(worst < most && far <= 3.0 && near <= 15.0, "{worst} ms; {far} % far, {near} % near: {caller:?}");
    }
}
