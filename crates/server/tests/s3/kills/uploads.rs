//! Kills while sessions come, and while what came is divided.

use std::collections::BTreeMap;

use echosphere_testkit::senders::Senders;
use echosphere_testkit::session::Session;

use super::super::{assert_whole, until};
use super::{Scene, after, before, tens};

/// How many recordings there are of each job, of which those that were acknowledged are whole.
fn by_job(scene: &Scene, acknowledged: &[String]) -> BTreeMap<String, usize> {
    let mut by_job = BTreeMap::new();
    for recording in scene.server.settled_all() {
        let job = recording["session_id"].as_str().unwrap().to_owned();
        if acknowledged.contains(&job) {
            assert_whole(&recording);
        }
        *by_job.entry(job).or_default() += 1;
    }
    assert!(acknowledged.iter().all(|job| by_job.contains_key(job)), "{acknowledged:?}: {by_job:?}");
    assert!(by_job.values().all(|count| *count == 1), "{by_job:?}");
    by_job
}

#[test]
fn what_was_acknowledged_is_in_the_bucket_once() {
    let mut scene = Scene::start(&[]);
    let senders = Senders::new(Session::load("reservation"));
    let kills = 3 * tens();
    let points = [None, Some(before("PUT", "/upload.multipart")), Some(after("PUT", "/upload.multipart"))];
    for point in points.into_iter().cycle().take(kills) {
        let (address, known) = (scene.server.address, senders.acknowledged().len());
        scene.proxy.hold(point);
        std::thread::scope(|scope| {
            senders.send_two(scope, address);
            if let Some(point) = point {
                scene.kill_at(point);
            } else {
                until("an answer", || (senders.acknowledged().len() > known).then_some(()));
                scene.kill();
            }
        });
    }
    let acknowledged = senders.acknowledged();
    assert!(acknowledged.len() >= kills / points.len(), "an answer came before every third kill");
    let by_job = by_job(&scene, &acknowledged);
    println!("{kills} kills during uploads: {} acknowledged, {} recordings", acknowledged.len(), by_job.len());
    scene.end();
}

#[test]
fn what_is_divided_when_the_process_dies_is_divided_anew() {
    let mut scene = Scene::start(&[]);
    let session = Session::load("reservation");
    let kills = 3 * tens();
    let points = [
        before("PUT", "/sound.ogg"),
        after("PUT", "/chat_history.json"),
        before("POST", "?delete"),
        after("PUT", "/sound.ogg"),
        after("GET", "/sound.ogg"),
        after("POST", "?delete"),
        before("PUT", "/header.binpb"),
    ];
    let mut acknowledged = Vec::new();
    for (number, point) in points.into_iter().cycle().take(kills).enumerate() {
        scene.proxy.hold(Some(point));
        assert_eq!(session.renamed(number).upload(scene.server.address).status, 200);
        acknowledged.push(format!("AJ_{number:012}"));
        scene.kill_at(point);
    }
    let by_job = by_job(&scene, &acknowledged);
    println!("{kills} kills while uploads were divided: {} recordings, all of them whole", by_job.len());
    scene.end();
}
