//! What is reached by a link, a token or a sign-in never outlives it.

use super::*;

/// A signature for a recording, as the server makes it.
fn sign(server: &Server, id: &str, expires: i64) -> String {
    use echosphere_domain::{id::ProjectId, time::WallTime};
    let key = std::fs::read_to_string(server.data().join("secrets/links")).unwrap();
    let links = echosphere_server::links::Links::new(key.trim().to_owned().into());
    links.sign(&ProjectId::default(), id.parse().unwrap(), WallTime::from_millis(expires * 1000))
}

fn now() -> i64 {
    echosphere_server::clock::now().as_millis() / 1000
}

/// When each address in a text expires, in Unix seconds.
fn expiries(text: &str) -> Vec<i64> {
    let links = text.split("sig=").skip(1).map(|rest| rest.split('.').next().unwrap().parse().unwrap());
    let presigned = text.split("X-Amz-Date=").skip(1).map(|rest| {
        let (day, time) = (&rest[..8], &rest[9..15]);
        let cut = |text: &str, at: usize| text[at..at + 2].to_owned();
        let date = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &day[..4],
            cut(day, 4),
            cut(day, 6),
            cut(time, 0),
            cut(time, 2),
            cut(time, 4)
        );
        let date: jiff::Timestamp = date.parse().unwrap();
        let life = rest.split("X-Amz-Expires=").nth(1).unwrap().split('&').next().unwrap();
        date.as_second() + life.parse::<i64>().unwrap()
    });
    links.chain(presigned).collect()
}

#[test]
fn nothing_that_a_link_reaches_outlives_it() {
    let (_dir, server, id) = recorded(&[], &[("ECHOSPHERE_RENDERING_WHEN", "always")]);
    let expires = now() + 6;
    let signature = sign(&server, &id, expires);
    let route = format!("/v1/recordings/{id}");
    let mut found = 0;
    for path in ["", "/playlist.m3u8", "/renditions/audio/playlist.m3u8", "/renditions/audio/segments/0.ts", "/events"]
    {
        let answer = http::get(server.address, &format!("{route}{path}?sig={signature}"));
        assert!(matches!(answer.status, 200 | 302), "{path}: {}", answer.text());
        let text = format!("{} {}", answer.header("location").unwrap_or_default(), answer.text());
        let ends = expiries(&text);
        assert!(!ends.is_empty() && ends.iter().all(|end| *end == expires), "{path}: {ends:?}, not {expires}");
        found += ends.len();
    }
    assert!(found >= 12, "{found}");
    let recording = http::get(server.address, &format!("{route}?sig={signature}")).json();
    let sig = format!("?sig={signature}");
    for url in ["playlist_url", "page_url"] {
        assert!(recording[url].as_str().unwrap().ends_with(&sig), "{url}: {}", recording[url]);
    }
    for path in ["", "/transcript", "/transcript.vtt", "/transcript.srt", "/transcript.txt", "/waveform"] {
        assert_eq!(http::get(server.address, &format!("{route}{path}{sig}")).status, 200, "{path}");
    }
    // A link is to one recording, and only to look at it.
    assert_eq!(http::get(server.address, &format!("/v1/recordings{sig}")).status, 401);
    assert_eq!(http::send(server.address, "DELETE", &format!("{route}{sig}"), &[], &[]).status, 401);
    assert_eq!(http::get(server.address, &format!("/v1/recordings/{}{sig}", id.replace('0', "1"))).status, 403);
    let playlist = http::get(server.address, &format!("{route}/renditions/audio/playlist.m3u8{sig}")).text();
    let segment = playlist.lines().find(|line| line.contains("X-Amz")).unwrap().to_owned();
    assert_eq!(http::fetch(&segment).status, 200);
    while now() < expires {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(http::fetch(&segment).status, 403);
    for path in ["", "/playlist.m3u8", "/events", "/transcript", "/renditions/audio/segments/0.ts"] {
        let answer = http::get(server.address, &format!("{route}{path}{sig}"));
        assert!(answer.status == 403 && answer.text().contains("expired"), "{path}: {}", answer.text());
    }
    assert_eq!(
        http::get(server.address, &format!("/recordings/{id}{sig}")).status,
        200,
        "the page says that it has expired"
    );
    assert_eq!(http::get(server.address, &format!("/recordings/{id}{sig}x")).status, 401);
}

#[test]
fn nothing_that_a_token_or_a_setting_reaches_outlives_it() {
    let (_dir, server, id) = recorded(&[], &[("ECHOSPHERE_PLAYBACK_URL_TTL", "30m")]);
    let ends_of = |authorization: &str| {
        let get = |path: &str| {
            let path = format!("/v1/recordings/{id}{path}");
            http::send(server.address, "GET", &path, &[("authorization", authorization)], &[]).text()
        };
        let all = [get(""), get("/playlist.m3u8"), get("/renditions/audio/playlist.m3u8"), get("/events")];
        all.iter().flat_map(|text| expiries(text)).collect::<Vec<_>>()
    };
    let expires = now() + 60;
    let ends = ends_of(&bearer(&token(None, expires)));
    assert!(ends.len() >= 12 && ends.iter().all(|end| *end == expires), "{ends:?}");
    let ends = ends_of(&bearer(API_KEY));
    let (low, high) = (now() + 1_800 - 455, now() + 1_800);
    assert!(ends.len() >= 12 && ends.iter().all(|end| (low..=high).contains(end)), "{low} {high}: {ends:?}");
}

/// Reads server-sent events to their end.
fn listen(server: &Server, path: &str, header: &str) -> std::thread::JoinHandle<i64> {
    let mut stream = http::connect(server.address);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\n{header}connection: close\r\n\r\n", server.address).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head[9..], b"200", "{path}");
    std::thread::spawn(move || {
        let _ = stream.read_to_end(&mut Vec::new());
        now()
    })
}

#[test]
fn whoever_listens_is_sent_away_when_what_they_came_with_ends() {
    // Nobody is at that address: the recording goes on until it is given up.
    let nowhere = [("LIVEKIT_URL", "ws://127.0.0.1:9"), ("ECHOSPHERE_RECORDER_GIVE_UP_AFTER", "60s")];
    let (_dir, server) = server(&[], &nowhere);
    let json_body = [("content-type", "application/json")];
    let begun = server.send("POST", "/v1/recordings", &json_body, br#"{"room_name":"a"}"#);
    assert_eq!(begun.status, 201, "{}", begun.text());
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/recordings/{id}/events");
    let expires = now() + 4;
    let mine = cookie(&form(&server, "/login", &[], &format!("credential={API_KEY}")));
    let stays = listen(&server, &path, &format!("authorization: {}\r\n", bearer(API_KEY)));
    let by_token = listen(&server, &path, &format!("authorization: {}\r\n", bearer(&token(None, expires))));
    let by_link = listen(&server, &format!("{path}?sig={}", sign(&server, &id, expires)), "");
    let by_cookie = listen(&server, &path, &format!("cookie: {mine}\r\n"));
    let ends = [by_token.join().unwrap(), by_link.join().unwrap()];
    assert!(ends.iter().all(|end| (expires..expires + 3).contains(end)), "{expires}: {ends:?}");
    let origin = format!("http://{}", server.address);
    assert_eq!(form(&server, "/logout", &[("cookie", &mine), ("origin", &origin)], "").status, 303);
    by_cookie.join().unwrap();
    assert!(!stays.is_finished(), "an API key does not end");
}
