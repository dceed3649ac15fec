//! A track of a capture log as an Ogg/Opus file, as ffmpeg reads it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::process::Command;

use echosphere_recorder::log::{Body, Entry, Packet, Participant, Stream, Track};
use echosphere_recorder::sound::{Assembler, Layout, TrackFile};

const MS: i64 = 1_000_000;
const T0: i64 = 1_795_439_500_000 * MS;

/// A publisher who says a tone of 100 ms at the beginning of each second, on a clock that runs fast.
struct Speaker {
    encoder: opus::Encoder,
    ppm: f64,
}

impl Speaker {
    fn packet(&mut self, n: i64) -> Vec<u8> {
        let sample = |at: i64| match at % 48_000 {
            0..4_800 => (12_000.0 * (at as f64 * 880.0 * std::f64::consts::TAU / 48_000.0).sin()) as i16,
            _ => 0,
        };
        let pcm: Vec<i16> = (0..960).map(|k| sample(n * 960 + k)).collect();
        self.encoder.encode_vec(&pcm, 1_500).unwrap()
    }

    /// When packet `n` arrives, 20 ms after it was begun.
    fn arrives(&self, n: i64) -> i64 {
        T0 + (n as f64 * 20e6 * (1.0 - self.ppm * 1e-6)) as i64 + 20 * MS
    }
}

/// 120 s; 20 s to 24 s were not sent, 60 s to 63 s the connection was lost: after that another stream, numbered anew. Returns
/// the log and the packets.
fn call(speaker: &mut Speaker) -> (Vec<Entry>, Vec<Vec<u8>>) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut log = |at: i64, body: Body| entries.push(Entry { number: entries.len() as u64, at, body: Some(body) });
    let stream = |stream| {
        let (track_sid, participant_sid) = ("TR_a".to_owned(), "PA_a".to_owned());
        Body::Stream(Stream { stream, ssrc: 7 + stream, track_sid, participant_sid, ..Stream::default() })
    };
    let track = Track { sid: "TR_a".to_owned(), source: "MICROPHONE".to_owned(), ..Track::default() };
    let about =
        Participant { sid: "PA_a".into(), identity: "alice".into(), tracks: vec![track], ..Participant::default() };
    log(T0, Body::Participant(about.clone()));
    log(T0, stream(0));
    let mut sent = Vec::new();
    for n in (0..6_000).filter(|n| !(1_000..1_200).contains(n) && !(3_000..3_150).contains(n)) {
        if n == 3_150 {
            log(speaker.arrives(n), stream(1));
        }
        let payload = speaker.packet(n);
        let (number, rtp) = if n < 3_150 { (0, n * 960) } else { (1, n * 960 + 77_777) };
        let packet = Packet { stream: number, sequence: n as u64, rtp: rtp as u64, payload: payload.clone().into() };
        log(speaker.arrives(n), Body::Packet(packet));
        sent.push(payload);
    }
    log(speaker.arrives(6_000), Body::Participant(Participant { gone: true, tracks: Vec::new(), ..about }));
    (entries, sent)
}

#[test]
fn each_second_of_a_track_is_where_the_recording_has_it() {
    let encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    let mut speaker = Speaker { encoder, ppm: 80.0 };
    let (entries, sent) = call(&mut speaker);
    let mut assembler = Assembler::new(Layout::AgentLeft, 1_000 * MS);
    // Chunks as they are cut: every two seconds.
    let chunks: Vec<&[Entry]> = entries.chunks(100).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        chunk.iter().for_each(|entry| assembler.take(entry, number as u32));
    }
    let tracks = assembler.received_tracks();
    assert_eq!(tracks.len(), 1, "one track, whatever it came over");
    assert_eq!((tracks[0].identity.as_str(), tracks[0].source.as_str()), ("alice", "MICROPHONE"));
    let index = assembler.index().unwrap();
    let horizons = index.horizons();
    let mut file = TrackFile::new(&index, "TR_a", 0, tracks[0].samples.end, vec!["TITLE=alice".to_owned()]).unwrap();
    let (mut bytes, mut most) = (Vec::new(), 0);
    for (number, chunk) in chunks.iter().enumerate() {
        file.take(chunk.iter().cloned());
        let before = bytes.len();
        while file.write(horizons[number + 1], &mut bytes) {}
        most = most.max(bytes.len() - before);
    }
    file.finish(&mut bytes);
    assert!(most < 60_000, "{most} bytes at once");
    let found = sent.iter().filter(|payload| bytes.windows(payload.len()).any(|window| window == payload.as_slice()));
    let missing = sent.len() - found.count();
    assert!(missing <= 1, "{missing} packets are not in it as they came");

    let (samples, probed) = decode(&bytes);
    assert!(probed.contains("alice") && probed.contains("stream,1"), "{probed}");
    let spoken = |second: i64| speaker.arrives(second * 50) - 20 * MS - index.zero;
    for second in (0..119).filter(|second| !(20..24).contains(second) && !(60..63).contains(second)) {
        let wanted = spoken(second) as f64 / 1e6;
        let from = (wanted as usize).saturating_sub(100) * 48;
        let onset = samples[from..].iter().position(|sample| sample.unsigned_abs() > 3_000).unwrap();
        let at = (from + onset) as f64 / 48.0;
        // 20 ms on its way, the delay of the codec, and the tolerance of the file.
        assert!((at - wanted - 26.5).abs() < 18.0, "second {second} lies at {at:.1} ms, spoken at {wanted:.1} ms");
    }
    for second in [20, 21, 22, 23, 60, 61, 62] {
        let from = (spoken(second) / MS) as usize * 48;
        let loudest = samples[from + 4_800..from + 43_200].iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!(loudest < 200, "second {second}: {loudest}");
    }
}

/// The samples as ffmpeg decodes them, and what ffprobe says of the file.
fn decode(bytes: &[u8]) -> (Vec<i16>, String) {
    let folder = tempfile::tempdir().unwrap();
    let (ogg, pcm) = (folder.path().join("track.ogg"), folder.path().join("track.pcm"));
    std::fs::write(&ogg, bytes).unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-xerror", "-i"]).arg(&ogg);
    run(ffmpeg.args(["-f", "s16le", "-ac", "1", "-ar", "48000"]).arg(&pcm));
    let entries = "format=duration:stream=channels:stream_tags=title";
    let mut ffprobe = Command::new("ffprobe");
    let probed = run(ffprobe.args(["-v", "error", "-show_entries", entries, "-of", "csv"]).arg(&ogg));
    let bytes = std::fs::read(&pcm).unwrap();
    (bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect(), probed)
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("ffmpeg and ffprobe are installed: apt-get install ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
