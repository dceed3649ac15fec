//! Tests of `chunk_outbox`.

use super::*;
use proptest::prelude::*;

/// What may happen, in any order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Cut,
    Spool,
    /// The disk takes a chunk while storage takes it, too.
    Send {
        spooled_meanwhile: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Cut),
        1 => Just(Step::Spool),
        2 => any::<bool>().prop_map(|spooled_meanwhile| Step::Send { spooled_meanwhile }),
    ]
}

proptest! {
    #[test]
    fn chunks_are_sent_in_order_each_once_and_memory_holds_two(
        left in 0..3_u32,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let outbox = ChunkOutbox::new(5..5 + left);
        let (mut cut, mut sent) = (5 + left, 5);
        let mut disk: std::collections::BTreeSet<u32> = (5..cut).collect();
        let spool = |disk: &mut std::collections::BTreeSet<u32>| {
            for held in outbox.in_memory_only() {
                disk.insert(held.number);
                assert!(outbox.on_disk(held.number));
            }
        };
        for step in steps {
            match step {
                Step::Cut => {
                    if outbox.is_full() {
                        spool(&mut disk);
                    }
                    outbox.add(Chunk { number: cut, bytes: vec![cut as u8].into(), before: u64::from(cut) });
                    cut += 1;
                }
                Step::Spool => spool(&mut disk),
                Step::Send { spooled_meanwhile } => {
                    let Some((number, held)) = outbox.next() else {
                        prop_assert_eq!(sent, cut);
                        continue;
                    };
                    prop_assert_eq!(number, sent);
                    prop_assert!(held.is_some() || disk.contains(&number), "chunk {number} is nowhere");
                    outbox.sent();
                    sent += 1;
                    disk.remove(&number);
                    if spooled_meanwhile {
                        prop_assert!(!outbox.on_disk(number), "it is not needed on the disk any more");
                    }
                }
            }
            let state = outbox.state();
            let held: Vec<u32> = state.first.iter().chain(&state.last).map(|held| held.number).collect();
            prop_assert_eq!(&state.waiting, &(sent..cut));
            prop_assert!((sent..cut).all(|number| disk.contains(&number) || held.contains(&number)));
        }
    }
}
