//! Makes a data directory as a version leaves it, and what that version answers of it.
//!
//! `cargo bench --package echosphere-server --bench kept_data -- FOLDER [PROGRAM]`
//!
//! FOLDER gets `data`, if it has none, and `answers.json`. PROGRAM is the `echosphere` of the version; without it, this one. In the directory are a whole
//! session, one that was cut, one without sound, one that cannot be read, a room with a pause, and a room that was being recorded when
//! the process was killed.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

#[path = "../tests/kept_data/answers.rs"]
mod answers;
mod live_rooms;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::publishers::{Plan, Publishers, token};
use echosphere_testkit::server::Server;
use echosphere_testkit::session::{self, Session};
use echosphere_testkit::{hostile, http};
use live_rooms::{begin, speech, stop};

/// Rooms are recorded this long before and after a pause.
const PART: Duration = Duration::from_secs(5);

fn upload_sessions(server: &Server) {
    assert_eq!(Session::load("survey").upload(server.address).status, 200);
    let order = Session::load("order");
    order.upload_cut(server.address, 200_000);
    let unreadable = hostile::upload("unreadable", &[("audio", vec![b'a'; 1_000])]);
    assert_eq!(session::upload(server.address, hostile::CONTENT_TYPE, &unreadable).status, 200);
    let authorization = format!("Bearer {}", session::token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let logs = Session::load("node-order").telemetry("022-POST-observability_logs_otlp_v0.body.json");
    assert_eq!(http::send(server.address, "POST", "/observability/logs/otlp/v0", &headers, &logs).status, 200);
    Session::load("node-order").upload_cut(server.address, 150_000);
}

fn act(server: &Server, id: &str, what: &str) {
    let answer = server.send("POST", &format!("/v1/recordings/{id}/{what}"), &[], b"");
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
}

/// Makes the data directory: everything is kept, but the last room, which is being recorded when the process dies.
fn make(program: &str, folder: &Path) {
    let (livekit, dir) = (LiveKit::start(), tempfile::tempdir().unwrap());
    let url = livekit.url();
    let mut server = Server::start(program, dir.path(), &[("LIVEKIT_URL", url.as_str())]);
    upload_sessions(&server);
    let rooms = ["paused", "killed"].map(str::to_owned).to_vec();
    let people = Publishers::start(&Plan { url, token, rooms, per_room: 2, frames: Arc::new(speech()) });
    let (paused, _) = begin(&server, "paused");
    sleep(PART);
    act(&server, &paused, "pause");
    sleep(Duration::from_secs(2));
    act(&server, &paused, "resume");
    sleep(PART);
    stop(&server, &paused);
    server.settled_all();
    begin(&server, "killed");
    sleep(PART);
    server.kill9();
    people.stop();
    copy(&server.data(), folder);
}

fn copy(from: &Path, into: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(into).status().unwrap().success());
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let folder = Path::new(arguments.first().expect("the folder to make"));
    let program = arguments.get(1).map_or(env!("CARGO_BIN_EXE_echosphere"), String::as_str);
    std::fs::create_dir_all(folder).unwrap();
    if !folder.join("data").exists() {
        make(program, folder);
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&folder.join("data"), dir.path());
    let server = Server::start(program, dir.path(), &answers::VARIABLES);
    let text = serde_json::to_string_pretty(&answers::of(&server)).unwrap();
    std::fs::write(folder.join("answers.json"), text + "\n").unwrap();
    println!("{}: {} recordings", folder.display(), server.recordings().len());
}
