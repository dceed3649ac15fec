//! Tests of `local`.

use super::*;

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn store() -> (tempfile::TempDir, LocalStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), "bucket").unwrap();
    (dir, store)
}

#[tokio::test]
async fn what_is_put_can_be_read_replaced_and_deleted() {
    let (dir, store) = store();
    let k = key("recordings/a/b/1/x.ts");
    assert_eq!(store.head(&k).await.unwrap(), None);
    store.put(&k, Bytes::from_static(b"one")).await.unwrap();
    let first = store.head(&k).await.unwrap().unwrap();
    store.put(&k, Bytes::from_static(b"twice")).await.unwrap();
    assert_ne!(first.etag, store.head(&k).await.unwrap().unwrap().etag);
    assert_eq!(store.get_range(&k, 1..100).await.unwrap(), "wice");
    assert_eq!(store.get_range(&k, 9..10).await.unwrap(), "");
    store.delete(&k).await.unwrap();
    store.delete(&k).await.unwrap();
    assert!(matches!(store.get_range(&k, 0..1).await, Err(Error::NotFound(_))));
    assert!(!dir.path().join("bucket/recordings").exists(), "empty folders go with their last object");
}

#[tokio::test]
async fn a_folder_is_listed_whole_and_nothing_else() {
    let (dir, store) = store();
    for text in ["a/b/1/x.ts", "a/b/1/log/y.esc", "a/bc/1/x.ts", "a/b.ts"] {
        store.put(&key(text), Bytes::from_static(b"x")).await.unwrap();
    }
    std::os::unix::fs::symlink(dir.path().join("bucket/a/bc"), dir.path().join("bucket/a/b/link")).unwrap();
    let mut listed = store.list(&key("a/b")).await.unwrap();
    listed.sort();
    assert_eq!(listed, [key("a/b/1/log/y.esc"), key("a/b/1/x.ts")]);
    assert!(store.list(&key("nothing")).await.unwrap().is_empty());
    assert!(store.list(&key("a/b.ts")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_is_stored_again_and_again_and_stays() {
    let (dir, store) = store();
    let file = dir.path().join("spooled");
    fs::write(&file, "body").unwrap();
    for _ in 0..2 {
        store.put_file(&key("a/b"), &file).await.unwrap();
    }
    assert!(file.exists());
    fs::remove_file(&file).unwrap();
    assert_eq!(store.get_range(&key("a/b"), 0..10).await.unwrap(), "body");
    assert_eq!(fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_half_written_is_never_seen() {
    let (dir, store) = store();
    fs::write(dir.path().join(".tmp/7"), "half").unwrap();
    store.put(&key("a"), Bytes::from_static(b"x")).await.unwrap();
    drop(store);
    let store = LocalStore::open(dir.path(), "bucket").unwrap();
    assert_eq!(fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0);
    assert!(store.head(&key("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_folder_is_no_object_and_an_object_no_folder() {
    let (_dir, store) = store();
    store.put(&key("a/b"), Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.head(&key("a")).await.unwrap(), None);
    assert!(matches!(store.get_range(&key("a"), 0..1).await, Err(Error::NotFound(_))));
    assert!(store.put(&key("a/b/c"), Bytes::new()).await.is_err());
    assert_eq!(store.get_range(&key("a/b"), 0..1).await.unwrap(), "x");
}

#[tokio::test]
async fn a_marker_is_no_object_and_one_that_was_is_carried_over() {
    let (dir, store) = store();
    assert_eq!(store.marker().await.unwrap(), None);
    store.mark("first").await.unwrap();
    assert_eq!(store.marker().await.unwrap().as_deref(), Some("first"));
    let bucket = dir.path().join("bucket");
    assert!(bucket.join(MARKER).join("first").is_dir());
    // As an earlier version left it, and as a crash while it is carried over leaves it.
    for name in [MARKER.to_owned(), format!("{MARKER}.old")] {
        fs::remove_dir_all(bucket.join(MARKER)).unwrap();
        fs::write(bucket.join(name), "second\n").unwrap();
        let store = LocalStore::open(dir.path(), "bucket").unwrap();
        assert_eq!(store.marker().await.unwrap().as_deref(), Some("second"));
        assert_eq!(fs::read_dir(&bucket).unwrap().count(), 1, "only the folder");
    }
}

#[tokio::test]
async fn what_comes_in_pieces_is_there_whole_or_not_at_all() {
    let (dir, store) = store();
    let k = key("a/b/1/x.esl");
    let pieces = |all: Vec<Result<Bytes>>| futures_util::stream::iter(all).boxed();
    let good = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
    store.put_pieces(&k, pieces(vec![good("one, "), good("two")])).await.unwrap();
    assert_eq!(store.get(&k).await.unwrap(), "one, two");
    let failed = store.put_pieces(&k, pieces(vec![good("three"), Err(Error::NotFound(k.clone()))])).await;
    assert!(matches!(failed, Err(Error::NotFound(_))));
    assert_eq!(store.get(&k).await.unwrap(), "one, two");
    store.put_pieces(&k, pieces(Vec::new())).await.unwrap();
    assert_eq!(store.get(&k).await.unwrap(), "");
    assert_eq!(fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0, "nothing is left half written");
}

#[tokio::test]
async fn many_are_deleted_together_and_empty_folders_with_them() {
    let (dir, store) = store();
    let keys: Vec<ObjectKey> = ["a/1/log/0.esc", "a/1/log/1.esc", "a/1/x.ogg", "b/2.ts"].map(key).into();
    for key in &keys {
        store.put(key, Bytes::new()).await.unwrap();
    }
    let gone = [&keys[..2], &[key("a/1/none")], &keys[3..]].concat();
    store.delete_many(&gone).await.unwrap();
    assert_eq!(store.list(&key("a")).await.unwrap(), [keys[2].clone()]);
    assert!(!dir.path().join("bucket/a/1/log").exists() && !dir.path().join("bucket/b").exists());
}
