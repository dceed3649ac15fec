//! Exports a transcript for other programs, as WebVTT, SubRip or plain text.
//!
//! Only what was said or typed becomes a cue; tool calls and events are in the plain text, and so is an earlier conversation, whose
//! lines have no time on this recording's timeline.

use std::fmt::Write;

use super::{Kind, Placed, Role};
use crate::time::{MediaTime, WallTime};

/// The shortest time that a cue is shown.
const SHORTEST_CUE: MediaTime = MediaTime::from_millis(500);

/// A turn with the times that an export uses: media time, or without media the time since the first turn.
struct Cue<'a> {
    placed: &'a Placed,
    start: MediaTime,
    end: MediaTime,
}

fn cues(turns: &[Placed]) -> Vec<Cue<'_>> {
    let of_session = || turns.iter().filter(|placed| !placed.turn.earlier);
    let first = of_session().filter_map(|placed| placed.started_at).min();
    let since_first = |time: Option<WallTime>| Some(MediaTime::from_nanos(time?.since(first?)));
    let cues = of_session().filter_map(|placed| {
        let start = placed.start.or_else(|| since_first(placed.started_at))?;
        let end = placed.end.or_else(|| since_first(placed.ended_at)).unwrap_or(start);
        Some(Cue { placed, start, end })
    });
    cues.collect()
}

fn spoken<'a>(cues: &'a [Cue<'a>]) -> impl Iterator<Item = &'a Cue<'a>> {
    cues.iter().filter(|cue| cue.placed.turn.kind == Kind::Message && !cue.placed.turn.text.trim().is_empty())
}

/// The name to show for a turn's speaker.
pub fn speaker(placed: &Placed) -> &str {
    let turn = &placed.turn;
    turn.speaker.as_deref().filter(|name| !name.trim().is_empty()).unwrap_or(match turn.role {
        Role::User => "User",
        Role::Agent => "Agent",
        Role::System => "System",
    })
}

/// WebVTT (<https://www.w3.org/TR/webvtt1/>), with a voice span for each speaker.
pub fn vtt(turns: &[Placed]) -> String {
    let mut out = String::from("WEBVTT\n");
    for cue in spoken(&cues(turns)) {
        let (start, end) = (clock(cue.start, '.'), clock(cue_end(cue), '.'));
        let name = escape_vtt(&one_line(speaker(cue.placed)));
        let text = escape_vtt(&lines(&cue.placed.turn.text));
        append(&mut out, format_args!("\n{start} --> {end}\n<v {name}>{text}\n"));
    }
    out
}

/// SubRip.
pub fn srt(turns: &[Placed]) -> String {
    let mut out = String::new();
    for (number, cue) in spoken(&cues(turns)).enumerate() {
        let (start, end) = (clock(cue.start, ','), clock(cue_end(cue), ','));
        let said = format!("{}: {}", one_line(speaker(cue.placed)), lines(&cue.placed.turn.text));
        append(&mut out, format_args!("{}\n{start} --> {end}\n{}\n\n", number + 1, without_arrows(&said)));
    }
    out
}

/// Plain text: one line per turn, with its time.
pub fn text(turns: &[Placed]) -> String {
    let mut out = String::new();
    for placed in turns.iter().filter(|placed| placed.turn.earlier) {
        let (name, said) = (one_line(speaker(placed)), one_line(&placed.turn.text));
        append(&mut out, format_args!("[earlier] {name}: {said}\n"));
    }
    for cue in &cues(turns) {
        let turn = &cue.placed.turn;
        let mark = match (turn.interrupted, turn.typed && !turn.is_spoken()) {
            (true, _) => " [interrupted]",
            (false, true) => " [typed]",
            (false, false) => "",
        };
        let kind = match turn.kind {
            Kind::Message => "",
            Kind::ToolCall => " calls a tool",
            Kind::ToolResult => " gets a tool's result",
            Kind::Handoff => " hands over",
            Kind::Config => " is configured",
            Kind::Marker => " (event)",
        };
        let name = one_line(speaker(cue.placed));
        append(&mut out, format_args!("[{}] {name}{kind}: {}{mark}\n", clock(cue.start, '.'), one_line(&turn.text)));
    }
    out
}

fn append(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a String does not fail");
}

fn cue_end(cue: &Cue<'_>) -> MediaTime {
    cue.end.max(cue.start + SHORTEST_CUE)
}

/// `hh:mm:ss` and milliseconds, of a time that is not negative.
fn clock(time: MediaTime, separator: char) -> String {
    let ms = time.as_millis().max(0);
    format!("{:02}:{:02}:{:02}{separator}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// A text that a SubRip parser cannot mistake for the times of a cue.
fn without_arrows(text: &str) -> String {
    text.replace("-->", "-- >")
}

/// The lines of a text without control characters and without empty lines, which would end a cue; each closes the text directions
/// that it opens.
fn lines(text: &str) -> String {
    let clean = |line: &str| closed(line.chars().filter(|c| !c.is_control()).collect());
    let lines = text.split(['\n', '\r']).map(clean).filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// Closes a line's directional embeddings, overrides and isolates at its end (UAX #9, 2.1 to 2.5): otherwise one in a name would
/// reverse what we write after it.
fn closed(mut line: String) -> String {
    let mut open = Vec::new();
    for c in line.chars() {
        match c {
            '\u{202A}' | '\u{202B}' | '\u{202D}' | '\u{202E}' => open.push('\u{202C}'),
            '\u{2066}'..='\u{2068}' => open.push('\u{2069}'),
            '\u{202C}' if open.last() == Some(&c) => drop(open.pop()),
            // The end of an isolate closes all that was opened in it.
            '\u{2069}' if open.contains(&c) => while open.pop() != Some(c) {},
            _ => {}
        }
    }
    line.extend(open.into_iter().rev());
    line
}

fn one_line(text: &str) -> String {
    lines(text).replace('\n', " ")
}

fn escape_vtt(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
