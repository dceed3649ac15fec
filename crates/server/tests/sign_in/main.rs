//! Who may come in: nobody without credentials, on a loopback listener neither; a browser by key, token or link.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod ends;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use echosphere_testkit::http::{self, Answer};
use echosphere_testkit::server::{KEY, SECRET, Server};
use echosphere_testkit::session::{self, Session, api_token};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");
const API_KEY: &str = "default-api-key-0123456789abcdef";
/// In the year 2096.
const LATER: i64 = 4_000_000_000;
const OTHER: &str = "acme-api-key-0123456789abcdef";

fn projects(dir: &Path, default: &str) -> String {
    let path = dir.join("c.yaml");
    let other = format!("  - name: acme\n    api_keys: [{OTHER}]\n");
    std::fs::write(&path, format!("projects:\n  - name: default\n    api_keys: [{default}]\n{other}")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn server(arguments: &[&str], variables: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let config = projects(dir.path(), API_KEY);
    let mut variables = variables.to_vec();
    variables.push(("ECHOSPHERE_CONFIG", &config));
    let server = Server::start_with(PROGRAM, dir.path(), arguments, &variables);
    (dir, server)
}

/// A server with a recording that has sound, and is rendered.
fn recorded(arguments: &[&str], variables: &[(&str, &str)]) -> (tempfile::TempDir, Server, String) {
    let (dir, server) = server(arguments, variables);
    assert_eq!(Session::load("reservation").upload(server.address).status, 200);
    let id = server.settled().remove(0)["id"].as_str().unwrap().to_owned();
    (dir, server, id)
}

fn bearer(credential: &str) -> String {
    format!("Bearer {credential}")
}

/// POST of a form, as a program sends it.
fn form(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut headers = headers.to_vec();
    headers.push(("content-type", "application/x-www-form-urlencoded"));
    http::send(server.address, "POST", path, &headers, body.as_bytes())
}

/// `name=text` of the cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn with_cookie(server: &Server, cookie: &str, path: &str) -> Answer {
    http::send(server.address, "GET", path, &[("cookie", cookie)], &[])
}

/// An upload that is in quarantine, as nothing of it can be read.
fn quarantined(server: &Server) -> String {
    let token = bearer(&session::token());
    let headers = [("authorization", token.as_str()), ("content-type", "multipart/form-data; boundary=x")];
    let answer = http::send(server.address, "POST", "/observability/recordings/v0", &headers, b"nothing");
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.settled();
    let mine = bearer(API_KEY);
    let list = "/v1/uploads?state=quarantined";
    let listed = http::send(server.address, "GET", list, &[("authorization", &mine)], &[]).json();
    listed["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{listed}")).to_owned()
}

#[test]
fn every_route_asks_for_credentials_on_a_loopback_listener_too() {
    let (_dir, server, id) = recorded(&[], &[]);
    let upload = quarantined(&server);
    let openapi = http::get(server.address, "/openapi.json").json();
    let mut walked = 0;
    let mut routes: Vec<(String, String)> = Vec::new();
    for (path, methods) in openapi["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push((method.to_uppercase(), path.clone()));
        }
    }
    // What deletes comes last: until then the right key finds what the others do not.
    routes.sort_by_key(|(method, _)| method == "DELETE");
    for (method, template) in &routes {
        let is_upload = template.starts_with("/v1/uploads");
        let path = template
            .replace("{id}", if is_upload { &upload } else { &id })
            .replace("{rendition}/{init}", "opus/init-0.mp4")
            .replace("{rendition}", "audio")
            .replace("{segment}", "0.ts");
        let path = path.replace("{track}", "TR_x.ogg").replace("{signal}", "logs");
        let path = if template == "/v1/uploads" { format!("{path}?state=quarantined") } else { path };
        let ask = |credential: Option<&str>| {
            let credential = credential.map(bearer);
            let headers: Vec<_> = credential.iter().map(|text| ("authorization", text.as_str())).collect();
            http::send(server.address, method, &path, &headers, &[])
        };
        let open = matches!(template.as_str(), "/healthz" | "/readyz");
        let nobody = ask(None);
        assert_eq!(nobody.status, if open { 200 } else { 401 }, "{method} {path} without credentials");
        assert!(open || !nobody.text().contains("obs-reservation"), "{method} {path}");
        let own_proof = template.starts_with("/observability") || template.starts_with("/livekit");
        if open || own_proof {
            continue;
        }
        if template.contains("{id}") {
            let foreign = ask(Some(OTHER));
            assert_eq!(foreign.status, 404, "{method} {path} with the key of another project");
            let not_found = if is_upload { "/problems/upload-not-found" } else { "/problems/recording-not-found" };
            assert_eq!(foreign.json()["type"], not_found);
            walked += 1;
        }
        let mine = ask(Some(API_KEY));
        match template.rsplit('/').next().unwrap() {
            // The session has no tracks of a room; the room is over; nothing is said of which room to record.
            "{track}" => assert_eq!(mine.json()["type"], "/problems/part-not-found", "{method} {path}"),
            "pause" | "resume" | "exclude" => assert_eq!(mine.status, 409, "{method} {path}"),
            "recordings" if method == "POST" => assert!(matches!(mine.status, 400 | 415), "{}", mine.text()),
            "events" => assert_eq!(mine.status, 200, "{method} {path}"),
            "uploads" => assert_eq!(mine.json()["items"].as_array().unwrap().len(), 1, "{}", mine.text()),
            _ => assert!(matches!(mine.status, 200 | 202 | 204 | 302), "{method} {path}: {}", mine.text()),
        }
        // What was to be read again has been.
        server.settled();
    }
    assert!(walked >= 18, "{walked}");
    for path in ["/", &format!("/recordings/{id}"), "/metrics", "/v1/recordings?limit=1"] {
        assert_eq!(http::get(server.address, path).status, 401, "{path}");
    }
    for path in ["/login", "/assets/app.css", "/openapi.json"] {
        assert_eq!(http::get(server.address, path).status, 200, "{path}");
    }
}

#[test]
fn a_plain_proxy_makes_nobody_local() {
    let (_dir, server, id) = recorded(&[], &[("ECHOSPHERE_PUBLIC_URL", "https://recordings.example.com")]);
    // What nginx sends by `proxy_pass` alone.
    let through = |method: &str, path: &str| {
        let mut stream = http::connect(server.address);
        let host = server.address;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\nSec-Fetch-Site: same-origin\r\n\r\n"
        )
        .unwrap();
        http::read_answer(&mut stream).status
    };
    for (method, path) in [
        ("GET", "/v1/recordings".to_owned()),
        ("GET", format!("/v1/recordings/{id}/transcript.txt")),
        ("GET", format!("/v1/recordings/{id}/renditions/audio/segments/0.ts")),
        ("DELETE", format!("/v1/recordings/{id}")),
        ("GET", "/".to_owned()),
    ] {
        assert_eq!(through(method, &path), 401, "{method} {path}");
    }
    assert_eq!(server.recording(&id)["deletion"], "none");
}

#[test]
fn a_browser_signs_in_with_a_key_and_out_again() {
    let (_dir, server, id) = recorded(&[], &[]);
    let html = ("accept", "text/html");
    let asked = http::send(server.address, "GET", &format!("/recordings/{id}?a=b"), &[html], &[]);
    let login = format!("/login?next=%2Frecordings%2F{}%3Fa%3Db", id.replace('-', "%2D"));
    assert_eq!((asked.status, asked.header("location")), (303, Some(login.as_str())));
    let page = http::get(server.address, &login);
    assert!(page.text().contains(&format!(r#"name="next" value="/recordings/{id}?a=b""#)), "{}", page.text());
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let body = format!("credential={API_KEY}&next=/recordings/{id}");
    let answer = form(&server, "/login", &[html], &body);
    assert_eq!(answer.header("location"), Some(format!("/recordings/{id}").as_str()));
    let port = server.address.port();
    let set = answer.header("set-cookie").unwrap();
    assert!(
        set.starts_with(&format!("echosphere-{port}="))
            && set.ends_with("; Path=/; Max-Age=604799; HttpOnly; SameSite=Lax")
            || set.contains("Max-Age=604800"),
        "{set}"
    );
    let first = cookie(&answer);
    for path in ["/", &format!("/recordings/{id}"), "/v1/recordings", &format!("/v1/recordings/{id}"), "/metrics"] {
        assert_eq!(with_cookie(&server, &first, path).status, 200, "{path}");
        assert_eq!(with_cookie(&server, &format!("{first}x"), path).status, 401, "{path}");
    }
    assert!(with_cookie(&server, &first, "/").text().contains("Sign out"));
    let stop = |headers: &[(&str, &str)]| {
        let mut headers = headers.to_vec();
        headers.push(("cookie", &first));
        http::send(server.address, "POST", &format!("/v1/recordings/{id}/stop"), &headers, &[]).status
    };
    let own = format!("http://{}", server.address);
    assert_eq!(stop(&[("origin", &own)]), 200);
    assert_eq!(stop(&[("sec-fetch-site", "same-origin")]), 200);
    for foreign in [
        vec![],
        vec![("origin", "http://127.0.0.1:1")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
        vec![("sec-fetch-site", "none")],
    ] {
        assert_eq!(stop(&foreign), 403, "{foreign:?}");
    }
    let anew = cookie(&form(&server, "/login", &[("cookie", &first)], &format!("credential={API_KEY}")));
    assert_eq!(with_cookie(&server, &first, "/v1/recordings").status, 401, "the cookie of before is worth nothing");
    let signed_out = |headers: &[(&str, &str)]| {
        let mut headers = headers.to_vec();
        headers.push(("cookie", &anew));
        form(&server, "/logout", &headers, "")
    };
    assert_eq!(signed_out(&[("origin", "http://evil.example")]).status, 403);
    let answer = signed_out(&[("origin", &own)]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login")));
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(with_cookie(&server, &anew, "/v1/recordings").status, 401);
    assert!(!server.log().contains(API_KEY) && !server.log().contains(anew.split_once('=').unwrap().1));
}

#[test]
fn a_token_signs_in_to_its_room_and_guesses_are_limited() {
    let (_dir, server, id) = recorded(&[], &[]);
    let room = server.recording(&id)["room_name"].as_str().unwrap().to_owned();
    let enter = |body: &str| form(&server, "/login", &[], body);
    let mine = cookie(&enter(&format!("credential={}", token(Some(&room), LATER))));
    let other = cookie(&enter(&format!("credential={}", token(Some("another room"), LATER))));
    let path = format!("/v1/recordings/{id}");
    assert_eq!(with_cookie(&server, &mine, &path).status, 200);
    assert_eq!(with_cookie(&server, &other, &path).status, 404);
    assert_eq!(with_cookie(&server, &other, "/v1/recordings").json()["items"], json!([]));
    assert_eq!(with_cookie(&server, &mine, "/metrics").status, 403);
    assert_eq!(enter(&format!("credential={}", api_token(KEY, SECRET))).status, 303);
    let elsewhere = [("origin", "http://evil.example")];
    assert_eq!(form(&server, "/login", &elsewhere, &format!("credential={API_KEY}")).status, 403);
    let far = http::send(server.address, "GET", "/login", &[("x-forwarded-for", "10.0.0.1")], &[]);
    assert_eq!(far.status, 403, "plain HTTP from elsewhere: {}", far.text());
    let mut answers = Vec::new();
    for _ in 0..10 {
        let answer = enter("credential=guess");
        assert_eq!(answer.status, 401);
        answers.push(answer.text());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let limited = (enter("credential=guess"), enter(&format!("credential={API_KEY}")));
    assert_eq!((limited.0.status, limited.1.status), (429, 429));
    assert_eq!(limited.0.text(), limited.1.text(), "the right key gets no other answer");
    assert_eq!(server.log().matches("too many sign-ins failed").count(), 1, "said once");
    let large = form(&server, "/login", &[], &format!("credential={}", "a".repeat(40_000)));
    assert!(matches!(large.status, 400 | 413), "{}", large.status);
    let link = std::fs::read_to_string(server.data().join("sign-in-link")).unwrap();
    assert_eq!(enter(&format!("code={}x", code(&link))).status, 429);
    assert_eq!(
        enter(&format!("code={}", code(&link))).status,
        303,
        "who has a link is not kept out by others' guesses"
    );
    assert_eq!(with_cookie(&server, &mine, &path).status, 200, "whoever is in stays in");
}

/// A LiveKit token of the test server's key pair.
fn token(room: Option<&str>, expires: i64) -> String {
    let now = echosphere_server::clock::now();
    let seconds = expires - now.as_millis().div_euclid(1000);
    echosphere_livekit::token::mint_api(KEY, &SECRET.into(), room, now, seconds)
}

/// The code of a sign-in link.
fn code(link: &str) -> &str {
    link.trim().rsplit_once("code=").unwrap().1
}

#[test]
fn a_link_signs_in_once_and_is_said_nowhere_but_in_its_file() {
    let (dir, mut server, id) = recorded(&[], &[]);
    let file = server.data().join("sign-in-link");
    let link = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(link.starts_with(&format!("http://{}/login?code=", server.address)), "{link}");
    assert!(
        server.log().contains("sign-in-link") && !server.log().contains(code(&link)),
        "the log says where, never what"
    );
    // Whoever looks at links for somebody uses none up.
    for _ in 0..3 {
        let page = http::fetch(&link);
        assert!(page.status == 200 && page.text().contains(code(&link)), "{}", page.text());
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("set-cookie"), None);
    }
    let first = cookie(&form(&server, "/login", &[], &format!("code={}&next=//evil.example", code(&link))));
    assert_eq!(with_cookie(&server, &first, &format!("/v1/recordings/{id}")).status, 200);
    assert!(!file.exists(), "what was used is not kept");
    server.restart();
    let again = form(&server, "/login", &[], &format!("code={}", code(&link)));
    assert!(again.status == 401 && again.text().contains("used already"), "also after a restart: {}", again.text());
    // Another port, and so another name of the cookie; the sign-in is the same.
    let text = first.split_once('=').unwrap().1;
    let first = format!("echosphere-{}={text}", server.address.port());
    assert_eq!(with_cookie(&server, &first, "/v1/recordings").status, 200, "a restart signs nobody out");
    let another = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.arg("link").args(arguments).env_clear().env("ECHOSPHERE_DATA_DIR", server.data());
        let output = command.env("ECHOSPHERE_CONFIG", dir.path().join("c.yaml")).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (is_made, made, _) = another(&["--project", "acme"]);
    assert!(
        is_made && made.starts_with(&format!("http://{}/login?code=", server.address)) && made.lines().count() == 1,
        "{made}"
    );
    let acme = cookie(&form(&server, "/login", &[], &format!("code={}", code(&made))));
    assert_eq!(with_cookie(&server, &acme, &format!("/v1/recordings/{id}")).status, 404);
    let (is_made, _, wrong) = another(&["--project", "nobody"]);
    assert!(!is_made && wrong.contains("default, acme"), "{wrong}");
    for forged in ["", "x", &code(&made).replace("acme", "default"), &format!("{}x", code(&made))] {
        assert_eq!(form(&server, "/login", &[], &format!("code={forged}")).status, 401, "{forged}");
    }
}

#[test]
fn a_key_that_is_taken_away_ends_its_sign_ins_at_the_next_start() {
    let (dir, mut server, _) = recorded(&[], &[]);
    let mine = cookie(&form(&server, "/login", &[], &format!("credential={API_KEY}")));
    let text = mine.split_once('=').unwrap().1.to_owned();
    let list = |server: &Server| {
        with_cookie(server, &format!("echosphere-{}={text}", server.address.port()), "/v1/recordings").status
    };
    assert_eq!(list(&server), 200);
    server.restart();
    assert_eq!(list(&server), 200);
    projects(dir.path(), "another-api-key-0123456789abcdef");
    server.restart();
    assert_eq!(list(&server), 401);
    assert!(server.log().contains("browsers were signed out"), "{}", server.log());
}

#[test]
fn without_auth_only_local_clients_are_served_and_it_is_said() {
    let (_dir, server, id) = recorded(&["--no-auth"], &[]);
    assert!(server.log().contains("--no-auth"), "{}", server.log());
    assert!(!server.data().join("sign-in-link").exists());
    assert_eq!(http::get(server.address, "/v1/recordings").json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(http::get(server.address, "/").status, 200);
    assert_eq!(http::get(server.address, "/metrics").status, 200);
    let stop = |headers: &[(&str, &str)]| {
        http::send(server.address, "POST", &format!("/v1/recordings/{id}/stop"), headers, &[]).status
    };
    assert_eq!(stop(&[]), 200);
    for site in ["cross-site", "same-site"] {
        for mode in ["navigate", "no-cors"] {
            assert_eq!(stop(&[("sec-fetch-site", site), ("sec-fetch-mode", mode)]), 401, "{site} {mode}");
        }
    }
    assert_eq!(stop(&[("x-forwarded-for", "10.0.0.1")]), 401);
    assert_eq!(stop(&[("origin", "http://evil.example")]), 401);
    for variables in [
        [("ECHOSPHERE_LISTEN", "0.0.0.0:0"), ("A", "")],
        [("ECHOSPHERE_LISTEN", "127.0.0.1:0"), ("ECHOSPHERE_PUBLIC_URL", "https://recordings.example.com")],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--no-auth"]).env_clear().env("ECHOSPHERE_DATA_DIR", dir.path());
        let output = command.envs(variables).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("--no-auth is refused"), "{said}");
    }
}

#[test]
fn no_answer_distinguishes_known_keys_from_others() {
    let (_dir, server) = server(&[], &[]);
    let forge = |issuer: &str| {
        let now = echosphere_server::clock::now();
        let token = echosphere_livekit::token::mint_api(issuer, &SECRET.into(), None, now, 3_600);
        let (signed, _) = token.rsplit_once('.').unwrap();
        format!("{signed}.{}", "A".repeat(43))
    };
    for (method, path) in
        [("GET", "/v1/recordings"), ("POST", "/observability/logs/otlp/v0"), ("POST", "/observability/recordings/v0")]
    {
        let refusal = |issuer: &str| {
            let headers = [("authorization", bearer(&forge(issuer)))];
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = http::send(server.address, method, path, &headers, b"{}");
            assert_eq!(answer.status, 401);
            answer.text()
        };
        assert_eq!(refusal(KEY), refusal("nobody"), "{path}");
    }
    let hook = |issuer: &str| {
        let headers = [("authorization", forge(issuer))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        http::send(server.address, "POST", "/livekit/webhook", &headers, b"{}").text()
    };
    assert_eq!(hook(KEY), hook("nobody"));
}
