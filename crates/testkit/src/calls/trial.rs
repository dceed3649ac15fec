//! Trials: uploads test calls to a server and compares what it shows of them with the truth.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::reported::{Reported, Reporter, ZERO, report};
use super::table::Row;
use super::{Call, upload};
use crate::server::Server;
use crate::session;

/// A call to be uploaded.
#[derive(Clone)]
pub struct Trial {
    /// The sound, for the row of the table.
    pub sound: String,
    /// The source, for the row of the table.
    pub source: String,
    /// The call, with this sound.
    pub call: Arc<Call>,
    /// Its sound as Ogg/Opus.
    pub ogg: Arc<Vec<u8>>,
    /// What is reported.
    pub reported: Reported,
}

/// A call with each of the sources.
pub fn each(sound: &str, call: Call, sources: &[Reporter]) -> Vec<Trial> {
    let (ogg, call) = (Arc::new(upload::ogg(&call)), Arc::new(call));
    let trial = |source: &Reporter| Trial {
        sound: sound.to_owned(),
        source: source.name(),
        call: Arc::clone(&call),
        ogg: Arc::clone(&ogg),
        reported: report(&call, *source),
    };
    sources.iter().map(trial).collect()
}

impl Trial {
    /// Saves the trial in a folder: the sound, the chat history, and the truth.
    pub fn save(&self, folder: &Path) {
        let plain = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let folder = folder.join(format!("{}-{}-{}", plain(&self.sound), plain(&self.source), plain(&self.call.name)));
        std::fs::create_dir_all(&folder).unwrap();
        let items: Vec<Value> = self.reported.items.iter().map(super::reported::Item::json).collect();
        let truth: Vec<Value> = self.reported.lines.iter().map(|line| {
            json!({ "id": line.id, "text": line.text, "start_ms": (line.start * 1e3).round(), "end_ms": (line.end * 1e3).round() })
        }).collect();
        let pretty = |value: &Value| serde_json::to_vec_pretty(value).unwrap();
        std::fs::write(folder.join("recording.ogg"), self.ogg.as_slice()).unwrap();
        std::fs::write(folder.join("chat_history.json"), pretty(&json!({ "items": items }))).unwrap();
        std::fs::write(folder.join("truth.json"), pretty(&json!({ "start_time": ZERO, "lines": truth }))).unwrap();
    }
}

/// How many uploads are under way at once.
const BATCH: usize = 24;

/// Uploads all trials, waits until all are processed, and judges what is shown.
pub fn run(server: &Server, trials: &[Trial]) -> Vec<Row> {
    let id = |number: usize| format!("{number:012}");
    for (number, trial) in trials.iter().enumerate() {
        if number % BATCH == 0 {
            settle(server);
        }
        let (content_type, body) = upload::body(&id(number), &trial.reported.items, &trial.ogg);
        let answer = session::upload(server.address, &content_type, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    settle(server);
    let mut rows: Vec<Row> = Vec::new();
    for (number, trial) in trials.iter().enumerate() {
        let transcript = transcript(server, &upload::job(&id(number)));
        let is_mine = |row: &Row| row.sound == trial.sound && row.source == trial.source;
        let at = rows.iter().position(is_mine).unwrap_or_else(|| {
            rows.push(Row::new(&trial.sound, &trial.source));
            rows.len() - 1
        });
        rows[at].add(&trial.call.name, &transcript, &trial.reported, &trial.call.typed);
    }
    rows
}

/// Waits until no task is open. Rendering gives way to everything else on a machine: it has ten minutes for one batch.
fn settle(server: &Server) {
    let began = Instant::now();
    loop {
        let metrics = server.get("/metrics").text();
        let open = metrics.lines().filter(|line| line.starts_with("echosphere_tasks{") && line.contains("open"));
        if open.filter_map(|line| line.rsplit(' ').next()).all(|count| count == "0") {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(600), "a batch of uploads is not settled:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The transcript that the server shows for a job.
pub fn transcript(server: &Server, job: &str) -> Value {
    let found = server.get(&format!("/v1/recordings?session_id={job}")).json();
    let recording =
        found["items"][0]["id"].as_str().unwrap_or_else(|| panic!("no recording of {job}: {found}")).to_owned();
    server.get(&format!("/v1/recordings/{recording}/transcript")).json()
}
