//! A process that is killed again and again while sessions go into a bucket: `ECHOSPHERE_TEST_S3_KILLS`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::ObjectStore;
use echosphere_testkit::s3::{Kind, S3Server, start_on, wait_for};
use echosphere_testkit::senders::Senders;
use echosphere_testkit::session::Session;

use super::{PROGRAM, assert_whole, until};

const KILLS: usize = 10;

#[test]
fn what_was_acknowledged_is_in_the_bucket_once_and_nothing_else_of_ours_is() {
    let kills = std::env::var("ECHOSPHERE_TEST_S3_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let foreign = ObjectKey::parse("recordings/somebody-else.bin").unwrap();
    wait_for(s3.store("calls").put(&foreign, Bytes::from_static(b"not ours"))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = s3.settings("s3://calls");
    let mut server = start_on(PROGRAM, dir.path(), &settings, &[]);
    let senders = Senders::new(Session::load("reservation"));
    for kill in 0..kills {
        let (address, before) = (server.address, senders.acknowledged().len());
        std::thread::scope(|scope| {
            senders.send_two(scope, address);
            if kill % 2 == 0 {
                // As soon as one of them is acknowledged.
                until("an answer", || (senders.acknowledged().len() > before).then_some(()));
            } else {
                std::thread::sleep(Duration::from_millis(5 + kill as u64 * 37 % 110));
            }
            server.kill9();
        });
        server.restart();
    }
    let acknowledged = senders.acknowledged();
    let mut by_job: BTreeMap<String, usize> = BTreeMap::new();
    for recording in server.settled_all() {
        let job = recording["session_id"].as_str().unwrap().to_owned();
        if acknowledged.contains(&job) {
            assert_whole(&recording);
        }
        *by_job.entry(job).or_default() += 1;
    }
    println!("{kills} kills: {} acknowledged, {} recordings", acknowledged.len(), by_job.len());
    assert!(acknowledged.len() >= kills / 2, "kills that leave no time for anything show nothing");
    assert!(acknowledged.iter().all(|job| by_job.contains_key(job)), "{acknowledged:?}: {by_job:?}");
    assert!(by_job.values().all(|count| *count == 1), "{by_job:?}");
    drop(server);
    let sweeping = [("ECHOSPHERE_STORAGE_SWEEP_AFTER", "0s"), ("ECHOSPHERE_STORAGE_SWEEP_EVERY", "100ms")];
    let server = start_on(PROGRAM, dir.path(), &settings, &sweeping);
    let ids: Vec<String> = server.settled_all().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    until("a bucket with nothing that nobody needs", || {
        let keys = s3.keys("calls");
        let is_known = |key: &String| {
            key == "echosphere-store-id" || *key == foreign.as_str() || ids.iter().any(|id| key.contains(id))
        };
        // An upload that became a recording is in its parts.
        (keys.iter().all(is_known) && !keys.iter().any(|key| key.ends_with(".multipart"))).then_some(())
    });
    assert_eq!(wait_for(s3.store("calls").get(&foreign)).unwrap(), "not ours");
}
