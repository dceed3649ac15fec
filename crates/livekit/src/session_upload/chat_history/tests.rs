//! Tests of `chat_history`.

use super::*;
use proptest::prelude::*;

const SAMPLE: &str = r#"{"items": [
        {"id":"i1","type":"agent_handoff","new_agent_id":"nova","created_at":10.0},
        {"id":"i2","type":"agent_config_update","instructions":"Be kind.","tools_added":["a","b"],"created_at":10.1},
        {"id":"i3","type":"message","role":"assistant","content":["Hello"],"interrupted":true,"metrics":
            {"started_speaking_at":11.0,"stopped_speaking_at":12.5},"created_at":10.9},
        {"id":"i4","type":"message","role":"user","content":["Hi"],"transcript_confidence":0.9,"metrics":{},"created_at":14.0},
        {"id":"i5","type":"message","role":"user","content":["typed"],"metrics":{},"created_at":15.0},
        {"id":"i6","type":"function_call","call_id":"c1","name":"look","arguments":"{}","created_at":16.0},
        {"id":"i6","type":"function_call_output","call_id":"c1","name":"look","output":"\"done\"","is_error":false,"created_at":17.0},
        {"id":"i7","type":"hologram","created_at":18.0},
        {"id":"i8","type":"message","role":"assistant","content":5}
    ]}"#;

#[test]
fn each_kind_of_item() {
    let history = parse(SAMPLE.as_bytes());
    assert!(!history.damaged);
    let turns = &history.transcript.turns;
    let kinds: Vec<_> = turns.iter().map(|turn| turn.kind).collect();
    use Kind::{Config, Handoff, Marker, Message, ToolCall, ToolResult};
    assert_eq!(kinds, [Handoff, Config, Message, Message, Message, ToolCall, ToolResult, Marker, Marker]);
    assert_eq!(turns[1].text, "Instructions: Be kind.\nTools added: a, b");
    assert_eq!((turns[2].speaker.as_deref(), turns[2].interrupted), (Some("nova"), true));
    assert_eq!(turns[2].reported.end, WallTime::from_unix_seconds(12.5));
    assert_eq!((turns[3].typed, turns[4].typed), (false, true));
    assert_eq!(turns[6].call.as_ref().unwrap().output.as_deref(), Some("done"));
    assert_eq!(turns[6].id, "i6#6");
    assert_eq!(turns[7].metrics["type"], "hologram");
}

#[test]
fn a_broken_document_yields_what_stands_before_the_break() {
    let cut = &SAMPLE[..SAMPLE.find("\"i4\"").unwrap()];
    let history = parse(cut.as_bytes());
    assert!(history.damaged);
    assert_eq!(history.transcript.turns.len(), 3);
    assert!(parse(b"[]").damaged && parse(b"").damaged && parse(b"{\"items\":{}}").damaged);
}

/// The sample with `from` replaced by `to`.
fn changed(from: &str, to: &str) -> ChatHistory {
    assert_eq!(SAMPLE.matches(from).count(), 1, "{from}");
    parse(SAMPLE.replace(from, to).as_bytes())
}

#[test]
fn a_number_that_is_none_costs_that_number() {
    let good = parse(SAMPLE.as_bytes()).transcript.turns;
    for none in ["NaN", "Infinity", "-Infinity", "1e999"] {
        let history = changed("\"transcript_confidence\":0.9", &format!("\"transcript_confidence\":{none}"));
        assert!(!history.damaged, "{none}");
        let turns = history.transcript.turns;
        assert_eq!((turns.len(), turns[3].confidence), (good.len(), None));
        assert_eq!((&turns[..3], &turns[4..]), (&good[..3], &good[4..]));
    }
    let history =
        changed("\"metrics\":{},\"created_at\":14.0", "\"metrics\":{\"delay\":NaN,\"n\":1},\"created_at\":NaN");
    let turn = &history.transcript.turns[3];
    assert_eq!((turn.reported.created, turn.metrics.len(), &turn.metrics["n"]), (None, 1, &1.into()));
    assert!(!history.damaged);
}

#[test]
fn an_item_that_is_no_json_is_a_marker_and_the_rest_stays() {
    let good = parse(SAMPLE.as_bytes()).transcript.turns;
    let history = changed("\"content\":[\"Hello\"],", "\"content\":[\"Hello],");
    assert!(history.damaged);
    let turns = history.transcript.turns;
    assert_eq!(turns.len(), good.len());
    assert_eq!((turns[2].kind, turns[2].reported), (Kind::Marker, Times::default()));
    assert!(turns[2].text.contains("[\"Hello],") && !turns[2].text.contains("i4"), "{}", turns[2].text);
    assert_eq!(turns[3], good[3]);
}

#[test]
fn other_encodings_are_the_same_history() {
    let good = parse(SAMPLE.as_bytes());
    let le: Vec<u8> = SAMPLE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = format!("\u{feff}{SAMPLE}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [format!("\u{feff}{SAMPLE}").into_bytes(), le, be] {
        assert_eq!(parse(&bytes), good);
    }
}

#[test]
fn what_is_there_for_the_model_alone_is_no_text() {
    let history = changed("[\"Hello\"]", r#"[{"type":"cache_breakpoint"},"Hello",{"type":"image_content"},null]"#);
    assert_eq!(history.transcript.turns[2].text, "Hello\n[image_content]");
}

#[test]
fn a_history_is_read_as_far_as_it_can_be_kept() {
    let item =
        |n: usize| format!(r#"{{"id":"i{n}","type":"message","role":"user","content":["word"],"created_at":{n}}}"#);
    let honest: Vec<String> = (0..6_000).map(item).collect();
    let history = parse(format!(r#"{{"items":[{}]}}"#, honest.join(",")).as_bytes());
    assert_eq!((history.transcript.turns.len(), history.damaged), (6_000, false));
    for unit in ["{},", "0,", "[],", r#"{"created_at":[{"":0},{"":0}]},"#] {
        let text = format!(r#"{{"items":[{}{{}}]}}"#, unit.repeat((3 << 20) / unit.len()));
        let history = parse(text.as_bytes());
        let kept: usize = history.transcript.turns.iter().map(weight).sum();
        assert!(history.damaged && kept <= MOST_KEPT, "{unit}: {kept}");
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        parse(&bytes);
    }

    #[test]
    fn any_damage_to_a_real_document(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len() + 1));
        parse(&bytes);
    }
}
