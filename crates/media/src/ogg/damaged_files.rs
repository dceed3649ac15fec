//! Tests of the index over files with any damage: every packet is found, or the index says that something is missing.

use proptest::prelude::*;

use super::OpusIndex;
use super::opus_packet::duration;
use super::page::build;
use super::testing::{headers_of, index_within, packets};

const SECOND: u64 = 48_000;

/// A page that has not been written yet.
#[derive(Debug, Clone)]
struct Plan {
    flags: u8,
    granule: i64,
    serial: u32,
    sequence: u32,
    lacing: Vec<u8>,
    payload: Vec<u8>,
}

#[derive(Debug, Clone)]
struct LinkPlan {
    serial: u32,
    pre_skip: u16,
    /// Lacing values per page.
    per_page: usize,
    trim: i64,
    packets: Vec<Vec<u8>>,
}

impl LinkPlan {
    fn samples(&self) -> i64 {
        self.packets.iter().map(|packet| i64::from(duration(packet).unwrap())).sum()
    }

    /// Its pages, with those of a foreign stream between them.
    fn pages(&self, foreign: bool) -> Vec<Plan> {
        let head = headers_of(self.serial, 2, self.pre_skip, 0);
        let mut plans = vec![
            Plan {
                flags: 2,
                granule: 0,
                serial: self.serial,
                sequence: 0,
                lacing: vec![19],
                payload: head[28..47].to_vec(),
            },
            Plan {
                flags: 0,
                granule: 0,
                serial: self.serial,
                sequence: 1,
                lacing: vec![16],
                payload: head[75..].to_vec(),
            },
        ];
        let mut values = Vec::new();
        let mut samples = 0;
        for packet in &self.packets {
            samples += i64::from(duration(packet).unwrap());
            let pieces = packet.chunks_exact(255);
            let rest = pieces.remainder();
            values.extend(pieces.map(|piece| (255, piece.to_vec(), None)));
            values.push((rest.len() as u8, rest.to_vec(), Some(samples)));
        }
        let pages = values.chunks(self.per_page);
        let count = pages.len();
        let mut continued = 0;
        for (number, page) in pages.enumerate() {
            let ends = if number + 1 == count { 4 } else { 0 };
            let granule = page.iter().rev().find_map(|value| value.2).unwrap_or(-1);
            plans.push(Plan {
                flags: continued | ends,
                granule: granule - if ends > 0 { self.trim } else { 0 },
                serial: self.serial,
                sequence: number as u32 + 2,
                lacing: page.iter().map(|value| value.0).collect(),
                payload: page.iter().flat_map(|value| value.1.clone()).collect(),
            });
            continued = u8::from(page.last().is_some_and(|value| value.2.is_none()));
        }
        if foreign {
            let other = |sequence: u32| Plan {
                flags: if sequence == 0 { 2 } else { 0 },
                granule: 0,
                serial: 0x00f0_0000 + self.serial,
                sequence,
                lacing: vec![9],
                // Not a valid Opus packet, should anything take it for one.
                payload: vec![3, 0, 3, 0, 3, 0, 3, 0, 3],
            };
            plans.insert(1, other(0));
            for sequence in 1..4 {
                let at = (2 + 3 * sequence as usize).min(plans.len() - 1);
                plans.insert(at, other(sequence));
            }
        }
        plans
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Granule(i64),
    Moved(i64),
    /// Moved from this page on.
    Shifted(i64),
    Serial(u32),
    Flags(u8),
}

fn granules() -> impl Strategy<Value = Damage> {
    let far = prop_oneof![-200_000_i64..200_000, any::<i64>(), Just(-(1 << 32)), Just(48 * 3600 * 48_000)];
    prop_oneof![
        prop_oneof![Just(0), Just(-1), any::<i64>()].prop_map(Damage::Granule),
        far.clone().prop_map(Damage::Moved),
        far.prop_map(Damage::Shifted),
    ]
}

fn anything() -> impl Strategy<Value = Damage> {
    let serial = prop_oneof![0_u32..4, any::<u32>()];
    prop_oneof![granules(), serial.prop_map(Damage::Serial), (0_u8..8).prop_map(Damage::Flags)]
}

fn file() -> impl Strategy<Value = (Vec<LinkPlan>, bool)> {
    let packet = (28_u8..32, prop_oneof![4 => 0_usize..40, 1 => 200_usize..900]);
    let link = (0_u32..4, 0_u16..1_000, 1_usize..12, 0_i64..120, prop::collection::vec(packet, 12..50));
    (prop::collection::vec(link, 1..4), any::<bool>()).prop_map(|(links, foreign)| {
        let mut number = 0_u32;
        let links = links.into_iter().map(|(serial, pre_skip, per_page, trim, packets)| {
            let mut packets: Vec<Vec<u8>> = packets
                .into_iter()
                .map(|(config, length)| {
                    number += 1;
                    [&[config << 3 | 4][..], &number.to_le_bytes(), &vec![7; length]].concat()
                })
                .collect();
            // Longer than any pre-skip here.
            packets.extend((0..3).map(|_| {
                number += 1;
                [&[0xfc][..], &number.to_le_bytes()].concat()
            }));
            LinkPlan { serial, pre_skip, per_page, trim, packets }
        });
        (links.collect(), foreign)
    })
}

fn damaged(links: &[LinkPlan], foreign: bool, damages: &[(prop::sample::Index, Damage)]) -> Vec<u8> {
    let mut pages: Vec<Plan> = links.iter().flat_map(|link| link.pages(foreign)).collect();
    for (at, damage) in damages {
        let at = at.index(pages.len());
        match *damage {
            Damage::Granule(granule) => pages[at].granule = granule,
            Damage::Moved(by) => pages[at].granule = pages[at].granule.wrapping_add(by),
            Damage::Shifted(by) => pages[at..].iter_mut().for_each(|page| page.granule = page.granule.wrapping_add(by)),
            Damage::Serial(serial) if pages[at].serial < 4 => pages[at].serial = serial,
            Damage::Serial(_) => {}
            Damage::Flags(flags) => pages[at].flags = flags,
        }
    }
    let write = |page: Plan| build(page.flags, page.granule, page.serial, page.sequence, &page.lacing, &page.payload);
    pages.into_iter().flat_map(write).collect()
}

/// The packets that the index finds, after checking what holds for every index.
fn checked(index: &OpusIndex, bytes: &[u8], longest: u64) -> Result<Vec<Vec<u8>>, TestCaseError> {
    let packets = packets(index, bytes, -2_000..index.total_samples() as i64);
    let all: u64 = packets.iter().map(|packet| u64::from(packet.samples)).sum();
    prop_assert!(index.total_samples() <= all.max(longest), "{} of {all} and {longest}", index.total_samples());
    for pair in packets.windows(2) {
        let end = pair[0].start + i64::from(pair[0].samples);
        prop_assert!(pair[0].link < pair[1].link || end <= pair[1].start, "{} before {end}", pair[1].start);
    }
    prop_assert_eq!(OpusIndex::from_bytes(&index.to_bytes()), Ok(index.clone()));
    Ok(packets.into_iter().map(|packet| packet.data).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn all_packets_are_there_or_a_loss_is_reported(
        (links, foreign) in file(), damages in prop::collection::vec((any::<prop::sample::Index>(), anything()), 0..5),
        silence in 0_u64..1_000_000,
    ) {
        let bytes = damaged(&links, foreign, &damages);
        let all: Vec<&Vec<u8>> = links.iter().flat_map(|link| &link.packets).collect();
        let longest = links.iter().map(|link| link.samples() as u64).sum::<u64>() + silence;
        let index = match index_within(&bytes, longest) {
            Ok(index) => index,
            Err(error) => {
                prop_assert!(!damages.is_empty(), "{error}");
                return Ok(());
            }
        };
        let found = checked(&index, &bytes, longest)?;
        let mut rest = all.iter();
        // Where a page is lost and the flags of the next are wrong, the rest of a packet looks like a packet.
        let (known, others): (Vec<_>, Vec<_>) = found.iter().partition(|packet| all.contains(packet));
        prop_assert!(known.into_iter().all(|packet| rest.any(|source| *source == packet)), "in their order");
        prop_assert!(others.len() <= damages.len(), "{others:?}");
        let is_reported = index.is_truncated() || index.damaged_pages() > 0 || index.unheard_pages() > 0 || !index.gaps().is_empty();
        prop_assert!(!damages.is_empty() || !is_reported, "{index:?}");
        if !is_reported {
            prop_assert_eq!(found.len(), all.len());
            let most: i64 = links.iter().map(|link| link.samples() - i64::from(link.pre_skip)).sum();
            let least = most - links.len() as i64 * 960;
            prop_assert!((least..=most).contains(&(index.total_samples() as i64)), "{} of {most}", index.total_samples());
        }
    }

    #[test]
    fn granule_positions_alone_never_cost_a_packet(
        (links, foreign) in file(), damages in prop::collection::vec((any::<prop::sample::Index>(), granules()), 0..8),
    ) {
        let bytes = damaged(&links, foreign, &damages);
        let longest = links.iter().map(|link| link.samples() as u64).sum::<u64>() + 10 * SECOND;
        let index = index_within(&bytes, longest).unwrap();
        let found = checked(&index, &bytes, longest)?;
        let all: Vec<Vec<u8>> = links.iter().flat_map(|link| link.packets.clone()).collect();
        prop_assert_eq!(found, all);
    }
}
