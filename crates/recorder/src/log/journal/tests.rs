//! Tests of `journal`.

use std::fs::OpenOptions;

use super::*;
use crate::log::{Body, Entry, chunk};

fn append(lane: &Lane, number: u64, body: Option<Body>) {
    let mut frame = Vec::new();
    chunk::append(&mut frame, &Entry { number, at: 1, body });
    lane.append(&frame, number);
}

#[test]
fn what_was_flushed_is_found_by_the_next_process_and_a_torn_end_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let journal = Journal::start(folder.path(), Uuid::from_u128(9)).unwrap();
    let (lane_a, lane_b) = (journal.lane(a), journal.lane(b));
    for number in 0..100 {
        append(&lane_a, number, None);
        append(&lane_b, number, None);
    }
    journal.flush().unwrap();
    append(&lane_a, 100, None);
    drop(lane_a);
    drop(journal);
    let recovered = recover(folder.path(), |capture| if capture == a { Some(90) } else { None }).unwrap();
    assert_eq!((recovered.files.len(), recovered.torn, recovered.captures.len()), (1, 0, 1));
    assert_eq!(
        recovered.captures[&a].iter().map(|entry| entry.number).collect::<Vec<_>>(),
        (90..=100).collect::<Vec<_>>()
    );
    let file = OpenOptions::new().write(true).open(&recovered.files[0]).unwrap();
    file.set_len(file.metadata().unwrap().len() - 3).unwrap();
    let recovered = recover(folder.path(), |_| Some(0)).unwrap();
    assert_eq!((recovered.torn, recovered.captures[&a].len(), recovered.captures[&b].len()), (1, 100, 100));
}

#[test]
fn a_file_goes_when_its_entries_are_kept_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(folder.path(), Uuid::from_u128(9)).unwrap();
    let (lane, quiet) = (journal.lane(Uuid::from_u128(1)), journal.lane(Uuid::from_u128(2)));
    append(&quiet, 0, None);
    for number in 0..FILE_SIZE >> 16 {
        append(&lane, number, Some(Body::Data(vec![0; 1 << 16])));
        if number % 8 == 0 {
            journal.flush().unwrap();
        }
    }
    journal.flush().unwrap();
    append(&lane, 1000, None);
    journal.flush().unwrap();
    let files = || fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 2);
    assert!(journal.bytes() > FILE_SIZE);
    lane.kept(1000);
    drop(lane);
    journal.flush().unwrap();
    journal.flush().unwrap();
    assert_eq!(files(), 2, "another capture needs it");
    quiet.kept(1);
    journal.flush().unwrap();
    journal.flush().unwrap();
    assert_eq!(files(), 1);
    assert!(journal.bytes() < FILE_SIZE);
}

#[test]
fn what_is_erased_is_in_no_file_and_what_others_have_stays() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(folder.path(), Uuid::from_u128(9)).unwrap();
    let (gone, stays) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (lane, other) = (journal.lane(gone), journal.lane(stays));
    for number in 0..20 {
        append(&lane, number, Some(Body::Data(b"JANE-IDENTITY".to_vec())));
        append(&other, number, Some(Body::Data(b"somebody else".to_vec())));
    }
    journal.flush().unwrap();
    let found = |needle: &[u8]| {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
        files.filter(|bytes| bytes.windows(needle.len()).any(|window| window == needle)).count()
    };
    assert_eq!(found(b"JANE-IDENTITY"), 1);
    journal.erase(&[gone]).unwrap();
    append(&lane, 20, Some(Body::Data(b"JANE-IDENTITY".to_vec())));
    append(&other, 20, Some(Body::Data(b"somebody else".to_vec())));
    drop(lane);
    journal.flush().unwrap();
    assert_eq!((found(b"JANE-IDENTITY"), found(b"somebody else")), (0, 2));
    journal.erase(&[gone]).unwrap();
    drop(journal);
    let recovered = recover(folder.path(), |_| Some(0)).unwrap();
    assert_eq!((recovered.captures.len(), recovered.captures[&stays].len()), (1, 21));
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old.journal"), b"ESJ9whatever").unwrap();
    let recovered = recover(folder.path(), |_| Some(0)).unwrap();
    assert_eq!((recovered.files.len(), recovered.foreign.len()), (0, 1));
}
