use std::sync::atomic::Ordering;

use super::*;
use crate::sqlite::{SqliteStore, open};

/// A database in a file of its own.
async fn database() -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(&folder.path().join("rows.db")).await.unwrap(), folder)
}

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("note what is done", error)
}

/// Notes that something is done; a number that is odd is refused after that.
async fn note(writer: Writer, number: i64) -> Result<i64> {
    let noted = writer.write("note what is done", move |connection| {
        Box::pin(async move {
            let done = sqlx::query("INSERT INTO upkeep (name, done_at) VALUES (?, ?)").bind(number.to_string());
            done.bind(number).execute(connection).await.map_err(failed)?;
            assert!(number % 10 != 5, "as wanted");
            if number % 2 == 1 { Err(Error::NotFound(format!("an even {number}"))) } else { Ok(number) }
        })
    });
    noted.await
}

/// Ends the transaction, so that it cannot be committed.
async fn break_it(writer: Writer) -> Result<()> {
    let broken = writer.write("end the transaction", |connection| {
        Box::pin(async move { sqlx::query("ROLLBACK").execute(connection).await.map(|_| ()).map_err(failed) })
    });
    broken.await
}

async fn noted(store: &SqliteStore) -> Vec<i64> {
    let all = sqlx::query_scalar("SELECT done_at FROM upkeep ORDER BY done_at");
    all.fetch_all(&store.readers).await.unwrap()
}

#[tokio::test]
async fn calls_that_wait_share_a_commit_and_one_that_fails_takes_no_other_along() {
    let (store, _folder) = database().await;
    let commits = || store.writer.0.commits.load(Ordering::Relaxed);
    let before = commits();
    let busy = store.writer.alone().await;
    // 5, 15, ... panic.
    let calls: Vec<_> = (0..40).map(|number| tokio::spawn(note(store.writer.clone(), number))).collect();
    while store.writer.0.waiting().len() < 40 {
        tokio::task::yield_now().await;
    }
    drop(busy);
    for (number, call) in (0..).zip(calls) {
        let outcome = call.await.unwrap();
        match number % 10 {
            5 => assert!(matches!(outcome, Err(Error::Interrupted { .. })), "{number}: {outcome:?}"),
            1 | 3 | 7 | 9 => assert!(matches!(outcome, Err(Error::NotFound(_))), "{number}: {outcome:?}"),
            _ => assert_eq!(outcome.unwrap(), number),
        }
    }
    assert_eq!(noted(&store).await, (0..40).step_by(2).collect::<Vec<i64>>());
    // More than one only where the machine needs longer than a transaction takes calls in.
    assert!(commits() - before < 20, "{}", commits() - before);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_each_call_in_it_and_nothing_of_them_is_kept() {
    let (store, _folder) = database().await;
    let busy = store.writer.alone().await;
    let (writer, other) = (store.writer.clone(), store.writer.clone());
    let first = tokio::spawn(note(writer, 2));
    while store.writer.0.waiting().is_empty() {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn(async move { (break_it(other.clone()).await, note(other, 4).await) });
    while store.writer.0.waiting().len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(busy);
    first.await.unwrap().unwrap_err();
    let (broken, next) = second.await.unwrap();
    broken.unwrap_err();
    // Whoever comes after that is not concerned.
    assert_eq!((next.unwrap(), noted(&store).await), (4, vec![4]));
}
