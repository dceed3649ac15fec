//! Tests of `lifecycle`.

use super::*;
use proptest::prelude::*;

fn at(second: i64) -> WallTime {
    WallTime::from_millis(second * 1_000)
}

/// A step at a time that does not matter.
fn step(state: State, event: Event) -> (State, Vec<Effect>) {
    super::step(state, event, at(0))
}

fn events() -> impl Strategy<Value = Event> {
    let reason = prop_oneof![Just(Reason::NoAudio), Just(Reason::AudioMissing), Just(Reason::Encrypted)];
    prop_oneof![
        Just(Event::Heard),
        Just(Event::RoomOver),
        Just(Event::RoomEnded),
        Just(Event::UploadJoined),
        any::<bool>().prop_map(|partial| Event::Published(Content::Playable { partial })),
        (reason, any::<bool>()).prop_map(|(reason, partial)| Event::Published(Content::Silent { reason, partial })),
        Just(Event::SegmentLost),
        Just(Event::DeletionRequested),
        (0_i64..40).prop_map(|second| Event::DeletionScheduled(at(second))),
        Just(Event::DeletionCancelled),
        any::<bool>().prop_map(Event::HoldSet),
        Just(Event::TimePassed),
        Just(Event::Erased),
    ]
}

fn allowed(from: Status, to: Status) -> bool {
    use Status::{Active, Completed, Failed, Processing, Starting};
    from == to
        || matches!(
            (from, to),
            (Starting, Active | Processing | Completed | Failed)
                | (Active, Processing)
                | (Processing, Completed | Failed)
                | (Failed, Processing | Completed)
        )
}

#[test]
fn an_upload_becomes_a_replay() {
    let (state, effects) = step(State::processing(), Event::UploadJoined);
    assert_eq!((state.status, effects), (Status::Processing, vec![]));
    let (state, effects) = step(state, Event::Published(Content::Playable { partial: false }));
    assert_eq!((state.status, state.revision), (Status::Completed, 1));
    assert_eq!(effects, vec![Effect::Render { revision: 1 }]);
}

#[test]
fn audio_that_was_not_recorded_is_no_failure_but_lost_audio_is() {
    let (processing, _) = step(State::processing(), Event::UploadJoined);
    let silent = |reason| step(processing, Event::Published(Content::Silent { reason, partial: false })).0;
    assert_eq!((silent(Reason::NoAudio).status, silent(Reason::NoAudio).partial), (Status::Completed, false));
    assert_eq!((silent(Reason::AudioMissing).status, silent(Reason::AudioMissing).partial), (Status::Failed, true));
}

#[test]
fn a_cut_upload_is_replaced_by_the_whole() {
    let (state, _) = step(State::processing(), Event::UploadJoined);
    let lost = Content::Silent { reason: Reason::AudioMissing, partial: true };
    let (state, _) = step(state, Event::Published(lost));
    assert_eq!(state.status, Status::Failed);
    let (state, _) = step(state, Event::UploadJoined);
    assert_eq!(state.status, Status::Processing);
    let (state, _) = step(state, Event::Published(Content::Playable { partial: false }));
    assert_eq!((state.status, state.partial, state.reason), (Status::Completed, false, None));
}

#[test]
fn a_room_is_recorded() {
    let (active, effects) = step(State::starting(), Event::Heard);
    assert_eq!((active.status, active.revision, effects), (Status::Active, 1, vec![]));
    assert_eq!(step(active, Event::UploadJoined).0.status, Status::Active, "the room decides when it ends");
    let silent = step(State::starting(), Event::UploadJoined).0;
    assert_eq!(step(silent, Event::Heard).0.status, Status::Active, "also when nothing of it was heard yet");
    let (processing, effects) = step(active, Event::RoomEnded);
    assert_eq!((processing.status, effects), (Status::Processing, vec![Effect::Finalize]));
    let (done, _) = step(processing, Event::Published(Content::Playable { partial: false }));
    assert_eq!((done.status, done.revision), (Status::Completed, 2));
}

#[test]
fn a_room_that_is_over_is_free_before_all_of_it_is_stored() {
    let (active, _) = step(State::starting(), Event::Heard);
    assert!(State::starting().holds_room() && active.holds_room());
    let (over, effects) = step(active, Event::RoomOver);
    assert_eq!((over.status, over.holds_room(), effects), (Status::Active, false, vec![]));
    assert!(!step(over, Event::Heard).0.holds_room(), "what is heard of it late does not take it back");
    assert_eq!(step(over, Event::RoomEnded).1, vec![Effect::Finalize]);
}

#[test]
fn a_scheduled_deletion_waits_for_its_time_goes_back_and_gives_way_to_a_hold() {
    let (scheduled, effects) = super::step(State::starting(), Event::DeletionScheduled(at(60)), at(0));
    assert_eq!((scheduled.deletion, scheduled.delete_at, effects), (Deletion::Scheduled, Some(at(60)), vec![]));
    let passes = |state, second| super::step(state, Event::TimePassed, at(second));
    assert_eq!(passes(scheduled, 59), (scheduled, vec![]));
    assert_eq!(passes(scheduled, 60).1, vec![Effect::Erase]);
    assert_eq!(step(scheduled, Event::DeletionCancelled).0, State::starting());
    let (held, _) = super::step(scheduled, Event::HoldSet(true), at(0));
    assert_eq!((passes(held, 90), step(held, Event::DeletionRequested)), ((held, vec![]), (held, vec![])));
    assert_eq!(super::step(held, Event::HoldSet(false), at(90)).1, vec![Effect::Erase], "its time has come meanwhile");
}

proptest! {
    #[test]
    fn every_history_keeps_the_invariants(is_upload: bool, history in prop::collection::vec(events(), 0..40)) {
        let mut state = if is_upload { State::processing() } else { State::starting() };
        for (event, now) in history.into_iter().zip(0..) {
            let (next, effects) = super::step(state, event, at(now));
            prop_assert!(allowed(state.status, next.status), "{} -> {}", state.status, next.status);
            prop_assert!(next.revision >= state.revision);
            if state.deletion.is_requested() {
                prop_assert!(next.deletion.is_requested(), "a deletion that was requested is never taken back");
                prop_assert_eq!(next.revision, state.revision);
                prop_assert!(effects.iter().all(|e| *e == Effect::Erase));
            }
            if next.deletion == Deletion::Pending && state.deletion != Deletion::Pending {
                prop_assert!(effects.contains(&Effect::Erase), "deletion is always carried out");
                prop_assert!(!next.is_held || state.deletion == Deletion::Done, "nothing under legal hold is deleted");
            }
            prop_assert_eq!(next.delete_at.is_some(), next.deletion == Deletion::Scheduled);
            prop_assert!(next.is_over || !state.is_over, "a room that is over stays over");
            if next.status == Status::Failed {
                prop_assert!(next.partial && next.reason.is_some());
            }
            state = next;
        }
    }
}
