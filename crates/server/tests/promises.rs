//! Promises to the people who are recorded: rooms that are left out, redaction, deletion, quarantine; and killed in the middle of it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use echosphere_testkit::http::{self, Answer};
use echosphere_testkit::server::{KEY, SECRET, Server, files};
use echosphere_testkit::session::{self, Session};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");
/// As many as a run of the tests has time for; a hundred are asked for apart.
#[expect(clippy::disallowed_methods, reason = "the number of kills is the test's own setting")]
fn kills() -> usize {
    std::env::var("ECHOSPHERE_TEST_DELETION_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(8)
}

/// A server whose project leaves rooms out by name.
fn server(variables: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    let text = "projects:\n  - name: default\n    livekit: []\n    excluded_rooms: [\"internal-*\"]\n  - name: acme\n    api_keys: [acme-7f3b9c1d5e8a2046b7]\n";
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap().to_owned();
    let mut all = vec![("ECHOSPHERE_CONFIG", config.as_str())];
    all.extend_from_slice(variables);
    let server = Server::start(PROGRAM, dir.path(), &all);
    (dir, server)
}

fn ask(server: &Server, method: &str, target: &str) -> Answer {
    let authorization = format!("Bearer {}", session::api_token(KEY, SECRET));
    http::send(server.address, method, target, &[("authorization", authorization.as_str())], &[])
}

fn send(server: &Server, body: &[u8]) -> u16 {
    session::upload(server.address, "multipart/form-data; boundary=b", body).status
}

fn logs(server: &Server, body: &Value) -> u16 {
    let authorization = format!("Bearer {}", session::token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = body.to_string();
    http::send(server.address, "POST", "/observability/logs/otlp/v0", &headers, body.as_bytes()).status
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Logs whose scope has these attributes, and a record.
fn scoped(attributes: &[(&str, &str)]) -> Value {
    let attributes: Vec<Value> = attributes.iter().map(|(key, value)| text(key, value)).collect();
    let record = json!({ "body": { "stringValue": "SECRETWORDS in a record" } });
    json!({ "resourceLogs": [{ "scopeLogs": [{ "scope": { "attributes": attributes }, "logRecords": [record] }] }] })
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        bytes.push(length as u8 & 127 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    [&bytes, content].concat()
}

/// Sends all of a body but its last 20 bytes, and breaks the connection off.
fn send_cut(server: &Server, body: Vec<u8>) {
    let bytes = body.len() - 20;
    let content_type = "multipart/form-data; boundary=b".to_owned();
    Session { name: String::new(), body, content_type, truth: Value::Null }.upload_cut(server.address, bytes);
}

/// What an SDK sends whose header says these ids, and perhaps the room's name, and perhaps asks for redaction.
fn body(number: u32, room_name: Option<&str>, redaction: bool) -> Vec<u8> {
    let mut header =
        [field(1, format!("RM_{number}").as_bytes()), field(8, format!("AJ_{number}").as_bytes())].concat();
    if redaction {
        header.extend([10 << 3, 1]);
    }
    if let Some(name) = room_name {
        header.extend(field(11, json!({ "room": name }).to_string().as_bytes()));
    }
    let chat =
        json!({ "items": [{ "id": "a", "type": "message", "role": "user", "content": ["SECRETWORDS of the call"] }] });
    let part = |name: &str, content: &[u8]| {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    [part("header", &header), part("chat_history", chat.to_string().as_bytes()), b"--b--\r\n".to_vec()].concat()
}

/// The files and objects that have one of these.
fn holding(server: &Server, needles: &[Vec<u8>]) -> Vec<String> {
    let has = |bytes: &[u8], needle: &Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle);
    let holds = |bytes: &[u8]| needles.iter().any(|needle| has(bytes, needle));
    let found = server.kept().into_iter().filter(|(_, bytes)| holds(bytes));
    found.map(|(path, _)| path.display().to_string()).collect()
}

fn words(server: &Server) -> Vec<String> {
    holding(server, &[b"SECRETWORDS".to_vec()])
}

fn waits(server: &Server, state: &str) -> Vec<Value> {
    let answer = ask(server, "GET", &format!("/v1/uploads?state={state}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().unwrap().clone()
}

/// Waits for something that is to happen soon.
fn soon(what: &str, mut happened: impl FnMut() -> bool) {
    let since = Instant::now();
    while !happened() {
        assert!(since.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn of_a_room_that_is_excluded_nothing_is_kept_whoever_names_it() {
    let (_dir, server) = server(&[]);
    assert_eq!(send(&server, &body(1, Some("internal-1"), false)), 401);
    // A positive control: another room's session is kept, and would be found.
    assert_eq!(send(&server, &body(2, Some("support-1"), false)), 200);
    let recordings = server.settled();
    assert_eq!(recordings.iter().map(|r| r["room_name"].clone()).collect::<Vec<_>>(), [json!("support-1")]);
    assert!(!words(&server).is_empty());
    ask(&server, "DELETE", &format!("/v1/recordings/{}", recordings[0]["id"].as_str().unwrap()));
    server.settled();
    assert_eq!(words(&server), Vec::<String>::new());
    // Telemetry names the room: before the upload, by either id.
    assert_eq!(logs(&server, &scoped(&[("room", "internal-1"), ("room_id", "RM_3")])), 200);
    assert_eq!(send(&server, &body(3, None, false)), 401);
    assert_eq!(logs(&server, &scoped(&[("room", "internal-1"), ("job_id", "AJ_4")])), 200);
    assert_eq!(send(&server, &body(4, None, false)), 401);
    // A cut upload, of which the header came.
    send_cut(&server, body(5, Some("internal-1"), false));
    assert!(server.settled().is_empty());
    assert_eq!(words(&server), Vec::<String>::new());
}

#[test]
fn a_name_that_comes_later_erases_what_came_before() {
    let (_dir, server) = server(&[]);
    // The metrics of the call come before anybody names the room.
    assert_eq!(logs(&server, &scoped(&[("room_id", "RM_1"), ("job_id", "AJ_1")])), 200);
    assert_eq!(send(&server, &body(1, None, false)), 200);
    server.settled();
    assert_eq!(waits(&server, "held").len(), 1);
    assert!(server.recordings().is_empty() && !words(&server).is_empty());
    assert!(server.get("/metrics").text().contains("echosphere_uploads_waiting{state=\"held\"} 1"));
    // A user's log record has an attribute of the same name; the scope's counts.
    let mut own = scoped(&[("room", "support-1"), ("room_id", "RM_2"), ("job_id", "AJ_2")]);
    own["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"] = json!([text("room", "internal-1")]);
    assert_eq!(logs(&server, &own), 200);
    assert_eq!(send(&server, &body(2, None, false)), 200);
    soon("the other room's session is kept", || server.recordings().len() == 1);
    assert_eq!(server.recordings()[0]["room_name"], "support-1");
    // Now the room is named.
    assert_eq!(logs(&server, &scoped(&[("room", "internal-1"), ("room_id", "RM_1"), ("job_id", "AJ_1")])), 200);
    soon("it is erased", || waits(&server, "held").is_empty());
    server.settled();
    let id = server.recordings()[0]["id"].as_str().unwrap().to_owned();
    // One that was kept, because its name stayed unknown, and is named after all.
    assert_eq!(send(&server, &body(3, None, false)), 200);
    server.settled();
    let held = waits(&server, "held")[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ask(&server, "POST", &format!("/v1/uploads/{held}/reprocess")).status, 202);
    soon("it is a recording", || server.settled().len() == 2);
    assert_eq!(logs(&server, &scoped(&[("room", "internal-1"), ("job_id", "AJ_3")])), 200);
    soon("it is none", || server.settled().len() == 1);
    assert_eq!(ask(&server, "DELETE", &format!("/v1/recordings/{id}")).status, 202);
    server.settled();
    assert_eq!(words(&server), Vec::<String>::new());
}

#[test]
fn a_name_that_stays_unknown_goes_as_the_setting_says() {
    for (setting, left) in [("keep", 1), ("delete", 0)] {
        let variables = [("ECHOSPHERE_UPLOADS_UNKNOWN_ROOM_WAIT", "1s"), ("ECHOSPHERE_UPLOADS_UNKNOWN_ROOM", setting)];
        let (_dir, server) = server(&variables);
        assert!(server.log().contains("rooms are left out by name"), "it is said at the start");
        assert_eq!(send(&server, &body(1, None, false)), 200);
        soon("it is held", || waits(&server, "held").len() == 1 || server.log().contains("stays unknown"));
        soon("it is held no more", || server.log().contains("stays unknown") && waits(&server, "held").is_empty());
        assert_eq!(server.settled().len(), left, "{setting}");
        if left == 0 {
            assert_eq!(words(&server), Vec::<String>::new());
        }
    }
}

/// A LiveKit that has one room.
fn livekit(sid: &str, name: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = json!({ "rooms": [{ "sid": sid, "name": name, "num_participants": 1 }] }).to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 8_192];
            let _ = stream.read(&mut request);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(format!("{head}{answer}").as_bytes());
        }
    });
    format!("ws://{address}")
}

#[test]
fn livekit_says_which_room_it_is_while_the_agent_is_in_it() {
    for (name, status, recordings) in [("internal-1", 401, 0), ("support-1", 200, 1)] {
        let url = livekit("RM_1", name);
        let (_dir, server) = server(&[("LIVEKIT_URL", &url)]);
        assert_eq!(send(&server, &body(1, None, false)), status, "{name}");
        let settled = server.settled();
        assert_eq!(settled.len(), recordings, "{name}");
        assert!(settled.iter().all(|recording| recording["room_name"] == name), "its name is known now");
        assert!(waits(&server, "held").is_empty());
        assert_eq!(words(&server).is_empty(), recordings == 0);
    }
}

#[test]
fn a_session_that_asks_for_redaction_is_refused_and_nothing_of_it_is_kept() {
    let (_dir, mut server) = server(&[]);
    assert_eq!(logs(&server, &scoped(&[("room", "support-1"), ("job_id", "AJ_1")])), 200);
    assert!(!words(&server).is_empty());
    let answer = session::upload(server.address, "multipart/form-data; boundary=b", &body(1, Some("support-1"), true));
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("data recording is disabled"), "the words after which the SDK does not come again");
    assert_eq!(logs(&server, &scoped(&[("room", "support-1"), ("job_id", "AJ_1")])), 200);
    assert!(server.settled().is_empty());
    assert_eq!(words(&server), Vec::<String>::new());
    assert!(server.log().contains("asks for redaction") && server.get("/metrics").text().contains("redaction_refused"));
    // Cut, and by a crash.
    send_cut(&server, body(2, Some("support-1"), true));
    server.restart();
    assert!(server.settled().is_empty());
    assert_eq!(words(&server), Vec::<String>::new());
    let (_dir, accepting) = self::server(&[("ECHOSPHERE_UPLOADS_REDACTION", "accept")]);
    assert_eq!(send(&accepting, &body(1, Some("support-1"), true)), 200);
    assert_eq!(accepting.settled().len(), 1);
}

#[test]
fn quarantine_can_be_listed_fetched_read_again_and_deleted() {
    let (_dir, server) = server(&[]);
    let garbage = b"SECRETWORDS that cannot be read".to_vec();
    assert_eq!(send(&server, &garbage), 200);
    assert_eq!(send(&server, &garbage), 200);
    server.settled();
    let listed = waits(&server, "quarantined");
    assert_eq!(
        (listed.len(), &listed[0]["state"], &listed[0]["bytes"]),
        (2, &json!("quarantined"), &json!(garbage.len()))
    );
    assert!(listed[0]["reason"].as_str().unwrap().contains("came whole") && listed[0]["due_at"].is_string());
    let id = listed[0]["id"].as_str().unwrap();
    let fetched = ask(&server, "GET", &format!("/v1/uploads/{id}/body"));
    assert!(fetched.body.ends_with(&garbage) || fetched.text().contains("SECRETWORDS"), "{}", fetched.text());
    assert_eq!(fetched.header("content-type"), Some("application/octet-stream"));
    assert_eq!(ask(&server, "POST", &format!("/v1/uploads/{id}/reprocess")).status, 202);
    soon("it is in quarantine again", || waits(&server, "quarantined").len() == 2);
    // Another project's key finds neither the list nor the upload.
    let acme = [("authorization", "Bearer acme-7f3b9c1d5e8a2046b7")];
    let theirs = http::send(server.address, "GET", "/v1/uploads?state=quarantined", &acme, &[]);
    assert_eq!((theirs.status, &theirs.json()["items"]), (200, &json!([])));
    for (method, rest) in [("GET", "/body"), ("POST", "/reprocess"), ("DELETE", "")] {
        let answer = http::send(server.address, method, &format!("/v1/uploads/{id}{rest}"), &acme, &[]);
        assert_eq!(answer.status, 404, "{method}");
    }
    for upload in listed {
        let id = upload["id"].as_str().unwrap();
        assert_eq!(ask(&server, "DELETE", &format!("/v1/uploads/{id}")).status, 204);
        for (method, rest) in [("GET", "/body"), ("POST", "/reprocess"), ("DELETE", "")] {
            assert_eq!(ask(&server, method, &format!("/v1/uploads/{id}{rest}")).status, 404);
        }
    }
    assert!(waits(&server, "quarantined").is_empty());
    assert_eq!(words(&server), Vec::<String>::new());
    for bad in
        ["/v1/uploads", "/v1/uploads?state=joined", "/v1/uploads?state=held&limit=0", "/v1/uploads?state=held&cursor=x"]
    {
        assert_eq!(ask(&server, "GET", bad).status, 400, "{bad}");
    }
}

/// Words of a session, and sixteen bytes of many of its packets.
fn marks(session: &Session) -> Vec<Vec<u8>> {
    let ogg = session.body.windows(4).position(|window| window == b"OggS").unwrap();
    let sound = &session.body[ogg + 4_000..session.body.len() - 200];
    let packets = sound.chunks_exact(sound.len() / 40).map(|piece| piece[..16].to_vec());
    packets.chain([b"SECRETWORDS".to_vec(), b"\"role\":".to_vec()]).collect()
}

#[test]
fn what_is_rendered_while_it_is_deleted_goes_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(
        PROGRAM,
        dir.path(),
        &[("ECHOSPHERE_RENDERING_WORKERS", "1"), ("ECHOSPHERE_RENDERING_WHEN", "always")],
    );
    assert_eq!(session::hour_long().upload(server.address).status, 200);
    soon("it can be played", || server.recordings().iter().any(|recording| recording["status"] == "COMPLETED"));
    let id = server.recordings()[0]["id"].as_str().unwrap().to_owned();
    let objects = || server.objects();
    soon("segments are being stored", || objects().len() > 3);
    // Somebody listens meanwhile.
    let segment = |number: usize| format!("/v1/recordings/{id}/renditions/audio/segments/{number}.ts");
    std::thread::scope(|scope| {
        let listening: Vec<_> = (700..720).map(|number| (segment(number), &server)).collect();
        for (target, server) in listening {
            scope.spawn(move || ask(server, "GET", &target));
        }
        assert_eq!(ask(&server, "DELETE", &format!("/v1/recordings/{id}")).status, 202);
    });
    soon("it is said to be gone", || ask(&server, "GET", &format!("/v1/recordings/{id}")).status == 410);
    assert_eq!((objects(), server.sidecars()), (Vec::<PathBuf>::new(), Vec::new()), "when it is said it is so");
    assert!(server.settled().is_empty());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(objects(), Vec::<PathBuf>::new(), "and stays so");
}

#[test]
fn what_is_uploaded_while_it_is_deleted_goes_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), &[]);
    let session = Session::load("reservation");
    let marks = marks(&session);
    assert_eq!(session.upload(server.address).status, 200);
    let id = server.settled()[0]["id"].as_str().unwrap().to_owned();
    // The SDK sends it once more, and is in the middle of it.
    let mut again = http::connect(server.address);
    let head = format!(
        "POST /observability/recordings/v0 HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: {}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        server.address,
        session::token(),
        session.content_type,
        session.body.len()
    );
    let half = session.body.len() / 2;
    again.write_all(&[head.as_bytes(), &session.body[..half]].concat()).unwrap();
    soon("its beginning lies in the spool", || {
        files(&server.data().join("spool")).iter().any(|path| path.metadata().unwrap().len() > 100_000)
    });
    assert_eq!(ask(&server, "DELETE", &format!("/v1/recordings/{id}")).status, 202);
    soon("it is said to be gone", || ask(&server, "GET", &format!("/v1/recordings/{id}")).status == 410);
    assert_eq!(holding(&server, &marks), Vec::<String>::new());
    again.write_all(&session.body[half..]).unwrap();
    let mut answer = String::new();
    again.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "the SDK is content: {answer}");
    assert!(server.settled().is_empty() && files(&server.data().join("spool")).is_empty());
    assert_eq!(holding(&server, &marks), Vec::<String>::new());
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn killed_while_it_deletes_it_finishes_after_the_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(PROGRAM, dir.path(), &[]);
    let session = Session::load("reservation");
    let marks = marks(&session);
    let (mut seed, mut deleted) = (11, Vec::new());
    for number in 0..kills() {
        let session = session.renamed(number);
        let job = format!("AJ_{number:012}");
        assert_eq!(logs(&server, &scoped(&[("job_id", &job)])), 200);
        assert_eq!(session.upload(server.address).status, 200);
        soon("it is listed", || server.recordings().iter().any(|recording| recording["session_id"] == job.as_str()));
        let id = server.recordings()[0]["id"].as_str().unwrap().to_owned();
        std::thread::sleep(Duration::from_millis(next(&mut seed) % 300));
        assert_eq!(ask(&server, "DELETE", &format!("/v1/recordings/{id}")).status, 202);
        std::thread::sleep(Duration::from_millis(next(&mut seed) % 60));
        server.restart();
        deleted.push(id);
    }
    assert!(server.settled_all().is_empty());
    for id in &deleted {
        assert_eq!(ask(&server, "GET", &format!("/v1/recordings/{id}")).status, 410, "{id}");
    }
    assert_eq!((server.objects(), server.sidecars()), (Vec::<PathBuf>::new(), Vec::new()));
    assert_eq!(holding(&server, &marks), Vec::<String>::new());
    // What comes again stays away; and the marks would be found if it did not.
    assert_eq!(session.renamed(0).upload(server.address).status, 200);
    assert!(server.settled().is_empty());
    assert_eq!(holding(&server, &marks), Vec::<String>::new());
    assert_eq!(session.renamed(kills()).upload(server.address).status, 200);
    server.settled();
    assert!(!holding(&server, &marks).is_empty());
    println!("{} deletions were cut off by a kill, and each one finished", deleted.len());
}
