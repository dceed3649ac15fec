//! Tests of `lifecycle`.

use super::*;
use proptest::prelude::*;

fn events() -> impl Strategy<Value = Event> {
    let reason = prop_oneof![Just(Reason::NoAudio), Just(Reason::AudioMissing), Just(Reason::Encrypted)];
    prop_oneof![
        Just(Event::Heard),
        Just(Event::RoomEnded),
        Just(Event::UploadJoined),
        any::<bool>().prop_map(|partial| Event::Published(Content::Playable { partial })),
        (reason, any::<bool>()).prop_map(|(reason, partial)| Event::Published(Content::Silent { reason, partial })),
        Just(Event::SegmentLost),
        Just(Event::DeletionRequested),
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
    let (state, effects) = step(State::starting(), Event::UploadJoined);
    assert_eq!((state.status, effects), (Status::Processing, vec![]));
    let (state, effects) = step(state, Event::Published(Content::Playable { partial: false }));
    assert_eq!((state.status, state.revision), (Status::Completed, 1));
    assert_eq!(effects, vec![Effect::Render { revision: 1 }]);
}

#[test]
fn audio_that_was_not_recorded_is_no_failure_but_lost_audio_is() {
    let (processing, _) = step(State::starting(), Event::UploadJoined);
    let silent = |reason| step(processing, Event::Published(Content::Silent { reason, partial: false })).0;
    assert_eq!((silent(Reason::NoAudio).status, silent(Reason::NoAudio).partial), (Status::Completed, false));
    assert_eq!((silent(Reason::AudioMissing).status, silent(Reason::AudioMissing).partial), (Status::Failed, true));
}

#[test]
fn a_cut_upload_is_replaced_by_the_whole() {
    let (state, _) = step(State::starting(), Event::UploadJoined);
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
    let (processing, effects) = step(active, Event::RoomEnded);
    assert_eq!((processing.status, effects), (Status::Processing, vec![Effect::Finalize]));
    let (done, _) = step(processing, Event::Published(Content::Playable { partial: false }));
    assert_eq!((done.status, done.revision), (Status::Completed, 2));
}

proptest! {
    #[test]
    fn every_history_keeps_the_invariants(history in prop::collection::vec(events(), 0..40)) {
        let mut state = State::starting();
        for event in history {
            let (next, effects) = step(state, event);
            prop_assert!(allowed(state.status, next.status), "{} -> {}", state.status, next.status);
            prop_assert!(next.revision >= state.revision);
            if state.deletion != Deletion::None {
                prop_assert!(next.deletion != Deletion::None, "a deletion is never taken back");
                prop_assert_eq!(next.revision, state.revision);
                prop_assert!(effects.iter().all(|e| *e == Effect::Erase));
            }
            if next.deletion == Deletion::Pending && state.deletion != Deletion::Pending {
                prop_assert!(effects.contains(&Effect::Erase), "deletion is always carried out");
            }
            if next.status == Status::Failed {
                prop_assert!(next.partial && next.reason.is_some());
            }
            state = next;
        }
    }
}
