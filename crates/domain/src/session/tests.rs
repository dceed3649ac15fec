//! Tests of `session`.

use super::*;
use crate::time::MediaTime;
use crate::timeline::Span;
use crate::transcript::{Alignment, Role, Times};
use proptest::prelude::*;
use uuid::Uuid;

fn at(second: i64) -> WallTime {
    WallTime::from_millis(second * 1000)
}

fn id(n: u128) -> RecordingId {
    RecordingId::new(Uuid::from_u128(n))
}

fn room(n: u128, from: i64, to: Option<i64>) -> Room {
    Room { id: id(n), from: at(from), to: to.map(at), has_sound: true, is_deleted: false }
}

fn session(from: i64, to: i64, received: i64) -> Session {
    Session { started_at: Some(at(from)), ended_at: Some(at(to)), received_at: at(received) }
}

#[test]
fn a_session_belongs_to_the_recording_that_it_shares_most_with() {
    let rooms = [room(1, 100, Some(400)), room(2, 700, Some(1_300))];
    assert_eq!(belongs_to(&session(100, 1_300, 1_301), &rooms), Some(id(2)));
    assert_eq!(belongs_to(&session(90, 800, 801), &rooms), Some(id(1)));
    assert_eq!(belongs_to(&session(410, 690, 691), &rooms), None, "the room was not recorded then");
    assert_eq!(belongs_to(&session(0, 50, 51), &rooms), None);
    assert_eq!(belongs_to(&session(1_000, 2_000, 2_001), &[room(3, 900, None)]), Some(id(3)));
    assert_eq!(belongs_to(&session(100, 900, 901), &[]), None);
}

#[test]
fn a_clock_that_is_off_finds_its_room_and_a_late_upload_does_not_take_another_one() {
    let rooms = [room(1, 100, Some(400)), room(2, 700, None)];
    assert_eq!(belongs_to(&session(4_320, 4_400, 790), &rooms), Some(id(2)), "an hour ahead");
    assert_eq!(belongs_to(&session(-2_900, -2_810, 790), &rooms), Some(id(2)), "an hour behind");
    assert_eq!(belongs_to(&session(500, 600, 600), &rooms), None, "soon uploaded: its clock is right");
    // It was uploaded more than a minute after its end; most of it cannot have been in the second recording.
    assert_eq!(belongs_to(&session(420, 690, 760), &rooms), None);
    let nobody_knows = Session { started_at: None, ended_at: None, received_at: at(10) };
    assert_eq!(belongs_to(&nobody_knows, &rooms), Some(id(2)));
    assert_eq!(belongs_to(&nobody_knows, &rooms[..1]), Some(id(1)));
}

#[test]
fn a_recorder_that_kept_nothing_has_the_session_instead() {
    let empty = Room { has_sound: false, ..room(1, 100, Some(130)) };
    assert_eq!(belongs_to(&session(200, 900, 901), std::slice::from_ref(&empty)), Some(id(1)));
    assert_eq!(belongs_to(&session(200, 900, 901), &[empty, room(2, 500, None)]), Some(id(2)));
}

#[test]
fn a_deleted_recording_has_what_comes_for_it_and_no_more() {
    let deleted = Room { is_deleted: true, ..room(1, 100, Some(400)) };
    let rooms = [deleted, room(2, 700, Some(1_300))];
    assert_eq!(belongs_to(&session(100, 1_300, 1_301), &rooms), Some(id(1)), "it would bring back what was deleted");
    assert_eq!(belongs_to(&session(399, 1_300, 1_301), &rooms), Some(id(2)));
    assert_eq!(belongs_to(&session(450, 600, 601), &rooms), None);
    // Deleted before any later end of it was stored.
    let at_once = Room { is_deleted: true, ..room(3, 500, Some(500)) };
    assert_eq!(belongs_to(&session(450, 900, 901), &[at_once]), Some(id(3)));
}

fn line(from: i64, to: i64) -> Turn {
    Turn {
        reported: Times { start: Some(at(from)), end: Some(at(to)), ..Times::default() },
        ..Turn::new("", Kind::Message, Role::User, format!("{from}"))
    }
}

fn transcript(lines: &[(i64, i64)]) -> Transcript {
    Transcript { turns: lines.iter().map(|&(from, to)| line(from, to)).collect(), ..Transcript::default() }
}

#[test]
fn what_sticks_out_is_not_within() {
    let room = at(100)..at(400);
    let inside = transcript(&[(97, 99), (110, 120)]);
    assert!(is_within(&room, Some(&(at(96)..at(404))), &inside));
    assert!(!is_within(&room, Some(&(at(94)..at(404))), &inside));
    assert!(!is_within(&room, Some(&(at(100)..at(406))), &inside));
    assert!(!is_within(&room, None, &transcript(&[(110, 120), (406, 409)])));
    let mut config = transcript(&[(3, 3)]);
    config.turns[0].kind = Kind::Config;
    assert!(is_within(&room, None, &config), "an agent has its instructions before its room");
    // The sound says that its clock is an hour ahead.
    let mut ahead = transcript(&[(3_710, 3_720)]);
    assert!(!is_within(&room, Some(&(at(3_700)..at(4_000))), &ahead));
    ahead.alignment = Alignment::off_by(-3_600_000);
    assert!(is_within(&room, Some(&(at(3_700)..at(4_000))), &ahead));
}

#[test]
fn lines_outside_are_not_put_at_the_edge() {
    let timeline = Timeline::new([Span {
        wall_start: at(100),
        media_start: MediaTime::ZERO,
        duration: MediaTime::from_millis(300_000),
    }]);
    let all = transcript(&[(10, 20), (96, 97), (150, 160), (402, 403), (500, 510)]);
    let left =
        |goes_on| within(all.clone(), &timeline, goes_on).turns.into_iter().map(|turn| turn.text).collect::<Vec<_>>();
    assert_eq!(left(false), ["96", "150", "402"]);
    assert_eq!(left(true), ["96", "150", "402", "500"], "what is to come is not outside");
    let mut config = transcript(&[(3, 3)]);
    config.turns[0].kind = Kind::Config;
    assert_eq!(within(config.clone(), &timeline, false), config, "it is held nowhere else");
    assert_eq!(within(all.clone(), &Timeline::default(), false), all, "without media there is no outside");
}

proptest! {
    #[test]
    fn any_times_have_an_answer_that_is_one_of_the_rooms(
        spans in prop::collection::vec((any::<i64>(), prop::option::of(any::<i64>()), any::<bool>(), any::<bool>()), 0..5),
        times in (prop::option::of(any::<i64>()), prop::option::of(any::<i64>()), any::<i64>()),
    ) {
        let rooms: Vec<Room> = spans.iter().enumerate().map(|(n, &(from, to, has_sound, is_deleted))| Room {
            id: id(n as u128), from: WallTime::from_nanos(from), to: to.map(WallTime::from_nanos), has_sound, is_deleted,
        }).collect();
        let nanos = WallTime::from_nanos;
        let session = Session { started_at: times.0.map(nanos), ended_at: times.1.map(nanos), received_at: nanos(times.2) };
        if let Some(chosen) = belongs_to(&session, &rooms) {
            prop_assert!(rooms.iter().any(|room| room.id == chosen));
        }
    }
}
