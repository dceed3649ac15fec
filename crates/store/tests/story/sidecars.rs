//! Sidecars: the rows of a recording go into an object, and from there into an empty database.

use std::sync::Arc;

use echosphere_store::{Erasure, Error, Sidecar, SidecarRows, Store, sqlite};

use crate::world::{World, at, mine};

on_each! {
    rows_come_back_as_they_were,
    what_was_elsewhere_is_nowhere_that_is_known,
    a_change_makes_a_sidecar_stale,
    what_is_deleted_stays_so,
    what_is_not_of_this_schema_is_refused,
}

async fn another() -> Arc<dyn Store> {
    Arc::new(sqlite::open_in_memory().await.unwrap())
}

/// As it is read from its object.
async fn sidecar(store: &dyn Store, recording: echosphere_domain::id::RecordingId) -> Sidecar {
    Sidecar::parse(&store.sidecar(recording).await.unwrap().unwrap().to_json()).unwrap()
}

async fn rows_come_back_as_they_were(mut world: World) {
    let recording = world.uploaded(Some("AJ_1"), 20, 28).await.recording.id;
    world.rendered(recording).await;
    let (store, new) = (Arc::clone(&world.store), another().await);
    assert!(new.is_empty().await.unwrap() && !store.is_empty().await.unwrap());
    let written = sidecar(store.as_ref(), recording).await;
    assert!(written.tables.len() > 5, "{:?}", written.tables.keys());
    // The schema before this one has the same columns.
    for schema in [written.schema - 1, written.schema] {
        let mut older = written.clone();
        older.schema = schema;
        new.restore(&older).await.unwrap();
    }
    assert_eq!(sidecar(new.as_ref(), recording).await.tables["recordings"], written.tables["recordings"]);
    assert_eq!(new.recording(&mine(), recording).await.unwrap(), store.recording(&mine(), recording).await.unwrap());
    assert_eq!(new.segment_index(recording).await.unwrap(), store.segment_index(recording).await.unwrap());
    assert_eq!(
        new.belongings(Erasure::Recording(recording)).await.unwrap().objects,
        store.belongings(Erasure::Recording(recording)).await.unwrap().objects
    );
    assert!(new.stale_sidecars(None, 9).await.unwrap().is_empty(), "it was just read from there");
    let unknown = echosphere_domain::id::RecordingId::new(world.uuid());
    assert!(new.sidecar(unknown).await.unwrap().is_none());
}

async fn what_was_elsewhere_is_nowhere_that_is_known(mut world: World) {
    let joined = world.uploaded(Some("AJ_1"), 20, 28).await;
    let (store, new) = (Arc::clone(&world.store), another().await);
    for place in ["one", "two"] {
        store.use_place(place, "{}", at(30)).await.unwrap();
    }
    new.use_place("two", "{}", at(40)).await.unwrap();
    new.restore(&sidecar(store.as_ref(), joined.recording.id).await).await.unwrap();
    let objects = store.belongings(Erasure::Recording(joined.recording.id)).await.unwrap().objects;
    let elsewhere = new.elsewhere(&objects).await.unwrap();
    assert_eq!(elsewhere.len(), objects.len(), "nothing of it is called absent where it is not");
    let places = new.places().await.unwrap();
    assert_eq!((places.len(), places[0].marker.as_str(), places[1].id), (2, "two", elsewhere[0].1));
    assert!(new.is_in_use(places[1].id).await.unwrap());
}

async fn a_change_makes_a_sidecar_stale(mut world: World) {
    let store = Arc::clone(&world.store);
    let joined = world.upload(Some("AJ_1"), 20, 28).await;
    let recording = joined.recording.id;
    assert!(store.stale_sidecars(None, 9).await.unwrap().is_empty(), "its sound may not be there");
    world.read(&joined, (20, 28)).await;
    let stale = async || store.stale_sidecars(None, 9).await.unwrap();
    let first = stale().await[0];
    assert_eq!((first.recording, store.count_stale_sidecars().await.unwrap()), (recording, 1));
    assert!(store.stale_sidecars(Some(recording), 9).await.unwrap().is_empty());
    store.sidecar_written(recording, first.changed).await.unwrap();
    assert!(stale().await.is_empty());
    world.rendered(recording).await;
    let second = stale().await[0];
    assert!(second.changed > first.changed, "its rows are others now");
    store.sidecar_written(recording, first.changed).await.unwrap();
    assert_eq!(stale().await.len(), 1, "what was written is older");
    store.sidecar_written(recording, second.changed).await.unwrap();
    assert!(stale().await.is_empty());
}

async fn what_is_deleted_stays_so(mut world: World) {
    let store = Arc::clone(&world.store);
    let joined = world.upload(Some("AJ_1"), 20, 28).await;
    let recording = joined.recording.id;
    assert_eq!(store.undeleted(&mine(), None, 9).await.unwrap(), [recording]);
    store.request_deletion(&mine(), recording, at(40)).await.unwrap();
    assert_eq!(store.undeleted(&mine(), None, 9).await.unwrap(), []);
    assert!(store.stale_sidecars(None, 9).await.unwrap().is_empty(), "the erasure writes it");
    let pending = sidecar(store.as_ref(), recording).await;
    assert!(!pending.tables.contains_key("captures") && !pending.tables.contains_key("turns"));
    store.erase_rows(Erasure::Recording(recording)).await.unwrap();
    let erased = String::from_utf8(store.sidecar(recording).await.unwrap().unwrap().to_json()).unwrap();
    assert!(!erased.contains("NAMES-AND-WORDS"), "{erased}");
    let new = another().await;
    new.restore(&Sidecar::parse(erased.as_bytes()).unwrap()).await.unwrap();
    let ids = crate::world::ids(Some("AJ_1"), None);
    assert_eq!(new.gone(&mine(), &ids).await.unwrap(), store.gone(&mine(), &ids).await.unwrap());
    assert!(new.gone(&mine(), &ids).await.unwrap().is_some(), "a session that comes again is not welcome");
    assert_eq!(new.resume_deletions(at(99)).await.unwrap(), 1, "the deletion goes on");
}

async fn what_is_not_of_this_schema_is_refused(mut world: World) {
    let joined = world.upload(Some("AJ_1"), 20, 28).await;
    let good = sidecar(world.store.as_ref(), joined.recording.id).await;
    let store = another().await;
    let refused = async |change: fn(&mut Sidecar)| {
        let mut sidecar = good.clone();
        change(&mut sidecar);
        let refused = store.restore(&sidecar).await.unwrap_err();
        assert!(matches!(refused, Error::Corrupt { .. }), "{refused}");
        assert!(store.is_empty().await.unwrap(), "nothing of it is stored");
    };
    refused(|sidecar| sidecar.schema = 9_999).await;
    refused(|sidecar| drop(sidecar.tables.insert("sqlite_master".to_owned(), SidecarRows::default()))).await;
    refused(|sidecar| "id) --".clone_into(&mut sidecar.tables.get_mut("captures").unwrap().columns[0])).await;
    refused(|sidecar| sidecar.tables.get_mut("captures").unwrap().rows[0].fill(serde_json::Value::Null)).await;
    refused(|sidecar| drop(sidecar.tables.remove("recordings"))).await;
}
