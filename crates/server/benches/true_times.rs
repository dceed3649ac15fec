//! How far the lines that are shown lie from where they are heard: a table of sources and qualities of sound, onset and end.
//!
//! `cargo bench --package echosphere-server --bench true_times -- uploads [--only TEXT] [--worst N] [--keep FOLDER]`
//! `cargo bench --package echosphere-server --bench true_times -- live [--only TEXT]` (`scripts/true_times.py`)
//!
//! `--only` takes the rows whose name contains a text, `--worst` names so many lines of each row that does not hold, and `--keep`
//! leaves the uploads of those rows in a folder. `ECHOSPHERE_PROGRAM` names another program than the one that was built.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use echosphere_testkit::calls::fixtures::{self, Fixture};
use echosphere_testkit::calls::plan::{self, FAINT, LONG, MIDDLE, Plan, SHORT};
use echosphere_testkit::calls::quality::Quality;
use echosphere_testkit::calls::reported::Reporter;
use echosphere_testkit::calls::table::{self, Row};
use echosphere_testkit::calls::trial::{self, Trial};
use echosphere_testkit::server::Server;

/// The program that is measured.
fn program() -> String {
    std::env::var("ECHOSPHERE_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_echosphere").to_owned())
}

/// Lengths of files that hold the first lines of a call, in seconds.
const LENGTHS: [u32; 14] = [5, 8, 10, 12, 14, 15, 16, 18, 20, 25, 30, 40, 50, 60];

/// What the command line asks for.
struct Options {
    only: Option<String>,
    worst: usize,
    keep: Option<PathBuf>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let options = Options {
        only: value("--only"),
        worst: value("--worst").map_or(3, |number| number.parse().expect("--worst takes a number")),
        keep: value("--keep").map(PathBuf::from),
    };
    match arguments.first().map(String::as_str) {
        Some("live") => live(&options),
        None | Some("uploads") => uploads(&options),
        Some(other) => panic!("uploads or live, not {other:?}"),
    }
}

fn live(options: &Options) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/venv/bin/python");
    let mut command = Command::new(&python);
    command.arg(root.join("scripts/true_times.py")).env("ECHOSPHERE_PROGRAM", program());
    command.args(options.only.iter().flat_map(|only| ["--only", only]));
    let status = command.status();
    let status = status.unwrap_or_else(|error| panic!("{}: {error}: scripts/install.sh test", python.display()));
    assert!(status.success(), "the live calls failed");
}

fn uploads(options: &Options) {
    let began = Instant::now();
    let mut trials = clean();
    trials.extend(unclean());
    trials.extend(lengths());
    let name = |trial: &Trial| format!("{} / {}", trial.sound, trial.source);
    trials.retain(|trial| options.only.as_ref().is_none_or(|only| name(trial).contains(only)));
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&program(), dir.path(), &[]);
    let mut rows = as_recorded(&server, options);
    rows.extend(trial::run(&server, &trials));
    println!("{}", table::markdown(&rows));
    let held = rows.iter().filter(|row| row.holds()).count();
    println!("{held} of {} rows hold; {} calls in {:.0} s\n", rows.len(), trials.len(), began.elapsed().as_secs_f64());
    println!("{}", table::worst(&rows, options.worst));
    if let Some(folder) = &options.keep {
        let holds = |trial: &&Trial| {
            rows.iter().any(|row| row.sound == trial.sound && row.source == trial.source && row.holds())
        };
        trials.iter().filter(|trial| !holds(trial)).for_each(|trial| trial.save(folder));
    }
}

/// The recorded sessions to the byte.
fn as_recorded(server: &Server, options: &Options) -> Vec<Row> {
    let mut row = Row::new("recorded", "SDK as recorded");
    if options.only.as_ref().is_some_and(|only| !"recorded / SDK as recorded".contains(only)) {
        return Vec::new();
    }
    for Fixture { session, call } in fixtures::all() {
        assert_eq!(session.upload(server.address).status, 200);
        server.settled();
        let jobs = server.recordings();
        let job = jobs
            .iter()
            .filter_map(|recording| recording["session_id"].as_str())
            .find(|job| session.body[..4_000].windows(job.len()).any(|window| window == job.as_bytes()));
        let transcript = trial::transcript(server, job.unwrap());
        let reported = echosphere_testkit::calls::reported::report(&call, Reporter::Sdk);
        row.add(&call.name, &transcript, &reported, &[]);
    }
    vec![row]
}

fn clean() -> Vec<Trial> {
    let calls = fixtures::all().into_iter().map(|fixture| ("recorded", fixture.call));
    let made = [SHORT, MIDDLE, FAINT].map(|plan| ("clean", plan::call(plan)));
    let mut trials: Vec<Trial> =
        calls.chain(made).flat_map(|(sound, call)| trial::each(sound, call, &Reporter::all())).collect();
    let mut few = Reporter::few();
    few.extend([Reporter::ClockOff(5.0), Reporter::Stepped(5.0)]);
    trials.extend(trial::each("clean, 40 turns", plan::call(LONG), &few));
    trials
}

fn unclean() -> Vec<Trial> {
    use Quality::{Coughs, Echo, Keyboard, Laughter, Music, PinkNoise, WhiteNoise};
    let qualities =
        [WhiteNoise(10.0), PinkNoise(10.0), Music(-6.0), Music(-12.0), Echo(-20.0), Laughter, Coughs, Keyboard];
    let calls = [SHORT, MIDDLE, FAINT].map(plan::call);
    let mut trials: Vec<Trial> = Vec::new();
    for quality in qualities {
        for call in &calls {
            trials.extend(trial::each(&quality.name(), quality.of(call), &Reporter::few()));
        }
    }
    for plan in [SHORT, MIDDLE, FAINT] {
        let both = plan::call(Plan { both_at_once: true, ..plan });
        let typed = plan::call(Plan { typed: true, ..plan });
        for (sound, call) in [("both at once 2 s", both), ("typed in between", typed)] {
            trials.extend(trial::each(sound, call, &Reporter::few()));
        }
    }
    trials
}

/// The same first lines in files of different lengths.
fn lengths() -> Vec<Trial> {
    let mut calls: Vec<_> = fixtures::all().into_iter().map(|fixture| fixture.call).collect();
    calls.extend([MIDDLE, FAINT].map(plan::call));
    let cut = |length: u32, call: &echosphere_testkit::calls::Call| {
        trial::each(&format!("first {length} s"), call.first(f64::from(length)), &[Reporter::Sdk])
    };
    LENGTHS
        .iter()
        .flat_map(|&length| calls.iter().flat_map(move |call| cut(length, call)).collect::<Vec<_>>())
        .collect()
}
