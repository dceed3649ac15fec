//! Segments that are rendered when somebody asks for them, kept for a while, and given up again.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use echosphere_testkit::http::fetch;
use echosphere_testkit::server::Server;
use echosphere_testkit::session::Session;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

fn rendered(server: &Server) -> Vec<PathBuf> {
    let mut all = server.objects();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "ts"));
    all
}

/// The addresses of a recording's segments, as its playlist has them now.
fn listed(server: &Server, base: &str) -> Vec<String> {
    let playlist = server.get(&format!("{base}/renditions/audio/playlist.m3u8"));
    assert_eq!(playlist.status, 200);
    playlist.text().lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "waited 30 s for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_ours(address: &str) -> bool {
    address.contains("/v1/recordings/")
}

/// A server with one recording, and the recording's path.
fn begin(folder: &std::path::Path, variables: &[(&str, &str)]) -> (Server, String) {
    let server = Server::start(PROGRAM, folder, variables);
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    let recording = server.settled().remove(0);
    let base = format!("/v1/recordings/{}", recording["id"].as_str().unwrap());
    (server, base)
}

#[test]
fn nothing_is_rendered_before_somebody_asks_and_then_a_few_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let (server, base) = begin(folder.path(), &[]);
    assert_eq!(rendered(&server), Vec::<PathBuf>::new());
    // All else is there, but for the waveform, which is drawn when somebody looks at it.
    let waveform = || server.get(&format!("{base}/waveform?pixels=100"));
    assert_eq!(waveform().status, 202);
    until("the waveform", || waveform().status == 200);
    let drawn = waveform().json();
    let highest = drawn["data"].as_array().unwrap().iter().filter_map(serde_json::Value::as_i64).max();
    assert!(drawn["length"].as_u64() > Some(90) && highest > Some(20), "{drawn}");
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("echosphere_windows_measured_total{by=\"packets\"}"), "{metrics}");
    let turns = server.get(&format!("{base}/transcript")).json();
    assert_eq!(turns["alignment"]["method"], "voice_activity", "{}", turns["alignment"]);
    let addresses = listed(&server, &base);
    assert!(addresses.len() > 10 && addresses.iter().all(|address| is_ours(address)), "{addresses:?}");
    // Many who ask for the same at once are answered by one rendering.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || fetch(&addresses[2]);
        let all: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    until("the segments after it", || rendered(&server).len() == 4);
    let names: BTreeSet<String> =
        rendered(&server).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["00002.ts", "00003.ts", "00004.ts", "00005.ts"].map(str::to_owned).into());
    // The last of them is announced and counted after it lies there.
    until("the count", || server.get("/metrics").text().contains("echosphere_segments_rendered_on_demand_total 4"));
    let stored = || -> Vec<usize> {
        listed(&server, &base).iter().enumerate().filter(|(_, address)| !is_ours(address)).map(|(n, _)| n).collect()
    };
    until("their addresses", || stored() == [2, 3, 4, 5]);
    let now = listed(&server, &base);
    assert_eq!(fetch(&now[2]).body, answers[0].body);
}

#[test]
fn what_is_always_rendered_is_the_same_and_is_kept() {
    let (asked, always) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (asked, base) = begin(asked.path(), &[]);
    let keep = [
        ("ECHOSPHERE_RENDERING_WHEN", "always"),
        ("ECHOSPHERE_RENDERING_KEEP", "0s"),
        ("ECHOSPHERE_STORAGE_SWEEP_EVERY", "100ms"),
    ];
    let (always, other) = begin(always.path(), &keep);
    let addresses = listed(&always, &other);
    assert!(addresses.iter().all(|address| !is_ours(address)), "{addresses:?}");
    for (one, another) in listed(&asked, &base).iter().zip(&addresses) {
        assert!(fetch(one).body == fetch(another).body, "{one}");
    }
    assert_eq!(listed(&always, &other), addresses);
}

#[test]
fn where_there_is_no_aac_the_playlist_is_opus_and_all_else_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (server, base) = begin(folder.path(), &[("ECHOSPHERE_RENDERING_WHEN", "never")]);
    let playlist = server.get(&base).json()["playlist_url"].as_str().unwrap().to_owned();
    assert!(playlist.contains("codec=opus"), "{playlist}");
    let answer = fetch(&playlist);
    assert!(answer.status == 200 && answer.text().contains("renditions/opus/"), "{}", answer.text());
    let media = server.get(&format!("{base}/renditions/opus/playlist.m3u8")).text();
    let segment = media.lines().find(|line| line.starts_with("segments/")).unwrap();
    assert_eq!(server.get(&format!("{base}/renditions/opus/{segment}")).status, 200);
    for path in ["playlist.m3u8", "renditions/audio/playlist.m3u8", "renditions/audio/segments/0.ts"] {
        let answer = server.get(&format!("{base}/{path}"));
        assert_eq!((answer.status, &answer.json()["type"]), (501, &"/problems/no-aac".into()), "{path}");
        assert!(answer.text().contains("codec=opus"), "{}", answer.text());
    }
    assert_eq!(server.get(&format!("{base}/waveform?pixels=100")).status, 202);
    until("the waveform", || server.get(&format!("{base}/waveform?pixels=100")).status == 200);
    assert_eq!(rendered(&server), Vec::<PathBuf>::new());
}

#[test]
fn what_is_old_is_given_up_but_no_address_that_was_given_out_before_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let life = 8;
    let (server, base) = begin(
        folder.path(),
        &[
            ("ECHOSPHERE_RENDERING_KEEP", "1s"),
            ("ECHOSPHERE_STORAGE_SWEEP_EVERY", "100ms"),
            ("ECHOSPHERE_STORAGE_SWEEP_AFTER", "0s"),
            ("ECHOSPHERE_PLAYBACK_URL_TTL", &format!("{life}s")),
        ],
    );
    let first = listed(&server, &base).remove(0);
    let body = fetch(&first).body;
    until("the segments after it", || rendered(&server).len() == 4);
    // The address that was given out last before it is given up.
    let (mut given, mut at) = (None, Instant::now());
    until("it to be given up", || {
        let now = listed(&server, &base).remove(0);
        is_ours(&now)
    });
    until("it to be stored again", || {
        fetch(&listed(&server, &base)[0]).status == 200 && !is_ours(&listed(&server, &base)[0])
    });
    while given.is_none() || !is_ours(&listed(&server, &base)[0]) {
        let now = listed(&server, &base).remove(0);
        if !is_ours(&now) {
            (given, at) = (Some(now), Instant::now());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let given = given.unwrap();
    // Signatures have times that are rounded down, by a quarter of their life here.
    while at.elapsed() < Duration::from_secs(life - life / 4 - 1) {
        let answer = fetch(&given);
        assert!(answer.status == 200 && answer.body == body, "{} after {:?}", answer.status, at.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    until("what nobody asks for to be gone", || rendered(&server).is_empty());
    let again = listed(&server, &base).remove(0);
    assert!(is_ours(&again));
    assert!(fetch(&again).body == body, "it is rendered again, the same");
}
