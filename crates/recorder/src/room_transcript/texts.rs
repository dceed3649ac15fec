//! Tests of which text is shown, of those that arrive for a line.

use super::tests::{S, data, entry, header, person};
use super::*;

/// The texts of the lines that are shown; reading the log again gives the same.
fn texts(log: &[Entry]) -> Vec<String> {
    let mut words = RoomTranscript::default();
    for entry in log {
        words.take(entry);
    }
    words.transcript().turns.into_iter().map(|turn| turn.text).collect()
}

/// The entries of one complete stream.
fn stream(at: i64, stream: &str, text: &[u8], is_final: bool, compression: i32) -> Vec<Entry> {
    let header = data_stream::Header { compression, ..header(stream, "SG_1", is_final) };
    let chunk = data_stream::Chunk { stream_id: stream.to_owned(), content: text.into(), ..Default::default() };
    let trailer = data_stream::Trailer { stream_id: stream.to_owned(), ..Default::default() };
    let values = [Value::StreamHeader(header), Value::StreamChunk(chunk), Value::StreamTrailer(trailer)];
    values.into_iter().map(|value| entry(at, data("bob", value))).collect()
}

#[test]
fn a_text_that_is_none_takes_the_place_of_nothing() {
    for (none, compression) in [(&b""[..], 0), (b" \n", 0), (b"\xff\x00nonsense", 1), (b"", 1)] {
        for is_final in [true, false] {
            let heard = [stream(S, "s1", b"So you made", false, 0), stream(2 * S, "s2", none, is_final, compression)];
            assert_eq!(texts(&heard.concat()), ["So you made"], "{none:?} {is_final}");
            let more = [heard.concat(), stream(3 * S, "s3", b"So you made a purchase", true, 0)];
            assert_eq!(texts(&more.concat()), ["So you made a purchase"], "{none:?} {is_final}");
        }
    }
    let nothing = [stream(S, "s1", b"", false, 0), stream(2 * S, "s2", b"", true, 0)];
    assert!(texts(&nothing.concat()).is_empty());
}

#[test]
fn nothing_that_comes_late_takes_the_place_of_a_final_text() {
    let interim = |at: i64, id: &str, text: &str| stream(at, id, text.as_bytes(), false, 0);
    let last = stream(2 * S, "s2", b"What time is it?", true, 0);
    let late = [interim(S, "s1", "what"), last.clone(), interim(3 * S, "s3", "what ti")];
    assert_eq!(texts(&late.concat()), ["What time is it?"]);
    // A stream that began before the final one and goes on after it.
    let open = interim(S, "s1", "what");
    let crossed = [&open[..1], &last[..], &open[1..]].concat();
    assert_eq!(texts(&crossed), ["What time is it?"]);
    let crossed = [&open[..1], &interim(2 * S, "s2", "what time")[..], &open[1..]].concat();
    assert_eq!(texts(&crossed), ["what time"], "of two interim texts the later one");
    let better = [last.clone(), stream(3 * S, "s3", b"What time is it now?", true, 0)];
    assert_eq!(texts(&better.concat()), ["What time is it now?"], "of two final ones, too");
    let emptied = [interim(S, "s1", "what time"), stream(2 * S, "s2", b"", true, 0), interim(3 * S, "s3", "what")];
    assert_eq!(texts(&emptied.concat()), ["what time"]);
}

#[test]
fn legacy_texts_follow_the_same_rules_and_stand_where_no_stream_tells() {
    let legacy = |at: i64, identity: &str, id: &str, text: &str, is_final: bool| {
        let segment =
            proto::TranscriptionSegment { id: id.into(), text: text.into(), r#final: is_final, ..Default::default() };
        let transcription = proto::Transcription {
            transcribed_participant_identity: identity.to_owned(),
            track_id: "TR_bob".to_owned(),
            segments: vec![segment],
        };
        entry(at, data("helper", Value::Transcription(transcription)))
    };
    let log = [
        entry(0, person("bob", "STANDARD")),
        legacy(S, "bob", "L1", "what", false),
        legacy(2 * S, "bob", "L1", "What time is it?", true),
        legacy(3 * S, "bob", "L1", "what ti", false),
        legacy(4 * S, "bob", "L1", "", true),
        legacy(5 * S, "ann", "L2", "Late.", true),
        legacy(6 * S, "", "L3", "It is bob who says so.", true),
    ];
    assert_eq!(texts(&log), ["What time is it?", "Late.", "It is bob who says so."]);
    let streamed = [&log[..], &stream(7 * S, "s1", b"", true, 0)].concat();
    assert_eq!(texts(&streamed).len(), 3, "a stream that tells nothing");
    let streamed = [&log[..], &stream(7 * S, "s1", b"So much.", true, 0)].concat();
    assert_eq!(texts(&streamed), ["Late.", "So much."]);
    let streamed = [&log[..], &stream(7 * S, "s1", b"Late.", true, 0)].concat();
    assert_eq!(texts(&streamed), ["Late."]);
}

#[test]
fn what_two_agents_tell_of_one_user_is_shown_once() {
    let by = |sender: &str, at: i64, id: &str, text: &str| {
        let header = data_stream::Header { inline_content: Some(text.into()), ..header(id, id, true) };
        let packet = proto::DataPacket {
            participant_identity: "bob".to_owned(),
            participant_sid: sender.to_owned(),
            value: Some(Value::StreamHeader(header)),
            ..Default::default()
        };
        entry(at, Body::Data(packet.encode_to_vec()))
    };
    let log =
        [by("A", S, "1", "Yes."), by("B", 2 * S, "2", "yes"), by("A", 3 * S, "3", "Yes."), by("B", 9 * S, "4", "yes")];
    assert_eq!(texts(&log), ["Yes.", "Yes.", "yes"]);
    assert_eq!(texts(&[by("A", S, "1", "Yes."), by("A", 2 * S, "2", "Yes.")]), ["Yes.", "Yes."]);
}
