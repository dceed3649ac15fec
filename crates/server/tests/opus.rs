//! The Opus rendition: what is heard of it is what was sent, sample by sample.

#![allow(clippy::unwrap_used, reason = "a test may")]

use echosphere_testkit::server::Server;
use echosphere_testkit::session::Session;
use echosphere_testkit::sound;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");
/// Where the edit list begins, in samples.
const EDIT: usize = 312;

/// The lines of a playlist that name a media file or say how long one is.
fn lines<'p>(playlist: &'p str, prefix: &str) -> Vec<&'p str> {
    playlist.lines().filter_map(|line| line.strip_prefix(prefix)).collect()
}

#[test]
fn a_session_is_played_as_it_was_sent() {
    for name in ["order", "reservation"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(PROGRAM, folder.path(), &[]);
        let session = Session::load(name);
        assert_eq!(session.upload(server.address).status, 200);
        let recording = server.settled().remove(0);
        let base = format!("/v1/recordings/{}", recording["id"].as_str().unwrap());
        let multivariant = server.get(&format!("{base}/playlist.m3u8?codec=opus"));
        assert_eq!(multivariant.status, 200);
        let text = multivariant.text();
        assert!(text.contains("CODECS=\"opus\"") && lines(&text, "renditions/opus/").len() == 1, "{text}");
        let media = server.get(&format!("{base}/renditions/opus/playlist.m3u8")).text();
        let init = lines(&media, "#EXT-X-MAP:URI=\"");
        assert_eq!((init.len(), media.contains("#EXT-X-ENDLIST")), (1, true), "{media}");
        let from = format!("{base}/renditions/opus/");
        let mut file = server.get(&format!("{from}{}", init[0].trim_end_matches('"'))).body;
        let mut lengths =
            lines(&media, "#EXTINF:").into_iter().map(|line| line.trim_end_matches(',').parse::<f64>().unwrap());
        // From whichever segment on a player begins, it takes this for the playlist's time.
        let mut begins = 480_000;
        for segment in media.lines().filter(|line| !line.starts_with('#')) {
            let answer = server.get(&format!("{from}{segment}"));
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("audio/mp4")), "{segment}");
            assert!(answer.header("cache-control").unwrap().contains("max-age"));
            // Each begins where the playlist says that the one before ends.
            assert_eq!(decode_time(&answer.body), begins, "{segment}");
            begins += (lengths.next().unwrap() * 48_000.0).round() as u64;
            file.extend(answer.body);
        }
        let mut sent = sound::decode(&session.ogg(), "ogg").0;
        // The SDK has the user on the left; here the agent is.
        sent.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.swap(0, 1));
        let heard = &sound::decode(&file, "mp4").0[2 * EDIT..][..sent.len()];
        assert!(heard == sent, "{name}: what is heard is not what was sent");
    }
}

/// The decode time of a segment's first packet (`tfdt`, version 1).
fn decode_time(segment: &[u8]) -> u64 {
    let at = segment.windows(4).position(|window| window == b"tfdt").unwrap() + 8;
    u64::from_be_bytes(segment[at..at + 8].try_into().unwrap())
}

#[test]
fn what_is_not_there_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, folder.path(), &[]);
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    let recording = server.settled().remove(0);
    let base = format!("/v1/recordings/{}", recording["id"].as_str().unwrap());
    for (path, status) in [
        ("playlist.m3u8?codec=aac", 200),
        ("playlist.m3u8?codec=mp3", 400),
        ("renditions/opus/init-1.mp4", 404),
        ("renditions/opus/init-x.mp4", 404),
        ("renditions/audio/init-0.mp4", 404),
        ("renditions/opus/segments/9999.m4s", 404),
        ("renditions/opus/segments/0.m4s", 200),
        ("renditions/opus/segments/0.m4s?r=7", 404),
        ("renditions/opus/init-0.mp4?r=7", 404),
        ("renditions/opus/init-0.mp4?r=x", 400),
        ("renditions/opus/segments/0.ts", 404),
        ("renditions/audio/segments/0.m4s", 404),
    ] {
        assert_eq!(server.get(&format!("{base}/{path}")).status, status, "{path}");
    }
    let text = server.get(&format!("{base}/playlist.m3u8")).text();
    assert!(text.contains("mp4a.40.2"), "AAC unless Opus is asked for: {text}");
    // Without credentials nobody hears anything.
    for path in ["playlist.m3u8?codec=opus", "renditions/opus/init-0.mp4", "renditions/opus/segments/0.m4s"] {
        let answer = echosphere_testkit::http::send(server.address, "GET", &format!("{base}/{path}"), &[], &[]);
        assert_eq!(answer.status, 401, "{path}");
    }
    // Nothing is stored for it.
    assert!(!server.objects().iter().any(|path| path.extension().is_some_and(|end| end == "m4s" || end == "mp4")));
}
