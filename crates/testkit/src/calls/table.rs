//! Measures how far the shown transcript is from what is heard: p50, p95 and worst, of lines shown as exact and of those marked
//! approximate.

use std::fmt::Write as _;

use serde_json::Value;

use super::reported::Reported;
use super::{Line, Typed};

/// No line that is not marked may be further off than this, in milliseconds.
pub const UNMARKED: i64 = 400;
/// 19 of 20 exact lines may be no further off than this, in milliseconds.
pub const EXACT: i64 = 150;

/// Where a line is shown, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Its start.
    pub start: i64,
    /// Its end.
    pub end: i64,
    /// Whether it is marked as approximate.
    pub approximate: bool,
}

/// A line, and where it is shown.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The name of its call.
    pub call: String,
    /// The truth.
    pub line: Line,
    /// Where it is shown; `None` when the line has no place.
    pub shown: Option<Shown>,
    /// What was reported, in milliseconds of the sound: start, end, creation.
    pub reported: (Option<i64>, Option<i64>, Option<i64>),
}

fn ms(seconds: f64) -> i64 {
    (seconds * 1e3).round() as i64
}

impl Judged {
    /// Milliseconds between the shown and the true start.
    pub fn onset(&self) -> Option<i64> {
        self.shown.map(|shown| (shown.start - ms(self.line.start)).abs())
    }

    /// The same for the end.
    pub fn end(&self) -> Option<i64> {
        self.shown.map(|shown| (shown.end - ms(self.line.end)).abs())
    }

    /// Whether it is shown without a mark.
    pub fn is_exact(&self) -> bool {
        self.shown.is_some_and(|shown| !shown.approximate)
    }

    fn off(&self) -> i64 {
        self.onset().max(self.end()).unwrap_or(0)
    }

    /// All that is known of it, as one line of text.
    pub fn words(&self) -> String {
        let shown = self.shown.map_or("nowhere".to_owned(), |shown| {
            format!("{}-{}{}", shown.start, shown.end, if shown.approximate { " ~" } else { "" })
        });
        let (start, end, made) = self.reported;
        let time = |time: Option<i64>| time.map_or("none".to_owned(), |time| time.to_string());
        let text: String = self.line.text.chars().take(40).collect();
        let cut = if self.line.interrupted { " (interrupted)" } else { "" };
        format!(
            "{} {} {:?}: heard {}-{}, shown {shown}, reported {}-{} made {}{cut}: {text:?}",
            self.call,
            self.line.id,
            self.line.who,
            ms(self.line.start),
            ms(self.line.end),
            time(start),
            time(end),
            time(made),
        )
    }
}

/// One row: a kind of sound and a kind of source.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The sound.
    pub sound: String,
    /// The source.
    pub source: String,
    /// The lines.
    pub lines: Vec<Judged>,
    /// Typed messages: how many there are, and how many are not shown within 50 ms of when they were sent.
    pub typed: (usize, usize),
}

/// The value that this share of the values does not exceed (nearest rank). Sorts them.
pub fn percentile(values: &mut [i64], share: f64) -> Option<i64> {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

impl Row {
    /// A row without lines.
    pub fn new(sound: &str, source: &str) -> Self {
        Self { sound: sound.to_owned(), source: source.to_owned(), ..Self::default() }
    }

    /// Adds a call: its shown transcript, what was reported, and what was typed.
    pub fn add(&mut self, call: &str, transcript: &Value, reported: &Reported, typed: &[Typed]) {
        let turns = transcript["turns"].as_array().cloned().unwrap_or_default();
        let shown = |id: &str| {
            let turn = turns.iter().find(|turn| turn["id"] == *id)?;
            Some(Shown {
                start: turn["start_ms"].as_i64()?,
                end: turn["end_ms"].as_i64()?,
                approximate: turn["approximate"] != false,
            })
        };
        for line in &reported.lines {
            let item = reported.items.iter().find(|item| item.id == line.id);
            let times = item.map(|item| (item.start.map(ms), item.end.map(ms), Some(ms(item.created))));
            self.lines.push(Judged {
                call: call.to_owned(),
                line: line.clone(),
                shown: shown(&line.id),
                reported: times.unwrap_or_default(),
            });
        }
        for typed in typed {
            self.typed.0 += 1;
            let is_right = shown(&typed.id).is_some_and(|shown| (shown.start - ms(typed.at)).abs() <= 50);
            self.typed.1 += usize::from(!is_right);
        }
    }

    /// How many lines are shown as exact.
    pub fn exact(&self) -> usize {
        self.lines.iter().filter(|line| line.is_exact()).count()
    }

    fn errors(&self, is_exact: bool, which: impl Fn(&Judged) -> Option<i64>) -> Vec<i64> {
        self.lines.iter().filter(|line| line.is_exact() == is_exact).filter_map(which).collect()
    }

    /// The errors of onset and end that 95 % of the exact lines do not exceed.
    pub fn p95(&self) -> (i64, i64) {
        let p95 = |mut errors: Vec<i64>| percentile(&mut errors, 0.95).unwrap_or(0);
        (p95(self.errors(true, Judged::onset)), p95(self.errors(true, Judged::end)))
    }

    /// Unmarked lines that are too far off, the worst first.
    pub fn wrong(&self) -> Vec<&Judged> {
        let mut wrong: Vec<_> = self.lines.iter().filter(|line| line.is_exact() && line.off() > UNMARKED).collect();
        wrong.sort_by_key(|line| -line.off());
        wrong
    }

    /// Exact lines that are further off than 19 of 20 may be, the worst first.
    pub fn inexact(&self) -> Vec<&Judged> {
        let mut found: Vec<_> = self.lines.iter().filter(|line| line.is_exact() && line.off() > EXACT).collect();
        found.sort_by_key(|line| -line.off());
        found
    }

    /// Whether the goal is met.
    pub fn holds(&self) -> bool {
        let (onset, end) = self.p95();
        onset <= EXACT && end <= EXACT && self.wrong().is_empty()
    }

    fn markdown(&self) -> String {
        let three = |mut errors: Vec<i64>| {
            let mut at = |share| percentile(&mut errors, share).map_or("-".to_owned(), |value| value.to_string());
            format!("{} | {} | {}", at(0.5), at(0.95), at(1.0))
        };
        let missing = self.lines.iter().filter(|line| line.shown.is_none()).count();
        let exact = self.exact();
        let typed = if self.typed.0 == 0 { "-".to_owned() } else { format!("{} of {}", self.typed.1, self.typed.0) };
        let worst = |which: fn(&Judged) -> Option<i64>| {
            self.errors(false, which).into_iter().max().map_or("-".to_owned(), |value| value.to_string())
        };
        format!(
            "| {} | {} | {} | {} | {exact} | {} | {} | {} | {missing} | {} / {} | {} | {typed} |",
            if self.holds() { "yes" } else { "**no**" },
            self.sound,
            self.source,
            self.lines.len(),
            three(self.errors(true, Judged::onset)),
            three(self.errors(true, Judged::end)),
            self.lines.len() - exact - missing,
            worst(Judged::onset),
            worst(Judged::end),
            self.wrong().len(),
        )
    }
}

/// The whole table as Markdown; errors in milliseconds.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from(
        "| holds | sound | reported | lines | exact | onset p50 | p95 | worst | end p50 | p95 | worst | approximate \
         | nowhere | worst of approximate, onset / end | unmarked > 400 ms | typed moved |\n",
    );
    out.push_str("| --- | --- | --- |");
    out.push_str(&" ---: |".repeat(13));
    out.push('\n');
    for row in rows {
        let _ = writeln!(out, "{}", row.markdown());
    }
    out
}

/// The worst lines of each row that does not hold, at most `most` of each.
pub fn worst(rows: &[Row], most: usize) -> String {
    let mut out = String::new();
    for row in rows.iter().filter(|row| !row.holds()) {
        let _ = writeln!(out, "{} / {}:", row.sound, row.source);
        for line in row.inexact().into_iter().take(most) {
            let _ = writeln!(out, "  {}", line.words());
        }
    }
    out
}
