//! What LiveKit's own server and egress worker really said to each other.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fmt::Debug;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use echosphere_livekit::psrpc::claim::{Claims, Decision, Offer, Selection};
use echosphere_livekit::psrpc::message::{Message, Request};
use echosphere_livekit::psrpc::{channel, egress};
use livekit_protocol as proto;
use prost::Message as _;

const CONVERSATION: &str = include_str!("../../../testdata/psrpc/conversation.txt");
const UNANSWERED: &str = include_str!("../../../testdata/psrpc/start-egress.txt");

/// What was published: the channel, and the bytes. A message's first line is `[seconds] CHANNEL  TYPE`, or `[seconds] channel CHANNEL  LENGTH`.
fn published(text: &'static str) -> Vec<(&'static str, Vec<u8>)> {
    let mut channel = "";
    let mut all = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            channel = line.split_whitespace().find(|word| word.contains('|')).unwrap();
        } else if let Some(bytes) = line.trim_start().strip_prefix("base64 ") {
            all.push((channel, STANDARD.decode(bytes).unwrap()));
        }
    }
    all
}

fn on(channel: &str) -> Vec<Message> {
    let all = published(CONVERSATION).into_iter().filter(|(of, _)| *of == channel);
    all.map(|(_, bytes)| Message::decode(&bytes).unwrap()).collect()
}

fn requests(channel: &str) -> Vec<Request> {
    let request = |message| match message {
        Message::Request(request) => request,
        other => panic!("{other:?}"),
    };
    on(channel).into_iter().map(request).collect()
}

/// Nothing of it is unknown: it becomes as many bytes again. Not the same ones, as Go writes a message's alternatives last.
fn known<T: prost::Message + Default + PartialEq + Debug>(bytes: &[u8]) -> T {
    let read = T::decode(bytes).unwrap();
    let again = read.encode_to_vec();
    assert_eq!(again.len(), bytes.len(), "{read:?}");
    assert_eq!(T::decode(&*again).unwrap(), read);
    read
}

#[test]
fn every_message_becomes_the_same_bytes_again() {
    let all = [published(CONVERSATION), published(UNANSWERED)].concat();
    assert_eq!(all.len(), 24 + 4);
    for (channel, bytes) in all {
        assert_eq!(Message::decode(&bytes).unwrap().encode(), bytes, "{channel}");
    }
}

#[test]
fn every_message_is_in_the_channel_of_its_kind() {
    let client_of = |request: &str| {
        let asked = published(CONVERSATION).into_iter().find_map(|(_, bytes)| match Message::decode(&bytes).unwrap() {
            Message::Request(it) if it.request_id == request => Some(it.client_id),
            _ => None,
        });
        asked.unwrap()
    };
    let methods = [egress::START, egress::STOP, egress::CREATE, egress::UPDATE];
    for (name, bytes) in published(CONVERSATION) {
        let parts: Vec<_> = name.split('|').collect();
        let method = methods.iter().find(|method| parts[0] == method.service && parts[1] == method.name);
        let topic = if parts.len() == 4 { parts[2] } else { "" };
        let expected = match Message::decode(&bytes).unwrap() {
            Message::Request(_) => method.unwrap().requests(topic),
            Message::ClaimResponse(_) => method.unwrap().choices(topic),
            Message::ClaimRequest(it) => channel::claims(parts[0], &client_of(&it.request_id)),
            Message::Response(it) => channel::responses(parts[0], &client_of(&it.request_id)),
        };
        assert_eq!(name, expected);
    }
}

#[test]
fn the_requests_and_reports_of_an_egress_are_known_whole() {
    for request in requests(&egress::START.requests("")) {
        known::<egress::StartEgressRequest>(&request.raw_request);
    }
    let mut statuses = Vec::new();
    for method in [egress::CREATE, egress::UPDATE] {
        for request in requests(&method.requests("")) {
            statuses.push(known::<proto::EgressInfo>(&request.raw_request).status().as_str_name());
        }
    }
    assert_eq!(statuses, ["EGRESS_STARTING", "EGRESS_ACTIVE", "EGRESS_ENDING", "EGRESS_COMPLETE"]);
    let stop = &requests(&egress::STOP.requests("EG_YQwu3QfS6oeN"))[0];
    assert_eq!(known::<proto::StopEgressRequest>(&stop.raw_request).egress_id, "EG_YQwu3QfS6oeN");
}

#[test]
fn a_worker_begins_as_livekits_own_does() {
    let start = requests(&egress::START.requests("")).remove(0);
    let asked = egress::StartEgressRequest::decode(&*start.raw_request).unwrap();
    assert_eq!((asked.room(), asked.token.as_str(), asked.ws_url.as_str()), ("support-call-dispatched", "", ""));
    let created = requests(&egress::CREATE.requests("")).remove(0);
    let theirs = proto::EgressInfo::decode(&*created.raw_request).unwrap();
    assert_eq!(asked.begun(theirs.started_at), theirs);
}

#[test]
fn the_claims_were_decided_as_they_would_be_here() {
    let start = requests(&egress::START.requests("")).remove(0);
    let Message::ClaimRequest(claim) = on(&channel::claims("EgressInternal", &start.client_id)).remove(0) else {
        panic!("no claim")
    };
    let Message::ClaimResponse(choice) = on(&egress::START.choices("")).remove(0) else { panic!("no choice") };
    let mut claims = Claims::new(Selection::START_EGRESS);
    assert_eq!(claims.take(claim.clone(), std::time::Duration::from_millis(4)), None);
    assert_eq!(claims.choose().unwrap(), choice.server_id);
    let (offer, ours) = Offer::make(&start, &claim.server_id, 0.5, start.sent_at).unwrap();
    assert_eq!((ours, offer.decide(&choice)), (claim, Some(Decision::Won)));
}

#[test]
fn each_attempt_to_start_is_the_same_egress_under_another_request() {
    let attempts = published(UNANSWERED).into_iter().map(|(_, bytes)| match Message::decode(&bytes).unwrap() {
        Message::Request(request) => request,
        other => panic!("{other:?}"),
    });
    let attempts: Vec<_> = attempts.collect();
    let egress = |request: &Request| egress::StartEgressRequest::decode(&*request.raw_request).unwrap().egress_id;
    assert!(attempts.iter().all(|request| egress(request) == "EG_UouiyUbBKzjJ"));
    let patience: Vec<_> = attempts.iter().map(|it| (it.expiry - it.sent_at) / 1_000_000_000).collect();
    assert_eq!(patience, [10, 20, 40, 10]);
}
