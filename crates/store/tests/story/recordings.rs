//! Recordings: from the upload to the list, and what becomes of a capture when another one takes its place.

use std::collections::BTreeSet;
use std::slice::from_ref;
use std::sync::Arc;

use echosphere_domain::id::{CaptureId, RecordingId, TaskId};
use echosphere_domain::lifecycle::{Deletion, Status};
use echosphere_domain::location::Location;
use echosphere_domain::recording::CaptureStatus;
use echosphere_domain::segment::SegmentState;
use echosphere_domain::transcript::Transcript;
use echosphere_store::{
    Erasure, Error, Filter, NewTask, Publication, Purpose, RenderedRevision, Store, StoredSegment, TaskKind,
};

use crate::work::{aac, key, other, untimed};
use crate::world::{World, at, ids, mine};

on_each! {
    a_session_comes_in_is_rendered_and_goes,
    a_transcript_is_aligned_anew_in_the_transaction_that_ends_the_task,
    a_whole_upload_takes_the_place_of_a_cut_one,
    what_was_read_of_a_capture_is_kept_until_another_takes_its_place,
    pages_do_not_overlap_even_when_times_are_equal,
    a_list_has_what_its_filter_asks_for_and_nothing_of_another_project,
    recordings_are_counted_by_status_in_all_projects,
}

async fn a_session_comes_in_is_rendered_and_goes(mut world: World) {
    let store = Arc::clone(&world.store);
    let joined = world.upload(Some("AJ_1"), 0, 8).await;
    assert_eq!(joined.recording.state.status, Status::Processing);
    let recording = world.read(&joined, (0, 8)).await;
    let id = recording.id;
    assert_eq!((recording.state.status, recording.state.revision), (Status::Completed, 1));
    assert_eq!(recording.agent_name.as_deref(), Some("nova"));

    let claim = world.task(TaskKind::Render).await;
    let segment = key("recordings/x/0.ts");
    store.announce(&mine(), Some(id), Purpose::Segment, from_ref(&segment), at(12)).await.unwrap();
    let stored = [StoredSegment { index: 1, location: Location::part(segment.clone(), 0, 99) }];
    assert!(store.segments_stored(id, &aac().id, 1, &stored, at(12)).await.unwrap());
    assert!(store.segments_stored(id, &aac().id, 1, &stored, at(12)).await.unwrap());
    let index = store.segment_index(id).await.unwrap();
    assert_eq!(index[0].state, SegmentState::Renderable);
    assert_eq!(index[1].state, SegmentState::Stored(Location::part(segment.clone(), 0, 99)));
    assert!(world.unneeded().await.is_empty(), "nothing that is needed is swept");

    let analysis = key("recordings/x/analysis");
    store.announce(&mine(), Some(id), Purpose::Analysis, from_ref(&analysis), at(13)).await.unwrap();
    let rendered = RenderedRevision {
        recording: id,
        revision: 1,
        analysis: analysis.clone(),
        transcripts: Vec::new(),
        now: at(13),
    };
    assert_eq!(store.analysis(id).await.unwrap(), None);
    store.finish_render(&rendered, &claim.lease).await.unwrap();
    assert!(matches!(store.finish_render(&rendered, &claim.lease).await, Err(Error::LeaseLost(_))));
    assert_eq!(store.analysis(id).await.unwrap(), Some(analysis.clone()));

    assert_eq!(store.request_deletion(&other(), id, at(14)).await.unwrap(), None);
    let deleted = store.request_deletion(&mine(), id, at(14)).await.unwrap().unwrap();
    assert_eq!(deleted.state.deletion, Deletion::Pending);
    let what = Erasure::Recording(id);
    let objects = store.belongings(what).await.unwrap().objects;
    assert!([&segment, &analysis, &joined.body].iter().all(|key| objects.contains(key)), "{objects:?}");
    let claim = world.task(TaskKind::Erase).await;
    store.erase_rows(what).await.unwrap();
    store.scrub().await.unwrap();
    store.finish_erase(what, &claim.lease, at(15)).await.unwrap();
    let (gone, captures) = world.row(id).await;
    assert_eq!((gone.state.deletion, gone.room_name, captures.len()), (Deletion::Done, None, 0));
    assert_eq!(store.request_deletion(&mine(), id, at(16)).await.unwrap(), None, "it is done");
    assert!(store.list(&mine(), &Filter::default(), None, 10).await.unwrap().items.is_empty());
    let open = store.task_counts().await.unwrap().into_iter().filter(|counts| counts.open > 0);
    assert_eq!(open.map(|counts| counts.kind).collect::<Vec<_>>(), [TaskKind::Divide], "what is left finds nothing");
}

async fn aligned_before(store: &dyn Store, version: u32, after: Option<RecordingId>) -> Vec<RecordingId> {
    store.aligned_before(version, after, 10).await.unwrap().into_iter().map(|recording| recording.id).collect()
}

async fn a_transcript_is_aligned_anew_in_the_transaction_that_ends_the_task(mut world: World) {
    let store = Arc::clone(&world.store);
    let joined = world.uploaded(Some("AJ_1"), 0, 8).await;
    let id = joined.recording.id;
    assert!(aligned_before(&*store, 1, None).await.is_empty(), "it is not rendered yet");
    let rendered = world.rendered(id).await;
    // Its transcript was aligned by no version; then by one.
    assert_eq!(aligned_before(&*store, 1, None).await, [id]);
    assert!(aligned_before(&*store, 0, None).await.is_empty());
    assert!(aligned_before(&*store, 1, Some(id)).await.is_empty());
    let payload = format!("{}/{id}/1", mine());
    let task = NewTask { id: TaskId::new(world.uuid()), kind: TaskKind::Align, payload, run_at: at(14) };
    store.enqueue(&task).await.unwrap();
    let mut aligned = Transcript::default();
    aligned.alignment.version = 1;
    let transcripts = vec![(joined.capture.id, aligned)];
    let claim = world.task(TaskKind::Align).await;
    store.finish_render(&RenderedRevision { transcripts, now: at(14), ..rendered }, &claim.lease).await.unwrap();
    assert!(aligned_before(&*store, 1, None).await.is_empty());
    assert_eq!(aligned_before(&*store, 2, None).await, [id]);
}

async fn a_whole_upload_takes_the_place_of_a_cut_one(mut world: World) {
    let cut = world.uploaded(Some("AJ_1"), 0, 4).await;
    let whole = world.upload(Some("AJ_1"), 0, 8).await;
    let claim = world.task(TaskKind::Ingest).await;
    let mut wanted = world.publication(&whole.capture, &whole.body, (0, 8)).await;
    wanted.supersedes = vec![cut.capture.id];
    // What was decided without the other capture, or when it was not read yet, is decided anew.
    for beside in [vec![], vec![(cut.capture.id, CaptureStatus::Processing)]] {
        let stale = Publication { beside, ..wanted.clone() };
        assert!(matches!(world.store.publish(&stale, &claim.lease).await, Err(Error::Conflict(_))));
    }
    assert_eq!(wanted.beside, [(cut.capture.id, CaptureStatus::Complete)]);
    let stale = Publication { based_on: 0, ..wanted.clone() };
    assert!(matches!(world.store.publish(&stale, &claim.lease).await, Err(Error::Conflict(_))));
    let recording = world.store.publish(&wanted, &claim.lease).await.unwrap();
    assert_eq!(recording.state.revision, 2);
    let (_, captures) = world.row(recording.id).await;
    assert_eq!(
        captures.iter().map(|capture| capture.status).collect::<Vec<_>>(),
        [CaptureStatus::Superseded, CaptureStatus::Complete]
    );
    assert_eq!(world.condemned().await, from_ref(&cut.body));
    let swept = world.store.swept(&[cut.body.clone(), whole.body.clone()]).await.unwrap();
    assert_eq!(swept, [cut.body], "what is live stays");
}

async fn what_was_read_of_a_capture_is_kept_until_another_takes_its_place(mut world: World) {
    let store = Arc::clone(&world.store);
    let cut = world.upload(Some("AJ_1"), 0, 4).await;
    assert_eq!(store.audio_index(cut.capture.id).await.unwrap(), None, "it was not read yet");
    world.read(&cut, (0, 4)).await;
    let again = world.uploaded(Some("AJ_1"), 0, 6).await;
    let transcripts = store.transcripts(cut.recording.id).await.unwrap();
    let of: Vec<_> = transcripts.into_iter().map(|(capture, _)| capture).collect();
    assert_eq!(of, [cut.capture.id, again.capture.id], "in the order of their attempts");
    assert_eq!(store.audio_index(cut.capture.id).await.unwrap(), Some(vec![1, 2, 3]));
    assert_eq!(store.audio_index(CaptureId::new(world.uuid())).await.unwrap(), None);

    let whole = world.upload(Some("AJ_1"), 0, 8).await;
    let mut wanted = world.publication(&whole.capture, &whole.body, (0, 8)).await;
    wanted.supersedes = vec![cut.capture.id, again.capture.id];
    world.publish(TaskKind::Ingest, &wanted).await;
    let transcripts = store.transcripts(cut.recording.id).await.unwrap();
    assert_eq!(transcripts, [(whole.capture.id, Transcript::default())]);
    assert_eq!(store.audio_index(cut.capture.id).await.unwrap(), None);
}

async fn pages_do_not_overlap_even_when_times_are_equal(mut world: World) {
    for number in 0..7 {
        let room = format!("RM_{number}");
        world.joined(&ids(None, Some(&room)), untimed(at(1))).await.unwrap();
    }
    let (mut seen, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = world.store.list(&mine(), &Filter::default(), cursor, 3).await.unwrap();
        for (recording, _) in page.items {
            assert!(seen.insert(recording.id));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 7);
    let none = Filter { status: Some(Status::Failed), ..Filter::default() };
    assert!(world.store.list(&mine(), &none, None, 10).await.unwrap().items.is_empty());
}

async fn listed(world: &World, filter: &Filter) -> Vec<RecordingId> {
    let page = world.store.list(&world.project, filter, None, 10).await.unwrap();
    page.items.iter().map(|(recording, _)| recording.id).collect()
}

async fn a_list_has_what_its_filter_asks_for_and_nothing_of_another_project(mut world: World) {
    let early = world.uploaded(Some("AJ_1"), 100, 108).await.recording.id;
    let late = world.upload(Some("AJ_2"), 200, 208).await.recording.id;
    let named = |name: &str| Filter { room_name: Some(name.to_owned()), ..Filter::default() };
    assert_eq!(listed(&world, &Filter::default()).await, [late, early], "newest first");
    assert_eq!(listed(&world, &named("NAMES-AND-WORDS of the room")).await, [late, early]);
    assert!(listed(&world, &named("NAMES-AND-WORDS")).await.is_empty(), "the whole name");
    let completed = Filter { status: Some(Status::Completed), ..Filter::default() };
    assert_eq!(listed(&world, &completed).await, [early]);
    assert_eq!(world.of_session("AJ_2").await, [late]);

    world.project = other();
    assert!(listed(&world, &Filter::default()).await.is_empty());
    assert!(world.of_session("AJ_2").await.is_empty());
    let theirs = world.upload(Some("AJ_2"), 200, 208).await.recording.id;
    assert_eq!(world.of_session("AJ_2").await, [theirs]);
    assert_eq!(world.store.recording(&mine(), theirs).await.unwrap(), None);
}

async fn counted(world: &World, status: Status) -> Option<u64> {
    let counts = world.store.count_by_status().await.unwrap();
    counts.into_iter().find(|(known, _)| *known == status).map(|(_, count)| count)
}

async fn recordings_are_counted_by_status_in_all_projects(mut world: World) {
    let read = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    world.upload(Some("AJ_2"), 0, 8).await;
    world.project = other();
    world.upload(Some("AJ_3"), 0, 8).await;
    assert_eq!(counted(&world, Status::Completed).await, Some(1));
    assert_eq!(counted(&world, Status::Processing).await, Some(2));
    assert_eq!(counted(&world, Status::Failed).await, None);
    world.project = mine();
    world.deleted(read).await;
    assert_eq!(counted(&world, Status::Completed).await, None, "deleted ones are left out");
}
