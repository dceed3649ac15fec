//! The events that lead a client from one state of a recording to the next.

use std::collections::{HashMap, HashSet};

use echosphere_domain::time::MediaTime;
use serde::Serialize;

use super::frame::Frame;
use super::snapshot::{Snapshot, json};
use crate::http::recordings::view;

#[derive(Serialize)]
struct Segment {
    /// How many there are.
    segments: usize,
    /// How much can be heard.
    duration_ms: i64,
}

/// The events of everything that is in `new` and was not in `old`. `show` turns a recording into what the API shows.
pub(super) fn since(old: Option<&Snapshot>, new: &Snapshot, show: impl Fn(&Snapshot) -> view::Recording) -> Vec<Frame> {
    let mut events = Vec::new();
    let mut push = |name: &'static str, data: String| events.push(Frame::new(name, data));
    if old.is_none_or(|old| is_other(old, new)) {
        push("status", json(&show(new)));
    }
    match old {
        Some(old) if all_stay(old, new) => changed(old, new).for_each(|turn| push("turn", turn.clone())),
        _ => events.push(Frame::new("turns", new.all_turns.clone())),
    }
    let mut push = |name: &'static str, data: String| events.push(Frame::new(name, data));
    if old.is_some_and(|old| (old.segments, old.recording.duration) != (new.segments, new.recording.duration)) {
        let segment = Segment { segments: new.segments, duration_ms: new.recording.duration.as_millis() };
        push("segment", json(&segment));
    }
    if new.is_over {
        push("end", "{}".to_owned());
    }
    events
}

/// Whether anything but the length changed; the first sound counts as such a change.
fn is_other(old: &Snapshot, new: &Snapshot) -> bool {
    let is_heard = |snapshot: &Snapshot| snapshot.recording.duration > MediaTime::ZERO;
    if is_heard(old) != is_heard(new) {
        return true;
    }
    let mut before = old.recording.clone();
    before.duration = new.recording.duration;
    before != new.recording || old.captures != new.captures
}

/// Whether each turn that was there still is, in the same alignment; else the whole list is sent anew.
fn all_stay(old: &Snapshot, new: &Snapshot) -> bool {
    let here: HashSet<&str> = new.turns.iter().map(|(id, _)| id.as_str()).collect();
    old.alignment == new.alignment && old.turns.iter().all(|(id, _)| here.contains(id.as_str()))
}

fn changed<'s>(old: &Snapshot, new: &'s Snapshot) -> impl Iterator<Item = &'s String> {
    let before: HashMap<&str, &str> = old.turns.iter().map(|(id, turn)| (id.as_str(), turn.as_str())).collect();
    let is_new = |(id, turn): &&(String, String)| before.get(id.as_str()) != Some(&turn.as_str());
    let turns: Vec<_> = new.turns.iter().filter(is_new).collect();
    turns.into_iter().map(|(_, turn)| turn)
}
