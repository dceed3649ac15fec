//! Tests of `data`.

use super::*;
use crate::room::people::Exclusions;
use std::collections::{BTreeMap, HashSet};

fn header(id: &str, segment: &str, identity: &str) -> Vec<u8> {
    text(id, segment, identity, "true")
}

fn text(id: &str, segment: &str, identity: &str, is_final: &str) -> Vec<u8> {
    of_track(id, segment, identity, is_final, None)
}

fn of_track(id: &str, segment: &str, identity: &str, is_final: &str, track: Option<&str>) -> Vec<u8> {
    let attributes = [("lk.segment_id", segment), ("lk.transcription_final", is_final)];
    let track = track.map(|track| ("lk.transcribed_track_id", track));
    let attributes = attributes.into_iter().chain(track);
    let header = Header {
        stream_id: id.to_owned(),
        topic: "lk.transcription".to_owned(),
        attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        content_header: Some(ContentHeader::TextHeader(proto::data_stream::TextHeader::default())),
        ..Default::default()
    };
    packet(identity, Value::StreamHeader(header))
}

fn chunk(id: &str) -> Vec<u8> {
    packet("a", Value::StreamChunk(Chunk { stream_id: id.to_owned(), ..Default::default() }))
}

fn trailer(id: &str) -> Vec<u8> {
    let trailer = proto::data_stream::Trailer { stream_id: id.to_owned(), ..Default::default() };
    packet("a", Value::StreamTrailer(trailer))
}

fn legacy(identity: &str, track: &str, segment: &str) -> Vec<u8> {
    let segment = proto::TranscriptionSegment { id: segment.to_owned(), r#final: true, ..Default::default() };
    let transcription = proto::Transcription {
        transcribed_participant_identity: identity.to_owned(),
        track_id: track.to_owned(),
        segments: vec![segment],
    };
    packet("helper", Value::Transcription(transcription))
}

fn person(identity: &str, kind: proto::participant_info::Kind) -> proto::ParticipantInfo {
    let track = proto::TrackInfo { sid: format!("TR_{identity}"), ..Default::default() };
    proto::ParticipantInfo {
        sid: format!("PA_{identity}"),
        identity: identity.to_owned(),
        kind: kind as i32,
        tracks: vec![track],
        ..Default::default()
    }
}

/// The agent `helper` and the users `bob` and `shy`; participants with the attribute `record=false` are excluded.
fn room() -> People {
    let attributes = BTreeMap::from([("record".to_owned(), "false".to_owned())]);
    let mut people = People::new(Exclusions { attributes, ..Exclusions::default() });
    let users = ["bob", "shy"].map(|identity| person(identity, proto::participant_info::Kind::Standard));
    people.update(&users);
    people.update(&[person("helper", proto::participant_info::Kind::Agent)]);
    people
}

fn shy(is_shy: bool) -> [proto::ParticipantInfo; 1] {
    let mut person = person("shy", proto::participant_info::Kind::Standard);
    person.attributes.insert("record".to_owned(), (!is_shy).to_string());
    [person]
}

fn packet(identity: &str, value: Value) -> Vec<u8> {
    let packet =
        proto::DataPacket { participant_identity: identity.to_owned(), value: Some(value), ..Default::default() };
    packet.encode_to_vec()
}

#[test]
fn what_was_said_in_a_pause_is_not_kept_after_it_either() {
    let (mut filter, people, now) = (Filter::default(), People::default(), Instant::now());
    assert!(filter.admit(now, &header("S1", "SG_1", "a"), false, &people).is_some());
    assert!(filter.admit(now, &chunk("S1"), false, &people).is_some());
    assert!(filter.admit(now, &chunk("S1"), true, &people).is_none());
    assert!(filter.admit(now, &chunk("S1"), false, &people).is_none(), "the rest of a stream that a pause cut");
    assert!(filter.admit(now, &header("S2", "SG_2", "a"), true, &people).is_none());
    assert!(
        filter.admit(now, &header("S3", "SG_2", "a"), false, &people).is_none(),
        "the final text of a withheld one"
    );
    assert!(filter.admit(now, &header("S4", "SG_4", "a"), false, &people).is_some());
}

#[test]
fn a_whole_line_just_after_a_pause_may_be_of_it_and_one_that_is_being_spoken_is_not() {
    let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
    filter.resumed(now);
    let soon = now + Duration::from_secs(1);
    assert!(filter.admit(soon, &header("S1", "SG_1", "bob"), false, &people).is_none());
    assert!(
        filter.admit(soon, &header("S2", "SG_2", "helper"), false, &people).is_some(),
        "the agent's text comes first"
    );
    assert!(filter.admit(soon, &text("S3", "SG_3", "bob", "false"), false, &people).is_some());
    assert!(filter.admit(soon, &header("S4", "SG_3", "bob"), false, &people).is_some(), "its final text");
    assert!(filter.admit(now + Duration::from_secs(4), &header("S5", "SG_5", "bob"), false, &people).is_some());
    assert!(filter.admit(now + Duration::from_secs(5), &header("S6", "SG_1", "bob"), false, &people).is_none());
}

#[test]
fn a_line_that_a_pause_cut_is_not_kept_to_its_end_after_it() {
    let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
    let later = now + Duration::from_secs(60);
    assert!(filter.admit(now, &header("S1", "SG_1", "helper"), false, &people).is_some());
    assert!(filter.admit(now, &text("S2", "SG_2", "bob", "false"), false, &people).is_some());
    assert!(filter.admit(now, &chunk("S1"), true, &people).is_none());
    filter.resumed(now);
    assert!(filter.admit(later, &chunk("S2"), false, &people).is_none(), "it was written in the pause");
    assert!(filter.admit(later, &header("S3", "SG_1", "helper"), false, &people).is_none());
    assert!(filter.admit(later, &header("S4", "SG_2", "bob"), false, &people).is_none(), "begun before the pause");
    assert!(filter.admit(later, &header("S5", "SG_2", "shy"), false, &people).is_some(), "another one's segment");
}

#[test]
fn a_line_whose_first_words_come_at_once_after_a_pause_was_begun_in_it() {
    let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
    filter.resumed(now);
    let (soon, later) = (now + Duration::from_millis(400), now + Duration::from_millis(1_500));
    assert!(filter.admit(soon, &text("S1", "SG_1", "bob", "false"), false, &people).is_none());
    assert!(filter.admit(later, &text("S2", "SG_1", "bob", "false"), false, &people).is_none());
    assert!(filter.admit(now + 60 * INTERIM_DELAY, &header("S3", "SG_1", "bob"), false, &people).is_none());
    assert!(filter.admit(soon, &text("S4", "SG_4", "helper", "false"), false, &people).is_some(), "an agent's");
    assert!(filter.admit(later, &text("S5", "SG_5", "bob", "false"), false, &people).is_some());
    assert!(filter.admit(later, &header("S6", "SG_5", "bob"), false, &people).is_some());
}

#[test]
fn what_is_held_back_while_the_connection_is_lost_may_be_of_a_pause_that_ended_meanwhile() {
    let (mut filter, people, lost) = (Filter::default(), room(), Instant::now());
    let second = Duration::from_secs(1);
    filter.resumed(lost + second);
    filter.reconnected(lost, lost + 10 * second);
    assert!(filter.admit(lost + 10 * second, &header("S1", "SG_1", "bob"), false, &people).is_none());
    filter.reconnected(lost + 20 * second, lost + 30 * second);
    assert!(filter.admit(lost + 30 * second, &header("S2", "SG_2", "bob"), false, &people).is_some());
}

#[test]
fn nothing_of_somebody_who_is_excluded() {
    let exclusions = Exclusions { identities: HashSet::from(["shy".to_owned()]), ..Exclusions::default() };
    let (mut filter, people, now) = (Filter::default(), People::new(exclusions), Instant::now());
    assert!(filter.admit(now, &header("S1", "SG_1", "shy"), false, &people).is_none());
    assert!(filter.admit(now, &chunk("S1"), false, &people).is_none());
    assert!(filter.admit(now, &legacy("shy", "", "SG_1"), false, &people).is_none());
}

#[test]
fn a_stream_that_is_open_ends_when_its_owner_is_excluded() {
    let (mut filter, mut people, now) = (Filter::default(), room(), Instant::now());
    for message in [
        text("S1", "SG_1", "shy", "false"),
        of_track("S2", "SG_2", "helper", "false", Some("TR_shy")),
        of_track("S3", "SG_3", "helper", "false", Some("TR_bob")),
        chunk("S1"),
        chunk("S2"),
    ] {
        assert!(filter.admit(now, &message, false, &people).is_some());
    }
    people.update(&shy(true));
    assert!(filter.admit(now, &chunk("S1"), false, &people).is_none(), "their own");
    assert!(filter.admit(now, &trailer("S1"), false, &people).is_none());
    assert!(filter.admit(now, &trailer("S2"), false, &people).is_none(), "an agent's, of their words");
    assert!(filter.admit(now, &chunk("S3"), false, &people).is_some(), "somebody else's");
    people.exclude("bob");
    assert!(filter.admit(now, &chunk("S3"), false, &people).is_none());
}

#[test]
fn nobody_else_sends_the_words_of_somebody_who_is_excluded() {
    let (mut filter, mut people, now) = (Filter::default(), room(), Instant::now());
    people.update(&shy(true));
    let of_agent = |stream, track| of_track(stream, "SG_1", "helper", "true", Some(track));
    assert!(filter.admit(now, &of_agent("S1", "TR_shy"), false, &people).is_none());
    assert!(filter.admit(now, &of_agent("S2", "TR_bob"), false, &people).is_some());
    assert!(filter.admit(now, &legacy("", "TR_shy", "SG_2"), false, &people).is_none());
    assert!(filter.admit(now, &legacy("helper", "TR_shy", "SG_2"), false, &people).is_none());
    assert!(filter.admit(now, &legacy("bob", "TR_bob", "SG_2"), false, &people).is_some());
    let gone = shy(true).map(|person| proto::ParticipantInfo {
        state: proto::participant_info::State::Disconnected as i32,
        tracks: Vec::new(),
        ..person
    });
    people.update(&gone);
    assert!(filter.admit(now, &of_agent("S3", "TR_shy"), false, &people).is_none(), "sent when they have left");
}

#[test]
fn whoever_is_let_in_again_is_written_down_from_there_on() {
    let (mut filter, mut people, now) = (Filter::default(), room(), Instant::now());
    let second = Duration::from_secs(1);
    assert!(filter.admit(now, &text("S0", "SG_0", "shy", "false"), false, &people).is_some());
    people.update(&shy(true));
    assert!(filter.admit(now, &text("S1", "SG_1", "shy", "false"), false, &people).is_none());
    for (_, identity) in people.update(&shy(false)).let_in {
        filter.let_in(&identity, now + second);
    }
    let late = now + 60 * second;
    assert!(filter.admit(late, &header("S2", "SG_0", "shy"), false, &people).is_none(), "begun before");
    assert!(filter.admit(late, &header("S3", "SG_1", "shy"), false, &people).is_none(), "begun when excluded");
    assert!(filter.admit(now + 2 * second, &header("S4", "SG_4", "shy"), false, &people).is_none());
    assert!(filter.admit(now + 2 * second, &header("S5", "SG_5", "bob"), false, &people).is_some());
    assert!(filter.admit(late, &header("S6", "SG_6", "shy"), false, &people).is_some());
}

#[test]
fn a_stream_without_end_and_streams_without_number_are_bounded() {
    let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
    filter.admit(now, &header("S1", "SG_1", "helper"), false, &people);
    let delta = Chunk { stream_id: "S1".to_owned(), content: vec![b'a'; 10_000], ..Default::default() };
    let delta = packet("helper", Value::StreamChunk(delta));
    let kept = (0..1_000).filter(|_| filter.admit(now, &delta, false, &people).is_some()).count();
    assert_eq!(kept, LONGEST_STREAM / delta.len());
    for number in 0..10_000 {
        let at = now + Duration::from_secs(number);
        filter.admit(at, &text(&number.to_string(), &number.to_string(), "bob", "false"), number >= 9_950, &people);
    }
    assert_eq!(filter.admitted.len(), MOST_OPEN);
    let later = now + Duration::from_secs(10_000);
    filter.resumed(later);
    let ended = |number: u64| header(&format!("{number}."), &number.to_string(), "bob");
    for number in 9_900..10_000 {
        let at = later + 2 * FINAL_DELAY;
        assert!(filter.admit(at, &ended(number), false, &people).is_none(), "line {number}");
    }
}

#[test]
fn streams_that_tell_of_more_than_one_line_are_not_kept() {
    let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
    let of = |topic: &str| {
        let header = Header {
            stream_id: topic.to_owned(),
            topic: topic.to_owned(),
            content_header: Some(ContentHeader::TextHeader(proto::data_stream::TextHeader::default())),
            ..Default::default()
        };
        packet("helper", Value::StreamHeader(header))
    };
    assert!(filter.admit(now, &of("lk.chat"), false, &people).is_some());
    assert!(filter.admit(now, &of("lk.agent.events"), false, &people).is_none());
}
