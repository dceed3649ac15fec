//! `echosphere doctor`: checks whether rooms can be recorded from this machine, and kept in the bucket. It prints a line for each check, and what to do
//! about a bad result.

mod bucket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_livekit::token;
use echosphere_recorder::log::Body;
use echosphere_recorder::room::people::Exclusions;
use echosphere_recorder::room::{self, Command, End, Listener};
use echosphere_recorder::rooms::RoomService;
use echosphere_recorder::wire::Wire;
use tokio::sync::mpsc;

use crate::config::{Config, KeyPair};
use crate::{clock, data_dir, entropy};

/// Less free space than this is worth a warning, in bytes: about a day of one room, with its segments.
const LITTLE_SPACE: u64 = 2 << 30;
/// A clock that differs by more seconds than this makes tokens fail, and turns lie in the wrong place.
const CLOCKS_APART: i64 = 5;
/// How long each transport for media is tried. UDP gets less time than the recorder waits before it tries TCP as well
/// (`room::tcp`).
const UDP_TRY: Duration = Duration::from_millis(1_400);
const TCP_TRY: Duration = Duration::from_secs(4);

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Good(String),
    Poor(String, String),
    Bad(String, String),
}

/// Runs all checks and prints their results; true when rooms can be recorded. With `fix` makes what a bucket lacks.
pub async fn run(config: &Config, fix: bool) -> bool {
    let mut findings = vec![("disk", disk(config))];
    if config.storage.is_s3() {
        findings.extend(bucket::check(config, fix).await);
    }
    match (&config.livekit_url, config.projects.iter().find_map(|project| project.livekit.first())) {
        (Some(url), Some(pair)) => match Wire::new(config.livekit_ca.as_deref()) {
            Ok(wire) => {
                wire.install();
                findings.extend(livekit(&wire, url, pair).await);
            }
            Err(error) => findings.push(("tls", bad(error.to_string(), "check livekit.ca_file"))),
        },
        (None, _) => findings.push((
            "livekit",
            bad("no LiveKit server is configured", "set LIVEKIT_URL, for example ws://127.0.0.1:7880"),
        )),
        (_, None) => findings
            .push(("keys", bad("no LiveKit key pair is configured", "set LIVEKIT_API_KEY and LIVEKIT_API_SECRET"))),
    }
    for (what, finding) in &findings {
        match finding {
            Finding::Good(found) => println!("  ok    {what:<8} {found}"),
            Finding::Poor(found, remedy) => println!("  warn  {what:<8} {found}\n                 -> {remedy}"),
            Finding::Bad(found, remedy) => println!("  FAIL  {what:<8} {found}\n                 -> {remedy}"),
        }
    }
    let fit = findings.iter().all(|(_, finding)| !matches!(finding, Finding::Bad(..)));
    println!("\n{}", if fit { "Rooms can be recorded from here." } else { "Rooms cannot be recorded from here yet." });
    fit
}

fn bad(found: impl Into<String>, remedy: &str) -> Finding {
    Finding::Bad(found.into(), remedy.to_owned())
}

fn disk(config: &Config) -> Finding {
    let folder = &config.data_dir;
    if let Err(error) = std::fs::create_dir_all(folder) {
        return bad(
            format!("{} cannot be made: {error}", folder.display()),
            "set ECHOSPHERE_DATA_DIR to a folder that can be written",
        );
    }
    let probe = folder.join(format!("doctor-{}", entropy::suffix()));
    let began = Instant::now();
    let written = std::fs::File::create(&probe).and_then(|mut file| {
        std::io::Write::write_all(&mut file, &[0; 4096])?;
        file.sync_all()
    });
    let took = began.elapsed();
    let _ = std::fs::remove_file(&probe);
    if let Err(error) = written {
        return bad(
            format!("{} cannot be written: {error}", folder.display()),
            "free space, or set ECHOSPHERE_DATA_DIR to another folder",
        );
    }
    match data_dir::free(folder) {
        Ok(free) if free < LITTLE_SPACE => Finding::Poor(
            format!("only {} MiB are free in {}", free >> 20, folder.display()),
            "a recorded hour takes about 60 MiB; free some space".to_owned(),
        ),
        Ok(free) => Finding::Good(format!(
            "{} GiB free in {}, a synced write takes {:.1} ms",
            free >> 30,
            folder.display(),
            took.as_secs_f64() * 1e3
        )),
        Err(error) => Finding::Poor(format!("free space is not known: {error}"), "look with df".to_owned()),
    }
}

async fn livekit(wire: &Wire, url: &str, pair: &KeyPair) -> Vec<(&'static str, Finding)> {
    let service = RoomService::new(wire, url, &pair.key, &pair.secret);
    let mut findings = Vec::new();
    match service.clock().await {
        Ok((date, took)) => {
            findings.push(("livekit", Finding::Good(format!("{url} answers in {:.0} ms", took.as_secs_f64() * 1e3))));
            findings.push(("clock", clocks(date.as_deref())));
        }
        Err(error) => {
            findings.push((
                "livekit",
                bad(
                    error.to_string(),
                    "start LiveKit, or correct LIVEKIT_URL; for a certificate of your own set livekit.ca_file",
                ),
            ));
            return findings;
        }
    }
    match service.rooms(clock::now()).await {
        Ok(rooms) => findings.push((
            "keys",
            Finding::Good(format!("{} is known to the server, which has {} rooms", pair.key, rooms.len())),
        )),
        Err(error) => {
            findings.push((
                "keys",
                bad(
                    error.to_string(),
                    "LIVEKIT_API_KEY and LIVEKIT_API_SECRET must be a pair of LiveKit's own configuration (keys:)",
                ),
            ));
            return findings;
        }
    }
    let (udp, tcp) = (media(url, pair, false).await, media(url, pair, true).await);
    let blocked = "open LiveKit's UDP port (rtc.udp_port, or rtc.port_range_start to _end) from here; rtc.node_ip or rtc.use_external_ip must name an address that is reachable from here";
    findings.push(match (&udp, &tcp) {
        (Ok(took), _) => ("udp", Finding::Good(format!("media flow {:.0} ms after joining", took.as_secs_f64() * 1e3))),
        (Err(why), Ok(_)) => ("udp", Finding::Poor(format!("{why}; TCP is used instead"), blocked.to_owned())),
        (Err(why), Err(_)) => ("udp", bad(why.clone(), blocked)),
    });
    findings.push(match tcp {
        Ok(took) => ("tcp", Finding::Good(format!("media flow {:.0} ms after joining", took.as_secs_f64() * 1e3))),
        Err(why) => (
            "tcp",
            Finding::Poor(
                why,
                "open LiveKit's TCP port (rtc.tcp_port), which is the way when UDP is blocked".to_owned(),
            ),
        ),
    });
    findings
}

fn clocks(date: Option<&str>) -> Finding {
    let Some(apart) = seconds_apart(date) else {
        return Finding::Poor(
            "the server does not tell its time".to_owned(),
            "keep both clocks in step with NTP".to_owned(),
        );
    };
    if apart <= CLOCKS_APART {
        return Finding::Good(format!("within {} s of LiveKit's", apart.max(1)));
    }
    bad(format!("{apart} s apart from LiveKit's"), "let NTP keep both clocks in step: tokens and times depend on it")
}

/// By how many seconds a server's clock, as its `Date` says it, and ours differ; `None` when it does not say.
fn seconds_apart(date: Option<&str>) -> Option<i64> {
    let theirs = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date?).ok()?;
    Some((clock::now().as_millis() / 1000 - theirs.as_second()).abs())
}

/// Joins a room of its own until media can flow; returns how long that took after joining.
async fn media(url: &str, pair: &KeyPair, tcp: bool) -> Result<Duration, String> {
    let local = room::transport::local_address(url).await.map_err(|error| error.to_string())?;
    let name = format!("echosphere-doctor-{}", entropy::suffix());
    let (pair, room_name) = (pair.clone(), name.clone());
    let settings = room::Settings {
        url: url.to_owned(),
        token: Arc::new(move || {
            token::mint_recorder(&pair.key, &pair.secret, &room_name, &room_name, clock::now(), 60)
        }),
        local,
        exclusions: Exclusions::default(),
        paused: false,
        first_stream: 0,
        expected_room: None,
        wait_for_people: Duration::from_secs(60),
        give_up_after: Duration::from_secs(5),
        tcp_only: tcp,
    };
    let patience = if tcp { TCP_TRY } else { UDP_TRY };
    let mut probe = Probe { began: Instant::now(), joined: None, up: None, patience };
    let (_commands, inbox) = mpsc::unbounded_channel();
    let end = room::run(settings, inbox, &mut probe).await;
    match (probe.joined, probe.up, end) {
        (Some(joined), Some(up), _) => Ok(up.duration_since(joined)),
        (_, _, End::Lost(why)) => Err(why),
        _ => Err(format!("no media within {:.1} s", patience.as_secs_f64())),
    }
}

struct Probe {
    began: Instant,
    joined: Option<Instant>,
    up: Option<Instant>,
    patience: Duration,
}

impl Listener for Probe {
    fn wall(&self, _: Instant) -> i64 {
        clock::now().as_nanos()
    }

    fn entry(&mut self, at: Instant, body: Body) {
        if matches!(body, Body::Joined(_)) {
            self.joined = Some(at);
        }
    }

    fn media(&mut self, is_up: bool, _: bool) {
        if is_up {
            self.up.get_or_insert_with(Instant::now);
        }
    }

    fn tick(&mut self, now: Instant) -> Option<Command> {
        let waited = now.duration_since(self.joined.unwrap_or(self.began));
        (self.up.is_some() || waited > self.patience).then_some(Command::Stop)
    }
}
