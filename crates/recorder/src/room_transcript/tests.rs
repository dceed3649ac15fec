//! Tests of the room's own transcript: text streams, legacy transcriptions and agent states, in any order.

use super::speaking::AGENT_STATE;
use super::*;
use crate::log::Track;
use proptest::prelude::*;
use std::io::Write as _;

pub(super) const S: i64 = 1_000_000_000;

pub(super) fn entry(at: i64, body: Body) -> Entry {
    Entry { number: 0, at, body: Some(body) }
}

pub(super) fn data(identity: &str, value: Value) -> Body {
    let packet =
        proto::DataPacket { participant_identity: identity.to_owned(), value: Some(value), ..Default::default() };
    Body::Data(packet.encode_to_vec())
}

pub(super) fn header(stream: &str, segment: &str, is_final: bool) -> data_stream::Header {
    data_stream::Header {
        stream_id: stream.to_owned(),
        topic: "lk.transcription".to_owned(),
        attributes: HashMap::from([
            ("lk.segment_id".to_owned(), segment.to_owned()),
            ("lk.transcription_final".to_owned(), is_final.to_string()),
        ]),
        ..Default::default()
    }
}

fn whole(words: &mut RoomTranscript, at: i64, identity: &str, stream: &str, segment: &str, text: &str, is_final: bool) {
    words.take(&entry(at, data(identity, Value::StreamHeader(header(stream, segment, is_final)))));
    let chunk = data_stream::Chunk { stream_id: stream.to_owned(), content: text.into(), ..Default::default() };
    words.take(&entry(at, data("agent", Value::StreamChunk(chunk))));
    let trailer = data_stream::Trailer { stream_id: stream.to_owned(), ..Default::default() };
    words.take(&entry(at, data("agent", Value::StreamTrailer(trailer))));
}

pub(super) fn person(identity: &str, kind: &str) -> Body {
    Body::Participant(Participant {
        sid: format!("PA_{identity}"),
        identity: identity.to_owned(),
        kind: kind.to_owned(),
        tracks: vec![Track { sid: format!("TR_{identity}"), ..Default::default() }],
        ..Default::default()
    })
}

#[test]
fn interim_texts_are_replaced_deltas_are_joined_and_a_line_tells_when_its_texts_came() {
    let mut words = RoomTranscript::default();
    words.take(&entry(0, person("bob", "STANDARD")));
    words.take(&entry(0, person("helper", "AGENT")));
    whole(&mut words, 2 * S, "bob", "s1", "SG_1", "what time", false);
    whole(&mut words, 4 * S, "bob", "s2", "SG_1", "What time is it?", true);
    words.take(&entry(5 * S, data("helper", Value::StreamHeader(header("s3", "SG_2", false)))));
    for (index, word) in ["It is ", "five."].into_iter().enumerate() {
        let chunk = data_stream::Chunk {
            stream_id: "s3".to_owned(),
            chunk_index: index as u64,
            content: word.into(),
            ..Default::default()
        };
        words.take(&entry(5 * S, data("helper", Value::StreamChunk(chunk))));
    }
    let turns = words.transcript().turns;
    let lines: Vec<_> = turns.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
    assert_eq!(lines, [(Role::User, "What time is it?"), (Role::Agent, "It is five.")]);
    let reported = |first: i64, last: i64| Times {
        created: Some(WallTime::from_nanos(first)),
        last_text: Some(WallTime::from_nanos(last)),
        ..Times::default()
    };
    assert_eq!((turns[0].reported, turns[1].reported), (reported(2 * S, 4 * S), reported(5 * S, 5 * S)));
}

#[test]
fn an_agent_speaks_when_it_says_so() {
    let says = |state: &str| {
        let Body::Participant(mut helper) = person("helper", "AGENT") else { unreachable!() };
        helper.attributes.insert(AGENT_STATE.to_owned(), state.to_owned());
        Body::Participant(helper)
    };
    let mut words = RoomTranscript::default();
    words.take(&entry(0, says("listening")));
    words.take(&entry(4 * S, says("thinking")));
    words.take(&entry(5 * S, says("speaking")));
    whole(&mut words, 6 * S, "helper", "s1", "SG_1", "Well. Let me see.", true);
    words.take(&entry(9 * S, says("listening")));
    let reported = words.transcript().turns[0].reported;
    let seconds = |at: Option<WallTime>| at.map(|at| at.as_nanos() / S);
    assert_eq!((seconds(reported.start), seconds(reported.end)), (Some(5), Some(9)));
}

#[test]
fn a_line_belongs_to_the_speaking_before_it_unless_that_was_over() {
    let start = |spoken: &[(i64, bool)]| {
        let says = |speaking: bool| {
            let Body::Participant(mut helper) = person("helper", "AGENT") else { unreachable!() };
            let state = if speaking { "speaking" } else { "listening" };
            helper.attributes.insert(AGENT_STATE.to_owned(), state.to_owned());
            Body::Participant(helper)
        };
        let mut words = RoomTranscript::default();
        words.take(&entry(0, person("helper", "AGENT")));
        for &(at, active) in spoken.iter().filter(|(at, _)| *at <= 10 * S) {
            words.take(&entry(at, says(active)));
        }
        whole(&mut words, 10 * S, "helper", "s1", "SG_1", "Yes.", true);
        for &(at, active) in spoken.iter().filter(|(at, _)| *at > 10 * S) {
            words.take(&entry(at, says(active)));
        }
        words.transcript().turns[0].reported.start.map(|start| start.as_nanos() / (S / 10))
    };
    assert_eq!(start(&[(90 * S / 10, true), (95 * S / 10, false), (105 * S / 10, true)]), Some(90));
    assert_eq!(start(&[(50 * S / 10, true), (60 * S / 10, false), (105 * S / 10, true)]), Some(105));
    assert_eq!(start(&[(50 * S / 10, true), (60 * S / 10, false), (125 * S / 10, true)]), Some(50));
    assert_eq!(start(&[]), None);
}

#[test]
fn inline_and_compressed_texts_and_legacy_ones_only_when_nothing_else_comes() {
    let mut words = RoomTranscript::default();
    let legacy = proto::Transcription {
        transcribed_participant_identity: "bob".to_owned(),
        segments: vec![proto::TranscriptionSegment {
            id: "L1".to_owned(),
            text: "old".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    words.take(&entry(S, data("bob", Value::Transcription(legacy))));
    assert_eq!(words.transcript().turns[0].text, "old");
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all("a long text, again and again".as_bytes()).unwrap();
    let inline = data_stream::Header {
        compression: 1,
        inline_content: Some(encoder.finish().unwrap()),
        ..header("s1", "SG_1", true)
    };
    words.take(&entry(2 * S, data("bob", Value::StreamHeader(inline))));
    let texts: Vec<_> = words.transcript().turns.into_iter().map(|turn| turn.text).collect();
    assert_eq!(texts, ["a long text, again and again"]);
}

#[test]
fn two_speakers_with_one_segment_id_are_two_turns_whose_ids_stay() {
    let mut words = RoomTranscript::default();
    let ids = |words: &RoomTranscript| {
        let turns = words.transcript().turns.into_iter();
        turns.map(|turn| (turn.id, turn.speaker.unwrap_or_default(), turn.text)).collect::<Vec<_>>()
    };
    whole(&mut words, S, "bob", "s1", "1", "what", false);
    whole(&mut words, 2 * S, "ann", "s2", "1", "no", false);
    let live = ids(&words);
    whole(&mut words, 3 * S, "ann", "s3", "1", "No.", true);
    whole(&mut words, 3 * S, "bob", "s4", "1", "What?", true);
    for identity in ["bob", "ann"] {
        let chat = proto::ChatMessage { id: "1".into(), message: format!("{identity} types"), ..Default::default() };
        words.take(&entry(4 * S, data(identity, Value::ChatMessage(chat))));
    }
    let settled = ids(&words);
    let expected = [
        ("1", "bob", "What?"),
        ("1-ann", "ann", "No."),
        ("1-bob", "bob", "bob types"),
        ("1-ann-2", "ann", "ann types"),
    ];
    assert_eq!(settled, expected.map(|(id, speaker, text)| (id.to_owned(), speaker.to_owned(), text.to_owned())));
    assert_eq!(live.iter().map(|(id, ..)| id).collect::<Vec<_>>(), ["1", "1-ann"]);
}

proptest! {
    #[test]
    fn any_messages(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let mut words = RoomTranscript::default();
        for message in messages {
            words.take(&entry(0, Body::Data(message)));
        }
        let _ = words.transcript();
    }
}
