//! Tests of `ts::read`.

use super::*;
use crate::aac::adts as frames;
use crate::hls;
use crate::ts::{self, PACKET, PTS_BASE, SYNC};
use proptest::prelude::*;

macro_rules! egress {
    ($name:literal) => {
        include_bytes!(concat!("../../../../../testdata/egress/", $name))
    };
}

const STOPPED: [(usize, &[u8]); 4] = [
    (0, egress!("stopped/segment_00000.ts")),
    (1, egress!("stopped/segment_00001.ts")),
    (7, egress!("stopped/segment_00007.ts")),
    (8, egress!("stopped/segment_00008.ts")),
];
const PARTICIPANT: [&[u8]; 4] = [
    egress!("participant/seg_00000.ts"),
    egress!("participant/seg_00001.ts"),
    egress!("participant/seg_00002.ts"),
    egress!("participant/seg_00003.ts"),
];

/// The EXTINF of a segment, in ticks.
fn announced(playlist: &[u8], number: usize) -> u64 {
    hls::read::media(playlist).unwrap().segments[number].ticks.unwrap()
}

fn kinds(bytes: &[u8]) -> Vec<(usize, Kind)> {
    segment(bytes).unwrap().problems.iter().map(|problem| (problem.packet, problem.kind)).collect()
}

/// One of our own: 40 frames of 48 kHz stereo, 60 bytes each; `pts` is that of its first.
fn own(pts: u64) -> Vec<u8> {
    let frame = [&[0xff, 0xf1, 0x4c, 0x80, 7, 0x9f, 0xfc][..], &[0x11; 53]].concat();
    let mut bytes = ts::segment(0, 0, ts::Frames { bytes: &frame.repeat(40), lengths: &[60; 40] });
    for pes in [0, 1, 2] {
        stamp(&mut bytes, pes, pts + pes as u64 * 16 * 1920);
    }
    bytes
}

/// Writes another PTS into the n-th PES packet.
fn stamp(bytes: &mut [u8], pes: usize, pts: u64) {
    let begun: Vec<usize> = (0..bytes.len() - 9).filter(|&at| bytes[at..].starts_with(&[0, 0, 1, 0xc0])).collect();
    let field = &mut bytes[begun[pes] + 9..][..5];
    let parts = [
        (pts >> 29) as u8 & 0x0e | 0x21,
        (pts >> 22) as u8,
        (pts >> 14) as u8 | 1,
        (pts >> 7) as u8,
        (pts << 1) as u8 | 1,
    ];
    field.copy_from_slice(&parts);
}

/// The numbers of the packets of a stream.
fn of_pid(bytes: &[u8], pid: u16) -> Vec<usize> {
    let is_of = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == pid;
    bytes.chunks(PACKET).enumerate().filter(|(_, packet)| is_of(packet)).map(|(number, _)| number).collect()
}

fn without(bytes: &[u8], number: usize) -> Vec<u8> {
    [&bytes[..number * PACKET], &bytes[(number + 1) * PACKET..]].concat()
}

#[test]
fn livekits_sound_is_as_long_as_its_playlist_says_and_has_no_jump() {
    let playlist = egress!("stopped/playlist.m3u8");
    let read: Vec<Segment> = STOPPED.iter().map(|(_, bytes)| segment(bytes).unwrap()).collect();
    for (read, (number, _)) in read.iter().zip(STOPPED) {
        let audio = *read.audio().unwrap();
        assert_eq!((read.codecs().as_str(), read.channels(), read.resolution()), ("mp4a.40.2", Some(2), None));
        assert_eq!((audio.format.sample_rate, audio.jumps, audio.timing), (44_100, 0, read.timing));
        assert_eq!(audio.samples, audio.frames * 1024);
        assert_eq!(read.problems, [], "{number}");
        // EXTINF is rounded to milliseconds; that of the last segment lacks its last frame.
        let missing = if number == 8 { 2090 } else { 0 };
        let difference = read.timing.ticks.abs_diff(announced(playlist, number) + missing);
        assert!(difference <= 45, "{number}: {difference} ticks");
    }
    assert_eq!(read[0].audio().unwrap().frames, 172);
    assert_eq!(read[0].timing, Timing { start: 324_000_000, ticks: 359_445 });
    for pair in [0, 2] {
        assert!(read[pair].timing.gap_to(read[pair + 1].timing).abs() <= 1);
    }
    assert!(read[1].timing.gap_to(read[2].timing) > 5 * 359_000, "five segments are not here");
    let stream = Stream { pid: 0x41, stream_type: 0x0f, content: Content::Aac(*read[0].audio().unwrap()) };
    assert_eq!((&read[0].streams[..], stream.name()), (&[stream][..], "AAC"));
}

#[test]
fn livekits_pictures_have_their_size_and_codec_and_follow_each_other() {
    let playlist = egress!("participant/playlist.m3u8");
    let read = PARTICIPANT.map(|bytes| segment(bytes).unwrap());
    for (number, read) in read.iter().enumerate() {
        let (audio, video) = (read.audio().unwrap(), read.video().unwrap());
        assert_eq!((read.codecs().as_str(), read.resolution()), ("avc1.4d401f,mp4a.40.2", Some((1280, 720))));
        assert_eq!((read.channels(), audio.format.sample_rate, audio.jumps), (Some(2), 44_100, 0));
        assert!(video.begins_with_key_frame && read.timing == video.timing);
        // The first begins with a frame of AAC in three packets before its PAT.
        let early = Problem { packet: 0, kind: Kind::TablesLate };
        assert_eq!(read.problems, if number == 0 { vec![early] } else { vec![] }, "{number}");
        let missing = if number == 3 { 3000 } else { 0 };
        let difference = read.timing.ticks.abs_diff(announced(playlist, number) + missing);
        assert!(difference <= 45, "{number}: {difference} ticks");
    }
    // As ffprobe says.
    let video = read[0].video().unwrap();
    assert_eq!((video.timing.start, video.last, video.pictures), (324_001_718, 324_358_718, 120));
    assert_eq!(read.each_ref().map(|read| read.audio().unwrap().frames), [174, 172, 172, 44]);
    for pair in read.windows(2) {
        assert_eq!(pair[0].timing.gap_to(pair[1].timing), 0);
        let sound = pair.iter().map(|read| read.audio().unwrap().timing).collect::<Vec<_>>();
        assert!(sound[0].gap_to(sound[1]).abs() <= 1);
    }
}

#[test]
fn pictures_without_a_key_frame_are_told() {
    let mut bytes = PARTICIPANT[0].to_vec();
    // The slices of the first picture: as if they were none of an IDR picture.
    let second =
        of_pid(&bytes, 0x41).into_iter().filter(|number| bytes[number * PACKET + 1] & 0x40 != 0).nth(1).unwrap();
    let key = (0..second * PACKET).find(|&at| bytes[at..].starts_with(&[0, 0, 1, 0x65])).unwrap();
    bytes[key + 3] = 0x61;
    assert!(!segment(&bytes).unwrap().video().unwrap().begins_with_key_frame);
}

#[test]
fn what_we_write_is_read_without_a_problem() {
    let read = segment(&own(PTS_BASE)).unwrap();
    assert_eq!((read.timing, &read.problems[..]), (Timing { start: PTS_BASE, ticks: 40 * 1920 }, &[][..]));
    let frames = adts(&own(PTS_BASE)).unwrap();
    assert_eq!((frames.len(), frames::pieces(&frames).count()), (40 * 60, 40));
}

#[test]
fn times_may_wrap() {
    let start = (1 << 33) - 20_000;
    let (read, next) = (segment(&own(start)).unwrap(), segment(&own(40 * 1920 - 20_000)).unwrap());
    assert_eq!((read.timing, &read.problems[..]), (Timing { start, ticks: 40 * 1920 }, &[][..]));
    assert_eq!((read.timing.gap_to(next.timing), next.timing.gap_to(read.timing)), (0, -2 * 40 * 1920));
}

#[test]
fn a_jump_inside_is_found_and_counts_in_the_length() {
    for (ticks, is_jump) in [(450, false), (451, true), (-450, false), (-451, true), (90_000, true)] {
        let mut bytes = own(PTS_BASE);
        for pes in [1, 2] {
            stamp(&mut bytes, pes, (PTS_BASE + pes as u64 * 16 * 1920).strict_add_signed(ticks));
        }
        let read = segment(&bytes).unwrap();
        let begun = of_pid(&bytes, 0x100).into_iter().filter(|number| bytes[number * PACKET + 1] & 0x40 != 0).nth(1);
        let expected = Problem { packet: begun.unwrap(), kind: Kind::Jump(ticks) };
        assert_eq!(read.problems, if is_jump { vec![expected] } else { vec![] }, "{ticks}");
        let audio = read.audio().unwrap();
        assert_eq!((audio.jumps, audio.samples), (u64::from(is_jump), 40 * 1024));
        assert_eq!(read.timing.ticks, (40_u64 * 1920).strict_add_signed(if is_jump { ticks } else { 0 }), "{ticks}");
    }
}

#[test]
fn a_packet_that_is_missing_is_found() {
    let bytes = STOPPED[0].1;
    let sound = of_pid(bytes, 0x41);
    assert_eq!(kinds(&without(bytes, sound[1]))[0], (sound[1], Kind::PacketsMissing(0x41)));
    // A whole PES packet: nothing but the counter and the time show it.
    let begun: Vec<usize> = sound.iter().copied().filter(|number| bytes[number * PACKET + 1] & 0x40 != 0).collect();
    let all = begun[3]..begun[4];
    let short = all.clone().rev().fold(bytes.to_vec(), |bytes, number| without(&bytes, number));
    let expected = [(all.start, Kind::PacketsMissing(0x41)), (all.start, Kind::Jump(2090))];
    assert_eq!(kinds(&short), expected);
    assert_eq!(segment(&short).unwrap().timing.ticks, 359_445, "by its timestamps it is as long as before");
}

#[test]
fn a_packet_that_is_sent_twice_is_taken_once() {
    let bytes = STOPPED[0].1;
    let twice = [&bytes[..4 * PACKET], &bytes[3 * PACKET..]].concat();
    assert_eq!(segment(&twice), segment(bytes));
}

#[test]
fn a_segment_that_is_cut_is_told_and_gives_what_came() {
    let bytes = STOPPED[0].1;
    assert_eq!(segment(&[]), Err(Error::Empty));
    assert_eq!(segment(&bytes[..100]), Err(Error::NotTransportStream));
    assert_eq!(segment(&bytes[..PACKET]), Err(Error::NoStreams));
    assert_eq!(segment(&bytes[..2 * PACKET]), Err(Error::NothingToPlay));
    let cut = segment(&bytes[..100 * PACKET + 7]).unwrap();
    assert_eq!(cut.problems[0], Problem { packet: 100, kind: Kind::PacketCut(7) });
    assert!(cut.timing.ticks > 0 && cut.timing.ticks < 100_000);
    // In the middle of a PES packet.
    let middle = of_pid(bytes, 0x41)[1] + 1;
    let cut: Vec<Kind> = segment(&bytes[..(20 + middle) * PACKET]).unwrap().problems.iter().map(|it| it.kind).collect();
    assert!(cut.iter().all(|kind| matches!(kind, Kind::PesCut(0x41) | Kind::FrameCut)), "{cut:?}");
}

#[test]
fn what_is_no_transport_stream_is_told() {
    assert_eq!(segment(b"<html>Access denied</html>"), Err(Error::NotTransportStream));
    assert_eq!(segment(&vec![0; 1000]), Err(Error::NotTransportStream));
    assert_eq!(segment(&[SYNC; 1000]), Err(Error::NotTransportStream));
    assert_eq!(segment(&STOPPED[0].1[2 * PACKET..17 * PACKET]), Err(Error::NoProgram));
}

#[test]
fn bytes_in_between_are_passed_over() {
    let bytes = STOPPED[0].1;
    let at = 10 * PACKET;
    let with = [&bytes[..at], &[SYNC - 1; 50], &bytes[at..]].concat();
    assert_eq!(kinds(&with), [(10, Kind::OutOfSync(50))]);
    assert_eq!(segment(&with).unwrap().timing, segment(bytes).unwrap().timing);
}

#[test]
fn a_damaged_table_is_found_and_the_next_one_taken() {
    let bytes = STOPPED[0].1;
    for (pid, error) in [(0, Error::NoProgram), (0x20, Error::NoStreams)] {
        let tables = of_pid(bytes, pid);
        let damage = |numbers: &[usize]| {
            let mut bytes = bytes.to_vec();
            // The last byte of the section, which ends its packet: its checksum.
            for number in numbers {
                bytes[(number + 1) * PACKET - 1] ^= 1;
            }
            bytes
        };
        let expected = [(tables[0], Kind::TableDamaged(pid)), (2, Kind::TablesLate)];
        assert_eq!(kinds(&damage(&tables[..1])), expected);
        assert_eq!(segment(&damage(&tables)), Err(error));
    }
}

#[test]
fn packets_that_say_that_they_are_damaged_or_scrambled_are_not_read() {
    for (byte, mask, kind) in [(1, 0x80, Kind::PacketDamaged), (3, 0x80, Kind::Scrambled)] {
        let mut bytes = STOPPED[0].1.to_vec();
        bytes[3 * PACKET + byte] |= mask;
        assert_eq!(kinds(&bytes)[0], (3, kind));
    }
}

#[test]
fn a_packet_that_contradicts_itself_is_not_read() {
    // Its adaptation field takes all of it, and yet it says that it carries something; or the field is longer than the packet.
    for length in [183, 184, 255] {
        for pid in [0, 0x20, 0x41] {
            let mut packet = [0xff; PACKET];
            packet[..6].copy_from_slice(&[SYNC, 0x40, pid, 0x30, length, 0]);
            let with = [&STOPPED[0].1[..2 * PACKET], &packet, &STOPPED[0].1[2 * PACKET..]].concat();
            assert_eq!(kinds(&with), [(2, Kind::PacketDamaged)], "{length}");
        }
    }
}

#[test]
fn bytes_of_aac_that_are_no_frame_are_found() {
    let mut bytes = STOPPED[0].1.to_vec();
    let at = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&[0xff, 0xf1, 0x50])).nth(5).unwrap();
    bytes[at] = 0;
    let found = kinds(&bytes);
    let lost = matches!(found[0].1, Kind::BytesBetweenFrames(378..400));
    assert!(lost && matches!(found[1].1, Kind::Jump(2089..=2090)) && found.len() == 2, "{found:?}");
}

#[test]
fn problems_are_bounded() {
    let mut bytes = own(PTS_BASE);
    let last = bytes[bytes.len() - PACKET..].to_vec();
    for counter in 0..500_u16 {
        bytes.extend_from_slice(&last);
        let at = bytes.len() - PACKET + 3;
        bytes[at] = bytes[at] & 0xf0 | ((counter * 5) & 0x0f) as u8;
    }
    assert_eq!(segment(&bytes).unwrap().problems.len(), MOST_PROBLEMS);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![Just(SYNC), any::<u8>()], 0..2000)) {
        let _ = segment(&bytes);
        let _ = adts(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(
        which in 0_usize..3,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        end in any::<prop::sample::Index>(),
    ) {
        let own = own(PTS_BASE);
        let mut bytes = [&own, STOPPED[3].1, PARTICIPANT[3]][which].to_vec();
        let length = bytes.len();
        for (at, byte) in &damage {
            bytes[at.index(length)] = *byte;
        }
        let (whole, cut) = (segment(&bytes), segment(&bytes[..end.index(length)]));
        for read in [whole, cut].into_iter().flatten() {
            prop_assert!(read.problems.len() <= MOST_PROBLEMS);
            prop_assert!(read.problems.iter().all(|problem| problem.packet <= length / PACKET));
        }
    }

    #[test]
    fn differences_know_the_wrap(one in 0_u64..1 << 33, ticks in -(1_i64 << 32)..1 << 32) {
        let other = one.wrapping_add_signed(ticks) & ((1 << 33) - 1);
        prop_assert_eq!(timing::difference(other, one), ticks);
    }
}
