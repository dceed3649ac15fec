//! What goes out: playlists, segments, transcripts, held against the source by tools that share nothing with the code.

#![allow(clippy::unwrap_used, reason = "a test may")]

use echosphere_testkit::http;
use echosphere_testkit::server::Server;
use echosphere_testkit::session::{self, Session};
use echosphere_testkit::sound::{self, Pcm, RATE};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

struct Replay {
    _dir: tempfile::TempDir,
    server: Server,
    session: Session,
    recording: Value,
}

fn replay(name: &str) -> Replay {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), &[("ECHOSPHERE_RENDERING_WHEN", "always")]);
    let session = Session::load(name);
    assert_eq!(session.upload(server.address).status, 200);
    let recording = server.settled().remove(0);
    Replay { _dir: dir, server, session, recording }
}

impl Replay {
    fn url(&self) -> &str {
        self.recording["playlist_url"].as_str().unwrap()
    }

    fn ts(&self) -> Vec<u8> {
        sound::segments(self.url()).into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    /// The sound as the SDK sent it: user left, agent right.
    fn source(&self) -> Pcm {
        sound::decode(&self.session.ogg(), "ogg")
    }

    fn turns(&self) -> Vec<Value> {
        let id = self.recording["id"].as_str().unwrap();
        self.server.get(&format!("/v1/recordings/{id}/transcript")).json()["turns"].as_array().unwrap().clone()
    }
}

fn spoken<'t>(turns: &'t [Value], role: &'t str) -> impl Iterator<Item = &'t Value> {
    turns.iter().filter(move |turn| turn["kind"] == "message" && turn["role"] == role && turn["typed"] == false)
}

#[test]
fn the_sound_is_where_it_was_and_the_agent_is_on_the_left() {
    for name in ["order", "node-order", "reservation"] {
        let replay = replay(name);
        let (source, rendered) = (replay.source(), sound::decode(&replay.ts(), "mpegts"));
        assert!((rendered.0.len() as i64 - source.0.len() as i64).abs() <= 2 * 1024, "{name}: one frame at the most");
        for (of_source, of_replay) in [(1, 0), (0, 1)] {
            let (a, b) = (source.channel(of_source), rendered.channel(of_replay));
            let wanted = [0.0, 0.5, 0.95];
            for share in wanted {
                let at = loudest(&a, share);
                let (lag, likeness) = sound::lag(&a, &b, at, RATE / 4, 480);
                println!("{name}: {lag} samples late, likeness {likeness:.3}");
                assert!(lag.abs() <= 48, "{name}: {lag} samples at {at}");
                assert!(likeness > 0.9, "{name}: {likeness} at {at}");
            }
        }
    }
}

/// Where the channel is loudest within a sixth of its length from there.
fn loudest(channel: &[f64], share: f64) -> usize {
    let window = RATE / 4;
    let from = (channel.len() as f64 * share) as usize;
    let (from, to) =
        (from.saturating_sub(channel.len() / 6), (from + channel.len() / 6).min(channel.len() - window - 500));
    let energy = |at: usize| channel[at..at + window].iter().map(|x| x * x).sum::<f64>();
    (from.max(500)..to).step_by(window).max_by(|a, b| energy(*a).total_cmp(&energy(*b))).unwrap()
}

#[test]
fn segments_are_what_their_playlist_says() {
    let replay = replay("order");
    let segments = sound::segments(replay.url());
    assert_eq!(segments.len(), 16);
    let dir = tempfile::tempdir().unwrap();
    let mut expected = None;
    for (number, (length, bytes)) in segments.iter().enumerate() {
        let file = dir.path().join(format!("{number}.ts"));
        std::fs::write(&file, bytes).unwrap();
        let said = sound::probe(&file, "stream=codec_name,sample_rate,channels,start_pts");
        for wanted in ["codec_name=aac", "sample_rate=48000", "channels=2"] {
            assert!(said.iter().any(|line| line == wanted), "{said:?}");
        }
        let start: i64 = said.iter().find_map(|line| line.strip_prefix("start_pts=")?.parse().ok()).unwrap();
        assert_eq!(start, expected.unwrap_or(start), "segment {number} begins where the one before ends");
        let packets = sound::probe(&file, "packet=pts");
        let frames = packets.iter().filter(|line| line.starts_with("pts=")).count() as i64;
        assert_eq!((length * 90_000.0).round() as i64, frames * 1920, "EXTINF is the frames' length");
        expected = Some(start + frames * 1920);
    }
    // One stream, without a complaint of ffmpeg's (`decode` sees to that).
    let whole = sound::decode(&replay.ts(), "mpegts");
    assert!(whole.0.len() > 2 * 62 * RATE);
}

#[test]
fn every_spoken_turn_begins_where_it_is_heard() {
    for name in ["order", "node-order", "reservation"] {
        let replay = replay(name);
        let rendered = sound::decode(&replay.ts(), "mpegts");
        let turns = replay.turns();
        for (role, channel) in [("agent", 0), ("user", 1)] {
            let onsets = sound::onsets(&rendered.channel(channel), 0.2);
            for turn in spoken(&turns, role) {
                let start = turn["start_ms"].as_f64().unwrap() / 1000.0;
                let nearest =
                    onsets.iter().map(|onset| onset - start).min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
                assert!(nearest.abs() <= 0.15, "{name}: {nearest:.3} s at {}", turn["text"]);
                assert_eq!(turn["approximate"], false);
            }
        }
        agrees_with_the_caller(&replay, &turns);
    }
}

/// The caller's own clock runs early by one constant (its send queue and espeak's lead-in).
fn agrees_with_the_caller(replay: &Replay, turns: &[Value]) {
    let zero = replay.recording["started_at"].as_str().unwrap();
    let zero: f64 = parse_time(zero);
    let said = replay.session.truth["user_ground_truth"].as_array().unwrap();
    let late: Vec<f64> = spoken(turns, "user")
        .zip(said)
        .map(|(turn, truth)| turn["start_ms"].as_f64().unwrap() / 1000.0 + zero - truth["start"].as_f64().unwrap())
        .collect();
    assert_eq!(late.len(), said.len());
    let constant = late.iter().sum::<f64>() / late.len() as f64;
    println!("{}: the caller's clock is {constant:.3} s early", replay.session.name);
    assert!((0.2..=0.35).contains(&constant), "{late:?}");
    assert!(late.iter().all(|late| (late - constant).abs() <= 0.1), "{late:?}");
}

fn parse_time(text: &str) -> f64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond() as f64 / 1000.0
}

#[test]
fn an_interrupted_line_ends_when_it_stops_being_heard() {
    let replay = replay("order");
    let turns = replay.turns();
    let cut = spoken(&turns, "agent").find(|turn| turn["interrupted"] == true).unwrap();
    let end = cut["end_ms"].as_i64().unwrap();
    // The SDK reports 35.87 s; the agent falls silent at 32.9 s.
    assert!((32_600..33_200).contains(&end), "{end}");
}

/// Whether an object of this name is stored.
fn is_stored(server: &Server, name: &str) -> bool {
    server.objects().iter().any(|path| path.ends_with(name))
}

/// A long session, asked for at its end while the rendering is at its beginning.
#[test]
fn a_segment_is_there_before_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), &[("ECHOSPHERE_RENDERING_WORKERS", "1")]);
    assert_eq!(session::hour_long().upload(server.address).status, 200);
    let recording = loop {
        let completed = server.recordings().into_iter().find(|recording| recording["status"] == "COMPLETED");
        if let Some(recording) = completed {
            break recording;
        }
    };
    let id = recording["id"].as_str().unwrap();
    let last = recording["duration_ms"].as_u64().unwrap().div_ceil(4_000) - 1;
    let answer = server.fetch(&format!("/v1/recordings/{id}/renditions/audio/segments/{last}.ts"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("video/mp2t")));
    assert!(is_stored(&server, &format!("{last:05}.ts")), "what was asked for is stored");
    assert!(!is_stored(&server, &format!("{:05}.ts", last - 1)), "and its turn had not come");
}

#[test]
fn whoever_renders_a_segment_its_bytes_are_the_same() {
    let replay = replay("order");
    let (server, id) = (&replay.server, replay.recording["id"].as_str().unwrap());
    let segment = |number: u32| format!("/v1/recordings/{id}/renditions/audio/segments/{number}.ts");
    let in_background = server.fetch(&segment(15)).body;
    server.lose("00015.ts");
    let answer = server.fetch(&segment(15));
    assert_eq!((answer.status, answer.body == in_background), (200, true));
    assert_eq!(server.get(&segment(16)).status, 404);
    assert_eq!(server.get(&format!("/v1/recordings/{id}/renditions/video/segments/0.ts")).status, 404);
}

#[test]
fn links_are_for_one_recording_and_presigned_urls_for_one_object() {
    let replay = replay("reservation");
    let address = replay.server.address;
    let playlist = replay.url();
    let target = playlist.split_once(&address.to_string()).unwrap().1;
    assert_eq!(http::get(address, target).status, 200);
    assert_eq!(http::get(address, &target.replace("sig=1", "sig=2")).status, 403);
    let media = http::fetch(playlist).text();
    let media = media.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
    let base = playlist.rsplit_once("/playlist.m3u8").unwrap().0;
    let segments = http::fetch(&format!("{base}/{media}")).text();
    let url = segments.lines().find(|line| line.contains("X-Amz-Signature")).unwrap();
    let target = url.split_once(&address.to_string()).unwrap().1;
    assert_eq!(http::get(address, target).status, 200);
    let ranged = http::send(address, "GET", target, &[("range", "bytes=0-187")], &[]);
    assert_eq!((ranged.status, ranged.body.len()), (206, 188));
    assert_eq!(http::send(address, "GET", target, &[("range", "bytes=999999999-")], &[]).status, 416);
    for forged in [
        target.replace("00000.ts", "00001.ts"),
        target.replace("X-Amz-Expires=", "X-Amz-Expires=1"),
        target.split_once('?').unwrap().0.to_owned(),
    ] {
        assert_eq!(http::get(address, &forged).status, 403, "{forged}");
    }
    let put = http::send(address, "PUT", target, &[], b"x");
    assert!(matches!(put.status, 403 | 501), "{}", put.status);
    let answer = http::get(address, target);
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn transcripts_come_in_four_forms() {
    let replay = replay("reservation");
    let id = replay.recording["id"].as_str().unwrap();
    let get = |form: &str| replay.server.get(&format!("/v1/recordings/{id}/transcript{form}"));
    let vtt = get(".vtt");
    assert_eq!(vtt.header("content-type"), Some("text/vtt; charset=utf-8"));
    assert!(
        vtt.text().starts_with("WEBVTT\n")
            && vtt.text().contains("<v booking>Parfait, c’est noté à vingt heures trente 🎉")
    );
    assert_eq!(get(".srt").text().matches(" --> ").count(), vtt.text().matches(" --> ").count());
    assert!(get(".txt").text().contains("nova hands over to booking"));
    let roles = replay.turns().iter().filter(|turn| turn["kind"] == "handoff").count();
    assert_eq!(roles, 2);
}

#[test]
fn playlists_are_compressed_for_who_asks() {
    let replay = replay("order");
    let target = replay.url().split_once(&replay.server.address.to_string()).unwrap().1;
    let target = target.replace("/playlist.m3u8", "/renditions/audio/playlist.m3u8");
    let plain = http::get(replay.server.address, &target);
    assert_eq!(plain.header("content-type"), Some("application/vnd.apple.mpegurl"));
    let small = http::send(replay.server.address, "GET", &target, &[("accept-encoding", "gzip")], &[]);
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert!(small.body.len() * 3 < plain.body.len());
    assert!(
        plain.text().contains("#EXT-X-ENDLIST")
            && plain.text().contains("#EXT-X-PROGRAM-DATE-TIME:2026-11-23T13:11:40.386Z")
    );
}

#[test]
fn a_lost_segment_is_made_again_and_a_lost_master_is_a_gap_that_is_never_hidden() {
    let mut replay = replay("reservation");
    let id = replay.recording["id"].as_str().unwrap().to_owned();
    let segment = format!("/v1/recordings/{id}/renditions/audio/segments/3.ts");
    replay.server.kill9();
    replay.server.lose("00003.ts");
    replay.server.restart();
    assert_eq!(replay.server.fetch(&segment).status, 200, "the master is there");
    replay.server.kill9();
    replay.server.lose("00003.ts");
    replay.server.lose("sound.ogg");
    replay.server.restart();
    let answer = replay.server.fetch(&segment);
    assert_eq!((answer.status, answer.json()["type"].as_str()), (404, Some("/problems/part-not-found")));
    let recording = replay.server.recording(&id);
    assert_eq!((&recording["status"], &recording["partial"]), (&"COMPLETED".into(), &true.into()), "{recording}");
    let gap = &recording["gaps"][0];
    assert_eq!(gap["reason"], "storage_lost");
    assert!((11_900..12_100).contains(&gap["start_ms"].as_i64().unwrap()), "{gap}");
    let playlist = replay.server.get(&format!("/v1/recordings/{id}/renditions/audio/playlist.m3u8")).text();
    assert_eq!(playlist.matches("#EXT-X-GAP").count(), 1, "{playlist}");
    assert_eq!(replay.server.fetch(&segment.replace("3.ts", "2.ts")).status, 200, "the others play");
}
