//! Tests of `people`.

use super::*;

fn person(identity: &str, tracks: &[(&str, i32)]) -> proto::ParticipantInfo {
    let track = |(sid, encryption): &(&str, i32)| proto::TrackInfo {
        sid: (*sid).to_owned(),
        r#type: proto::TrackType::Audio as i32,
        encryption: *encryption,
        ..Default::default()
    };
    proto::ParticipantInfo {
        sid: format!("PA_{identity}"),
        identity: identity.to_owned(),
        tracks: tracks.iter().map(track).collect(),
        ..Default::default()
    }
}

#[test]
fn audio_is_asked_for_once_and_of_nobody_who_is_excluded() {
    let exclusions = Exclusions {
        attributes: BTreeMap::from([("echosphere.record".to_owned(), "false".to_owned())]),
        ..Exclusions::default()
    };
    let mut people = People::new(exclusions);
    let mut shy = person("shy", &[("TR_s", 0)]);
    shy.attributes.insert("echosphere.record".to_owned(), "false".to_owned());
    let changes = people.update(&[person("a", &[("TR_a", 0)]), shy]);
    assert_eq!(changes.wanted, [("PA_a".to_owned(), "TR_a".to_owned())]);
    assert_eq!(changes.entries.len(), 1, "not even the name of somebody who is excluded is kept");
    let excluded =
        |identity: &str, was_recorded| Excluded { identity: identity.to_owned(), agent: false, was_recorded };
    assert_eq!(changes.excluded, [excluded("shy", false)]);
    assert!(people.is_excluded("PA_shy") && people.is_identity_excluded("shy"));
    assert_eq!(people.update(&[person("a", &[("TR_a", 0)])]).wanted, []);
    let changes = people.exclude("a");
    assert_eq!(changes.unwanted, [("PA_a".to_owned(), "TR_a".to_owned())]);
    assert_eq!(changes.excluded, [excluded("a", true)]);
    assert!(people.is_excluded("PA_a"));
    assert_eq!(people.exclude("a").excluded, [], "it is reported once");
}

#[test]
fn a_line_is_its_tracks_owners_also_when_they_have_left() {
    let mut people = People::default();
    let mut agent = person("helper", &[("TR_h", 0)]);
    agent.kind = proto::participant_info::Kind::Agent as i32;
    people.update(&[person("a", &[("TR_a", 0)]), agent]);
    people.exclude("a");
    let mut gone = person("a", &[]);
    gone.state = proto::participant_info::State::Disconnected as i32;
    people.update(&[gone]);
    assert!(people.is_line_excluded(Some("TR_a"), "helper") && people.is_line_excluded(None, "a"));
    assert!(!people.is_agents_line(Some("TR_a"), "helper") && people.is_agents_line(None, "helper"));
    assert!(!people.is_line_excluded(Some("TR_h"), "helper") && !people.is_line_excluded(Some("TR_?"), "helper"));
    assert_eq!(people.speaker(Some("TR_a"), "helper"), "a");
}

#[test]
fn whoever_is_let_in_again_is_reported_once_and_what_was_theirs_before_stays_out() {
    let attributes = BTreeMap::from([("record".to_owned(), "false".to_owned())]);
    let mut people = People::new(Exclusions { attributes, ..Exclusions::default() });
    let mut shy = person("a", &[("TR_a", 0)]);
    shy.attributes.insert("record".to_owned(), "false".to_owned());
    assert_eq!(people.update(&[shy.clone()]).let_in, []);
    assert_eq!(people.update(&[person("a", &[("TR_a", 0)])]).let_in, [("PA_a".to_owned(), "a".to_owned())]);
    assert_eq!(people.update(&[person("a", &[("TR_a", 0)])]).let_in, []);
    people.update(&[shy]);
    let back = proto::ParticipantInfo { sid: "PA_2".to_owned(), ..person("a", &[("TR_2", 0)]) };
    assert_eq!(people.only(&[back]).let_in, [("PA_2".to_owned(), "a".to_owned())]);
    assert!(people.is_line_excluded(Some("TR_a"), "a") && !people.is_line_excluded(Some("TR_2"), "a"));
}

#[test]
fn encryption_is_noticed_and_those_who_left_while_we_were_away_are_gone() {
    let mut people = People::new(Exclusions::default());
    people.update(&[person("a", &[]), person("b", &[])]);
    let changes = people.only(&[person("b", &[("TR_b", 1)])]);
    assert_eq!(changes.encrypted.as_deref(), Some("b"));
    assert!(changes.entries.iter().any(|entry| entry.identity == "a" && entry.gone));
    assert_eq!(people.count(), 1);
}
