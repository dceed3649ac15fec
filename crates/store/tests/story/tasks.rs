//! The queue of background work.

use std::sync::Arc;

use echosphere_domain::id::{NodeId, TaskId};
use echosphere_domain::time::WallTime;
use echosphere_store::{Claim, Error, Failure, Lease, NewTask, Store, TaskKind};

use crate::world::{MINUTE, World, at, ids, node, spanning};

on_each! {
    a_stale_worker_is_refused,
    the_most_urgent_task_is_claimed_first_and_then_the_oldest,
    an_open_task_is_queued_once,
    a_task_that_is_done_is_gone,
    a_worker_that_says_so_keeps_its_task,
    a_node_that_starts_frees_its_own_tasks_and_no_other_s,
}

async fn claimed(store: &dyn Store, kind: TaskKind, now: WallTime) -> Option<Claim> {
    store.claim(&[kind], node(), now, now.plus_nanos(MINUTE)).await.unwrap()
}

async fn leased(store: &dyn Store, kind: TaskKind, now: WallTime) -> Lease {
    claimed(store, kind, now).await.expect("a task is due").lease
}

async fn queued(world: &mut World, kind: TaskKind, payload: &str, run_at: WallTime) {
    let task = NewTask { id: TaskId::new(world.uuid()), kind, payload: payload.to_owned(), run_at };
    world.store.enqueue(&task).await.unwrap();
}

fn is_lost(result: &Result<(), Error>, lease: Lease) -> bool {
    matches!(result, Err(Error::LeaseLost(task)) if *task == lease.task)
}

async fn a_stale_worker_is_refused(mut world: World) {
    let store = Arc::clone(&world.store);
    let joined = world.joined(&ids(Some("AJ_1"), None), spanning(0, 0)).await.unwrap();
    let old = leased(&*store, TaskKind::Ingest, at(1)).await;
    assert!(store.claim(&[TaskKind::Ingest], node(), at(2), at(60)).await.unwrap().is_none(), "it is taken");
    let new = leased(&*store, TaskKind::Ingest, at(100)).await;
    assert_eq!((old.task, old.generation + 1), (new.task, new.generation));
    let publication = world.publication(&joined.capture, &joined.body, (0, 8)).await;
    assert!(matches!(store.publish(&publication, &old).await, Err(Error::LeaseLost(_))));
    assert!(is_lost(&store.heartbeat(&old, at(200)).await, old));
    store.fail(&new, &Failure { reason: "x".to_owned(), retry_at: Some(at(300)) }).await.unwrap();
    assert!(store.claim(&[TaskKind::Ingest], node(), at(299), at(400)).await.unwrap().is_none());
    let third = leased(&*store, TaskKind::Ingest, at(300)).await;
    store.fail(&third, &Failure { reason: "y".to_owned(), retry_at: None }).await.unwrap();
    let counts = store.task_counts().await.unwrap();
    assert_eq!(counts.iter().map(|c| (c.open, c.dead)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)), (0, 1));
    assert!(is_lost(&store.fail(&third, &Failure { reason: "z".to_owned(), retry_at: None }).await, third));
}

async fn the_most_urgent_task_is_claimed_first_and_then_the_oldest(mut world: World) {
    for (kind, payload, second) in [
        (TaskKind::Align, "oldest", 1),
        (TaskKind::Render, "render", 2),
        (TaskKind::Ingest, "newer", 4),
        (TaskKind::Ingest, "older", 3),
        (TaskKind::Finalize, "not due yet", 6),
    ] {
        queued(&mut world, kind, payload, at(second)).await;
    }
    let mut order = Vec::new();
    while let Some(claim) = world.store.claim(&TaskKind::ALL, node(), at(5), at(60)).await.unwrap() {
        order.push((claim.payload, claim.attempts));
    }
    assert_eq!(order, ["older", "newer", "render", "oldest"].map(|payload| (payload.to_owned(), 1)));
    let kinds = [TaskKind::Render, TaskKind::Align];
    assert!(world.store.claim(&kinds, node(), at(6), at(60)).await.unwrap().is_none(), "of another kind");
    assert_eq!(claimed(&*world.store, TaskKind::Finalize, at(6)).await.unwrap().payload, "not due yet");
}

async fn an_open_task_is_queued_once(mut world: World) {
    for kind in [TaskKind::Render, TaskKind::Render, TaskKind::Align] {
        queued(&mut world, kind, "default/1", at(1)).await;
    }
    assert_eq!((world.open_tasks(TaskKind::Render).await, world.open_tasks(TaskKind::Align).await), (1, 1));
    let lease = leased(&*world.store, TaskKind::Render, at(1)).await;
    queued(&mut world, TaskKind::Render, "default/1", at(2)).await;
    assert_eq!(world.open_tasks(TaskKind::Render).await, 1, "it is being worked on");
    world.store.complete(&lease).await.unwrap();
    queued(&mut world, TaskKind::Render, "default/1", at(3)).await;
    assert_eq!(world.open_tasks(TaskKind::Render).await, 1);
}

async fn a_task_that_is_done_is_gone(mut world: World) {
    let store = Arc::clone(&world.store);
    queued(&mut world, TaskKind::Render, "default/1", at(1)).await;
    let lease = leased(&*store, TaskKind::Render, at(1)).await;
    assert_eq!(world.open_tasks(TaskKind::Render).await, 1);
    let earlier = Lease { generation: lease.generation - 1, ..lease };
    assert!(is_lost(&store.complete(&earlier).await, lease));
    store.complete(&lease).await.unwrap();
    assert_eq!(world.open_tasks(TaskKind::Render).await, 0);
    assert!(is_lost(&store.complete(&lease).await, lease));
    assert!(claimed(&*store, TaskKind::Render, at(999)).await.is_none());
}

async fn a_worker_that_says_so_keeps_its_task(mut world: World) {
    let store = Arc::clone(&world.store);
    queued(&mut world, TaskKind::Render, "default/1", at(1)).await;
    let lease = leased(&*store, TaskKind::Render, at(1)).await;
    store.heartbeat(&lease, at(200)).await.unwrap();
    assert!(claimed(&*store, TaskKind::Render, at(199)).await.is_none());
    let next = claimed(&*store, TaskKind::Render, at(200)).await.unwrap();
    assert_eq!((next.lease.task, next.attempts), (lease.task, 2));
}

async fn a_node_that_starts_frees_its_own_tasks_and_no_other_s(mut world: World) {
    let store = Arc::clone(&world.store);
    let other = NodeId::new(world.uuid());
    let mut old = Vec::new();
    for (payload, second) in [("default/1", 1), ("default/2", 2)] {
        queued(&mut world, TaskKind::Render, payload, at(second)).await;
        old.push(leased(&*store, TaskKind::Render, at(second)).await);
    }
    queued(&mut world, TaskKind::Render, "default/3", at(2)).await;
    let theirs = store.claim(&[TaskKind::Render], other, at(2), at(62)).await.unwrap().unwrap().lease;
    assert!(claimed(&*store, TaskKind::Render, at(3)).await.is_none());
    store.release_tasks(node()).await.unwrap();
    for old in old {
        let new = leased(&*store, TaskKind::Render, at(3)).await;
        assert_eq!((new.task, new.generation), (old.task, old.generation + 1));
        assert!(is_lost(&store.complete(&old).await, old));
    }
    assert!(claimed(&*store, TaskKind::Render, at(3)).await.is_none(), "another node works on the third");
    store.complete(&theirs).await.unwrap();
}
