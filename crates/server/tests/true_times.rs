//! Lines stand where they are heard, whatever their source reports of their times: the goal of the table that
//! `cargo bench --bench true_times` prints, on calls that are short enough for every run.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use echosphere_testkit::calls::plan::{self, FAINT, MIDDLE, Plan, SHORT};
use echosphere_testkit::calls::quality::Quality;
use echosphere_testkit::calls::reported::Reporter;
use echosphere_testkit::calls::table;
use echosphere_testkit::calls::trial::{self, Trial};
use echosphere_testkit::calls::{Call, fixtures};
use echosphere_testkit::server::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

/// Uploads the trials and holds each row against the goal: 19 of 20 exact lines within 150 ms, none that is not marked further off
/// than 400 ms, and of each row so large a share exact as `share` says of its source: marking all as approximate is no way out.
fn hold(trials: Vec<Trial>, share: impl Fn(&str) -> f64) {
    check(trials, share, table::Row::holds);
}

/// The same of rows that are good enough by another measure.
fn check(trials: Vec<Trial>, share: impl Fn(&str) -> f64, is_good: impl Fn(&table::Row) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), &[]);
    let rows = trial::run(&server, &trials);
    let table = table::markdown(&rows);
    let mut wrong = Vec::new();
    for row in &rows {
        let name = format!("{} / {}", row.sound, row.source);
        let wanted = (row.lines.len() as f64 * share(&row.source)).floor() as usize;
        if !is_good(row) {
            wrong.push(format!("{name}: lines that are not marked are too far off"));
        }
        if row.exact() < wanted {
            wrong.push(format!("{name}: {} of {} lines are exact, {wanted} should be", row.exact(), row.lines.len()));
        }
        if row.lines.iter().any(|line| line.shown.is_none()) {
            wrong.push(format!("{name}: a line has no place"));
        }
        if row.typed.1 > 0 {
            wrong.push(format!("{name}: {} of {} typed messages moved", row.typed.1, row.typed.0));
        }
    }
    assert!(wrong.is_empty(), "{}\n\n{table}\n{}", wrong.join("\n"), table::worst(&rows, 4));
}

/// The first half minute of a call.
fn beginning(plan: Plan) -> Call {
    plan::call(plan).first(35.0)
}

/// The share of lines that clean sound settles. With times, it settles all; without, those of which there is no doubt.
fn clean_share(source: &str) -> f64 {
    match source {
        source if source == Reporter::Sdk.name() || source.starts_with("clock ") => 0.9,
        source if source.starts_with("realtime") || source.starts_with("one utterance") => 0.6,
        source if source.starts_with("no times") => 0.5,
        _ => 0.75,
    }
}

#[test]
fn reported_times_that_cannot_be() {
    let sources: Vec<Reporter> = Reporter::all().into_iter().filter(|source| !is_clock(*source)).collect();
    let calls = [plan::call(SHORT), beginning(MIDDLE)];
    let recorded = fixtures::all().into_iter().map(|fixture| ("recorded", fixture.call)).take(1);
    let all = recorded.chain(calls.map(|call| ("clean", call)));
    hold(all.flat_map(|(sound, call)| trial::each(sound, call, &sources)).collect(), clean_share);
}

fn is_clock(source: Reporter) -> bool {
    matches!(source, Reporter::ClockOff(_) | Reporter::Stepped(_))
}

#[test]
fn clocks_that_are_off() {
    let sources: Vec<Reporter> = Reporter::all().into_iter().filter(|source| is_clock(*source)).collect();
    let calls = [plan::call(SHORT), plan::call(MIDDLE)];
    hold(calls.into_iter().flat_map(|call| trial::each("clean", call, &sources)).collect(), clean_share);
}

#[test]
fn sound_that_is_not_clean() {
    use Quality::{Coughs, Echo, Keyboard, Laughter, Music, PinkNoise, WhiteNoise};
    let sources = [Reporter::Sdk, Reporter::NoTimes, Reporter::UserStartOnly];
    let call = plan::call(SHORT);
    let qualities =
        [WhiteNoise(10.0), PinkNoise(10.0), Music(-6.0), Music(-12.0), Echo(-20.0), Laughter, Coughs, Keyboard];
    let spoiled = qualities.map(|quality| (quality.name(), quality.of(&call)));
    let both = plan::call(Plan { both_at_once: true, ..SHORT });
    let typed = plan::call(Plan { typed: true, ..SHORT });
    let more = [("both at once 2 s".to_owned(), both), ("typed in between".to_owned(), typed)];
    let all = spoiled.into_iter().chain(more);
    // Noise hides the first and last sounds of a line; nothing that is not marked is further off than 400 ms.
    let trials = all.flat_map(|(sound, call)| trial::each(&sound, call, &sources)).collect();
    check(trials, |_| 0.0, |row| row.wrong().is_empty());
}

#[test]
fn a_line_is_heard_or_not_whatever_the_length_of_the_file() {
    let calls = [fixtures::all().swap_remove(0).call, plan::call(FAINT)];
    let lengths = [5.0, 8.0, 10.0, 14.0, 15.0, 16.0, 18.0, 20.0, 25.0, 30.0];
    let cut = |length: f64| calls.iter().map(move |call| call.first(length));
    let trials = lengths.into_iter().flat_map(cut);
    let each = |call| trial::each("first seconds of a call", call, &[Reporter::Sdk]);
    hold(trials.flat_map(each).collect(), |_| 1.0);
}
