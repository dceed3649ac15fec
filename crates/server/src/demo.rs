//! `echosphere demo`: runs a server on its own data directory, and uploads recorded sessions to it over HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use echosphere_domain::lifecycle::Status;
use echosphere_livekit::token::{self, Grant};
use echosphere_store::Filter;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::clock;
use crate::config::{self, Config, Environment, KeyPair, RenderWhen};
use crate::http::state::SharedApp;
use crate::startup;

/// The key pair that the demo uses when none is configured.
const KEY: &str = "devkey";
const SECRET: &str = "secretsecretsecretsecretsecretsecret";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The configuration from the environment, with the demo's own data directory, log filter and key pair where it has none.
pub fn config(environment: &Environment) -> Result<Config, config::Error> {
    let mut config = config::load(None, environment)?;
    if !environment.contains_key("ECHOSPHERE_DATA_DIR") {
        config.data_dir = PathBuf::from(".demo/data");
    }
    if !environment.contains_key("ECHOSPHERE_LOG") {
        "warn".clone_into(&mut config.log_filter);
    }
    let project = &mut config.projects[0];
    if project.livekit.is_empty() {
        project.livekit.push(KeyPair { key: KEY.to_owned(), secret: SecretString::from(SECRET) });
    }
    Ok(config)
}

/// Runs the server, uploads every session in the folder, and prints where the replays are.
pub async fn run(config: Config, sessions: &Path, once: bool) -> Result<(), Failure> {
    let found = find(sessions)?;
    if config.storage.is_s3() {
        startup::bucket_of(&config.storage)?.0.make_bucket().await?;
    }
    Ok(startup::run(config, move |app| {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = bring_in(&app, &found).await {
                eprintln!("echosphere: the demo's sessions could not be brought in: {error}");
            }
            if once {
                app.stop.cancel();
            }
        });
    })
    .await?)
}

fn find(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let none = || format!("no recorded sessions are in {}: name their folder with --sessions", folder.display());
    let entries = std::fs::read_dir(folder).map_err(|_| none())?;
    let mut found: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.join("body.bin").exists()).collect();
    found.sort();
    if found.is_empty() { Err(none().into()) } else { Ok(found) }
}

async fn bring_in(app: &SharedApp, sessions: &[PathBuf]) -> Result<(), Failure> {
    for (number, session) in sessions.iter().enumerate() {
        let name = session.file_name().unwrap_or_default().to_string_lossy();
        println!("  [{}/{}] uploading the session {name}, as the agents SDK does", number + 1, sessions.len());
        upload(app, session).await?;
    }
    let mut waited = 0;
    while app.store.task_counts().await?.iter().any(|counts| counts.open > 0) && waited < 600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        waited += 1;
    }
    println!("\nRecordings:");
    let page = app.store.list(app.config.local_project(), &Filter::default(), None, 50).await?;
    let mut best = None;
    // What an S3 server has of the segments is AAC; Opus is cut here.
    let is_there = app.config.storage.is_s3() && app.config.render_when == RenderWhen::Always;
    let codec = if is_there { "?codec=aac" } else { "" };
    for (recording, _) in page.items {
        let url = format!("http://{}/recordings/{}{codec}", app.config.listen, recording.id);
        let length = recording.duration.as_millis() / 1000;
        let room = recording.room_name.as_deref().unwrap_or("-");
        println!("  {:<10} {:>3} s  {room:<26} {url}", recording.state.status.to_string(), length);
        if recording.state.status == Status::Completed && best.as_ref().is_none_or(|(longest, _)| length > *longest) {
            best = Some((length, url));
        }
    }
    if let Some((_, url)) = best {
        if let Some(elsewhere) = app.presigner.elsewhere().filter(|_| is_there) {
            println!("\nThey are kept in the bucket {}, and played from {elsewhere}.", app.config.storage.bucket);
        }
        println!("\nOpen a replay:  {url}\nAll of them:    http://{}/\nCtrl-C stops.", app.config.listen);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Recorded {
    path: String,
    headers: Vec<(String, String)>,
}

/// Uploads a session in the order of the Node SDK: first its telemetry, in the order in which it came, then the session itself.
async fn upload(app: &SharedApp, session: &Path) -> Result<(), Failure> {
    let mut requests: Vec<(PathBuf, PathBuf)> = Vec::new();
    if let Ok(entries) = std::fs::read_dir(session.join("otlp")) {
        let paths = entries.flatten().map(|entry| entry.path());
        for head in paths.filter(|path| path.to_string_lossy().ends_with(".request.json")) {
            let stem = head.to_string_lossy().trim_end_matches(".request.json").to_owned();
            let bodies = [format!("{stem}.body.json"), format!("{stem}.binpb.gz")].map(PathBuf::from);
            if let Some(body) = bodies.into_iter().find(|body| body.exists()) {
                requests.push((head, body));
            }
        }
    }
    requests.sort();
    requests.push((session.join("request.json"), session.join("body.bin")));
    for (head, body) in requests {
        let recorded: Recorded = serde_json::from_slice(&std::fs::read(head)?)?;
        send(app, &recorded, std::fs::read(body)?.into()).await?;
    }
    Ok(())
}

/// Sends a recorded request over the network, with a new token.
async fn send(app: &SharedApp, recorded: &Recorded, body: Bytes) -> Result<(), Failure> {
    let pair = &app.config.projects[0].livekit[0];
    let token = token::mint(&pair.key, &pair.secret, Grant::ObservabilityWrite, clock::now(), 3600);
    let mut request = http::Request::post(&recorded.path).header("host", app.config.listen.to_string());
    for (name, value) in &recorded.headers {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "host" | "connection" | "transfer-encoding" | "content-length" => {}
            "authorization" => request = request.header(name, format!("Bearer {token}")),
            _ => request = request.header(name, value),
        }
    }
    let address: SocketAddr = app.config.listen;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request.body(Full::new(body))?).await?;
    let status = answer.status();
    let text = answer.into_body().collect().await?.to_bytes();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("{} was answered {status}: {}", recorded.path, String::from_utf8_lossy(&text)).into())
}
