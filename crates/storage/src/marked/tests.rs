//! Tests of `marked`.

use super::*;
use crate::local::LocalStore;

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

async fn open(root: &Path, known: Option<&str>, new: &str) -> MarkedStore<LocalStore> {
    let local = LocalStore::open(root, "bucket").unwrap();
    MarkedStore::open(local, Kind::Directory, known.map(str::to_owned), new.to_owned()).await.unwrap()
}

#[tokio::test]
async fn a_store_has_the_id_that_it_was_given_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), None, "first").await;
    store.put(&key("a/b"), Bytes::from_static(b"sound")).await.unwrap();
    let again = open(dir.path(), None, "second").await;
    assert_eq!((store.id(), again.id()), ("first", "first"));
    assert_eq!(again.get_range(&key("a/b"), 0..9).await.unwrap(), "sound");
    assert!(matches!(again.get_range(&key("a/c"), 0..9).await, Err(Error::NotFound(_))), "it is lost");
}

#[tokio::test]
async fn while_its_disk_is_away_nothing_is_written_deleted_or_called_absent() {
    let dir = tempfile::tempdir().unwrap();
    let (root, away) = (dir.path().join("objects"), dir.path().join("away"));
    let store = open(&root, None, "first").await;
    store.put(&key("a/b"), Bytes::from_static(b"sound")).await.unwrap();
    std::fs::rename(&root, &away).unwrap();
    // As after a restart: an empty folder is made where the disk is not mounted.
    for store in [store, open(&root, Some("first"), "second").await] {
        let is_foreign = |error: Error| matches!(error, Error::Foreign { .. }) && error.is_transient();
        assert!(is_foreign(store.get_range(&key("a/b"), 0..9).await.unwrap_err()));
        assert!(is_foreign(store.get(&key("a/b")).await.unwrap_err()));
        assert!(is_foreign(store.delete_many(&[key("a/b")]).await.unwrap_err()));
        assert!(is_foreign(store.head(&key("a/b")).await.unwrap_err()));
        assert!(is_foreign(store.put(&key("a/c"), Bytes::new()).await.unwrap_err()));
        assert!(is_foreign(store.put_file(&key("a/c"), &away).await.unwrap_err()));
        assert!(is_foreign(store.delete(&key("a/b")).await.unwrap_err()));
        assert!(is_foreign(store.list(&key("a")).await.unwrap_err()));
        assert!(is_foreign(store.check().await.unwrap_err()));
        assert!(!root.join("bucket").join(MARKER).exists(), "it is not made ours");
    }
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::rename(&away, &root).unwrap();
    let store = open(&root, Some("first"), "third").await;
    assert_eq!(store.get_range(&key("a/b"), 0..9).await.unwrap(), "sound");
    store.delete(&key("a/b")).await.unwrap();
    assert_eq!(store.head(&key("a/b")).await.unwrap(), None);
}

#[tokio::test]
async fn another_store_in_its_place_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir.path().join("other"), None, "other").await;
    let store = open(&dir.path().join("other"), Some("first"), "x").await;
    assert!(matches!(store.prove().await, Err(Error::Foreign { .. })));
}
