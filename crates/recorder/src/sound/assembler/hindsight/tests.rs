//! Tests of `hindsight`.

use super::*;
use echosphere_media::tracks::Channel;

use crate::clock::Placement;
use crate::log::{Body, Ended, Entry, Joined, Link, Packet, Participant, Pause, Stream, link};

const MS: i64 = 1_000_000;
const T0: i64 = 1_795_439_500_000 * MS;

/// A log of one track: a packet every 20 ms, each 5 ms in transit.
struct Log {
    assembler: Assembler,
    entries: Vec<Entry>,
}

impl Log {
    fn new() -> Self {
        let mut log = Self { assembler: Assembler::new(Layout::AgentLeft, 1_000 * MS), entries: Vec::new() };
        let stream = Stream { stream: 0, track_sid: "TR".into(), participant_sid: "PA".into(), ..Stream::default() };
        log.take(T0, Body::Stream(stream));
        log
    }

    fn take(&mut self, at: i64, body: Body) {
        let entry = Entry { number: self.entries.len() as u64, at, body: Some(body) };
        self.assembler.take(&entry, 0);
        self.entries.push(entry);
    }

    fn packet(&mut self, number: u64, at: i64, payload: &[u8]) {
        let packet = Packet { stream: 0, sequence: number, rtp: number * 960, payload: payload.to_vec().into() };
        self.take(at, Body::Packet(packet));
    }

    /// The packets that came.
    fn came(&self) -> impl Iterator<Item = Packet> {
        self.entries.iter().filter_map(|entry| match &entry.body {
            Some(Body::Packet(packet)) => Some(packet.clone()),
            _ => None,
        })
    }

    fn packets(&mut self, numbers: Range<u64>) {
        for number in numbers {
            self.packet(number, T0 + number as i64 * 20 * MS + 5 * MS, &[0x78, 1, 2]);
        }
    }
}

fn gaps(index: &Index) -> Vec<(&str, i64, i64)> {
    index.gaps.iter().map(|gap| (gap.reason.as_str(), gap.start / 48, gap.samples / 48)).collect()
}

#[test]
fn packets_lie_where_they_were_spoken_whatever_the_server_adds_in_the_end() {
    let mut log = Log::new();
    log.packets(0..500);
    // The server's own silence arrives all at once, with timestamps in the future.
    for number in 500..510 {
        log.packet(number, T0 + 500 * 20 * MS, &[0xf8, 0xff, 0xfe]);
    }
    let index = log.assembler.index().unwrap();
    let placement = index.streams[0].placement.as_ref().unwrap();
    // 200 ms of lead before the arrival of the first packet.
    assert_eq!(placement.sample(0), Some(9_600));
    assert_eq!(placement.sample(960 * 499), Some(9_600 + 960 * 499));
    assert_eq!(gaps(&index), []);
    let tracks = index.tracks(log.came(), &(48_000..96_000));
    assert_eq!((tracks.len(), tracks[0].channel), (1, Channel::Right));
    assert!(tracks[0].packets.windows(2).all(|pair| pair[0].start + 960 == pair[1].start));
    assert_eq!(index.chunks_for(&(0..48_000)), [0]);
    assert_eq!(Index::from_bytes(&index.to_bytes()), Some(index));
}

#[test]
fn what_is_missing_is_reported_once_and_why() {
    let mut log = Log::new();
    log.packets(0..100);
    log.packets(250..300);
    log.take(T0 + 6_000 * MS, Body::Pause(Pause { paused: true }));
    log.take(T0 + 8_000 * MS, Body::Pause(Pause { paused: false }));
    log.packets(400..450);
    log.take(T0 + 9_000 * MS, Body::Ended(Ended { reason: "stopped".into() }));
    let index = log.assembler.index().unwrap();
    assert_eq!(gaps(&index), [("packets_lost", 2_200, 3_000), ("paused", 6_195, 2_000)]);
    assert_eq!(index.samples / 48, 9_200, "the last packet ends after the stop");
}

#[test]
fn nothing_is_known_to_belong_to_it_when_everybody_left_or_the_connection_is_lost() {
    let person = |gone| Body::Participant(Participant { sid: "PA".into(), gone, ..Participant::default() });
    let link = |up, at: i64| Body::Link(Link { up, since: T0 + at * MS, reason: String::new() });
    let mut log = Log::new();
    log.take(T0, person(false));
    log.packets(0..100);
    assert_eq!(log.assembler.goes_on_until(), None);
    log.take(T0 + 3_000 * MS, link(false, 2_100));
    assert_eq!(log.assembler.goes_on_until(), Some(T0 + 2_100 * MS));
    log.take(T0 + 4_000 * MS, link(true, 3_900));
    assert_eq!(log.assembler.goes_on_until(), None);
    log.take(T0 + 5_000 * MS, person(true));
    assert_eq!(log.assembler.goes_on_until(), Some(T0 + 5_000 * MS));
    let mut closed = log.assembler.clone();
    log.take(T0 + 6_000 * MS, person(false));
    assert_eq!(log.assembler.goes_on_until(), None);
    // Participants who were silent at the end were present until the room was closed; those who had left were not.
    log.take(T0 + 9_000 * MS, Body::Ended(Ended { reason: ended::ROOM_ENDED.into() }));
    assert_eq!(log.assembler.index().unwrap().samples / 48, 9_195);
    let end =
        Entry { number: 900, at: T0 + 9_000 * MS, body: Some(Body::Ended(Ended { reason: ended::ROOM_ENDED.into() })) };
    closed.take(&end, 0);
    assert_eq!(closed.index().unwrap().samples / 48, 5_195);
}

#[test]
fn a_process_that_took_over_hears_from_its_first_packet_on_and_not_from_its_joining() {
    let mut log = Log::new();
    let taken_over = Joined { room_sid: "RM".into(), room_name: "r".into(), resumed: true };
    log.packets(0..100);
    log.take(T0 + 2_500 * MS, Body::Joined(taken_over.clone()));
    log.packets(140..200);
    log.take(T0 + 5_000 * MS, Body::Joined(taken_over.clone()));
    // Nobody sends: then the link shows it.
    log.take(T0 + 6_200 * MS, Body::Link(Link { up: true, since: T0 + 5_200 * MS, reason: String::new() }));
    log.take(T0 + 9_000 * MS, Body::Pause(Pause { paused: true }));
    log.take(T0 + 9_100 * MS, Body::Joined(taken_over));
    log.take(T0 + 10_400 * MS, Body::Link(Link { up: true, since: T0 + 9_300 * MS, reason: String::new() }));
    log.take(T0 + 11_000 * MS, Body::Pause(Pause { paused: false }));
    log.take(T0 + 12_000 * MS, Body::Ended(Ended { reason: ended::STOPPED.into() }));
    let index = log.assembler.index().unwrap();
    let expected = [
        ("recorder_restarted", 2_180, 820),
        ("recorder_restarted", 4_180, 1_215),
        // The pause is the last sign of life.
        ("recorder_restarted", 9_195, 300),
        ("paused", 9_195, 2_000),
    ];
    assert_eq!(gaps(&index), expected);
}

#[test]
fn the_gap_of_a_restart_in_silence_is_as_long_as_the_restart() {
    let taken_over = Joined { room_sid: "RM".into(), room_name: "r".into(), resumed: true };
    let left = |at: i64| Body::Link(Link { up: false, since: T0 + at * MS, reason: link::HANDED_OVER.into() });
    let back = |at: i64| Body::Link(Link { up: true, since: T0 + at * MS, reason: String::new() });
    let mut log = Log::new();
    log.packets(0..100);
    // While somebody speaks: from the last packet on.
    log.take(T0 + 2_050 * MS, left(2_050));
    log.take(T0 + 2_900 * MS, Body::Joined(taken_over.clone()));
    log.packets(150..200);
    // Everybody is silent for a minute: handed over, and killed with an entry as the last sign of life.
    log.take(T0 + 60_000 * MS, left(60_000));
    log.take(T0 + 61_000 * MS, Body::Joined(taken_over.clone()));
    log.take(T0 + 62_100 * MS, back(61_100));
    log.take(T0 + 90_000 * MS, Body::Participant(Participant { sid: "PB".into(), ..Participant::default() }));
    log.take(T0 + 92_000 * MS, Body::Joined(taken_over));
    log.take(T0 + 93_300 * MS, back(92_200));
    log.take(T0 + 95_000 * MS, Body::Ended(Ended { reason: ended::STOPPED.into() }));
    let restart = |start, long| ("recorder_restarted", start, long);
    let expected = [restart(2_180, 1_020), restart(60_195, 1_100), restart(90_195, 2_200)];
    assert_eq!(gaps(&log.assembler.index().unwrap()), expected);
}

#[test]
fn what_the_next_process_places_before_it_has_joined_is_no_sign_of_life() {
    let mut log = Log::new();
    log.packets(0..100);
    // The process is killed. The next one continues live rendering, and joins when LiveKit lets it.
    let placed = followed(&mut log, 0, T0 + 2_600 * MS);
    assert!(!placed.steps.is_empty());
    let taken_over = Joined { room_sid: "RM".into(), room_name: "r".into(), resumed: true };
    log.take(T0 + 2_900 * MS, Body::Joined(taken_over));
    log.packets(150..200);
    assert_eq!(gaps(&log.assembler.index().unwrap()), [("recorder_restarted", 2_180, 1_020)]);
}

#[test]
fn a_lost_packet_that_came_again_is_no_loss_and_doubles_are_one() {
    let mut log = Log::new();
    log.packets(0..50);
    log.packets(60..100);
    log.packets(45..60);
    let index = log.assembler.index().unwrap();
    assert_eq!(gaps(&index), []);
    let tracks = index.tracks(log.came(), &(0..200_000));
    assert_eq!(tracks[0].packets.len(), 100);
    assert!(tracks[0].packets.iter().all(|packet| !packet.after_loss));
}

#[test]
fn a_packet_with_a_wrong_time_neither_makes_the_recording_longer_nor_is_it_heard() {
    let mut log = Log::new();
    log.packets(0..500);
    // Ahead by hours, and by so little that it would be heard in another place.
    for (sequence, ahead) in [(500, 1 << 31), (501, 48_000 * 4)] {
        let packet = Packet { stream: 0, sequence, rtp: sequence * 960 + ahead, payload: vec![0x78, 1, 2].into() };
        log.take(T0 + sequence as i64 * 20 * MS + 5 * MS, Body::Packet(packet));
    }
    log.packets(502..1_000);
    let index = log.assembler.index().unwrap();
    assert_eq!(index.samples, 9_600 + 1_000 * 960);
    assert_eq!(gaps(&index), []);
    let tracks = index.tracks(log.came(), &(0..2_000_000));
    assert_eq!(tracks[0].packets.len(), 998);
    assert!(tracks[0].packets.windows(2).all(|pair| pair[0].start + 960 <= pair[1].start));
    assert_eq!(Index::from_bytes(&index.to_bytes()), Some(index));
}

#[test]
fn a_recording_is_no_longer_than_its_log_whatever_its_first_packet_says() {
    let mut log = Log::new();
    log.packet(10_000_000, T0, &[0x78, 1, 2]);
    log.packets(0..300);
    let index = log.assembler.index().unwrap();
    assert!(index.samples < 9_600 + 350 * 960, "{}", index.samples);
    assert_eq!(index.tracks(log.came(), &(0..400_000))[0].packets.len(), 300);
}

/// The placement that live rendering uses, after its changes were logged.
fn followed(log: &mut Log, sample: i64, at: i64) -> Placement {
    for placed in log.assembler.follow_clocks(sample) {
        log.take(at, Body::Placed(placed));
    }
    log.assembler.streams[&0].live.clone()
}

#[test]
fn live_rendering_follows_a_step_that_is_taken_back_and_its_steps_stay_in_order() {
    let mut log = Log::new();
    log.packets(0..500);
    let at = |number: u64, late_ms: i64| T0 + number as i64 * 20 * MS + (5 + late_ms) * MS;
    let begun = followed(&mut log, 0, at(500, 0));
    assert_eq!(begun.steps.len(), 1);
    (500..1_500).for_each(|number| log.packet(number, at(number, 300), &[0x78, 1, 2]));
    let stepped = followed(&mut log, 9_600 + 450 * 960, at(1_500, 300));
    assert_eq!(stepped.sample(1_400 * 960), Some(9_600 + 1_400 * 960 + 300 * 48), "what lies after it is followed");
    // It was a queue, which is over. What was said of samples that are not rendered yet no longer holds.
    log.packets(1_500..2_000);
    let back = followed(&mut log, 9_600 + 400 * 960, at(2_000, 0));
    assert!(back.steps.is_sorted_by_key(|step| step.from_rtp), "{back:?}");
    assert!(back.steps.windows(2).all(|pair| pair[0].from_rtp < pair[1].from_rtp), "{back:?}");
    for number in [100, 600, 1_900] {
        assert_eq!(back.sample(number * 960), Some(9_600 + number as i64 * 960), "{back:?}");
    }
    assert_eq!(followed(&mut log, 9_600 + 1_900 * 960, at(2_000, 0)), back, "nothing more to say");
}

/// An agent whose RTP clock stalls for 90 ms after each turn, followed live every four seconds.
#[test]
fn an_agents_turns_lie_where_they_were_spoken_and_live_is_no_more_than_three_steps_behind() {
    let mut log = Log::new();
    let (mut spoken, mut now, mut followed_at) = (Vec::new(), T0, T0);
    for turn in 0..20 {
        for n in 0..150 {
            let (sequence, rtp) = (turn * 150 + n, (turn * 395 + n) * 960);
            let packet = Packet { stream: 0, sequence, rtp, payload: vec![0x78, 1, 2].into() };
            log.take(now + 5 * MS, Body::Packet(packet));
            spoken.push((rtp, now + 5 * MS));
            now += 20 * MS;
            if now - followed_at >= 4_000 * MS {
                followed_at = now;
                let zero = log.assembler.zero().unwrap();
                let live = followed(&mut log, clock::samples(now - zero) - 6 * 48_000, now);
                let delay = clock::samples(now - 15 * MS - zero) - live.sample(rtp).unwrap();
                assert!(delay <= 3 * 90 * 48 + MOVED, "turn {turn}: {delay} samples");
            }
        }
        now += 90 * MS + 245 * 20 * MS;
    }
    let index = log.assembler.index().unwrap();
    assert_eq!(gaps(&index), []);
    let placement = index.streams[0].placement.as_ref().unwrap();
    let off = |(rtp, at): &(u64, i64)| (placement.sample(*rtp).unwrap() - clock::samples(at - index.zero)).abs();
    let worst = spoken.iter().map(off).max().unwrap();
    assert!(worst <= MOVED, "{worst} samples");
    assert!(!index.improved.is_empty() && index.improved.iter().all(|extent| extent.end < 170 * 48_000));
}
