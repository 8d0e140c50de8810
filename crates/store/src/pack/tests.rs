//! The guarantees of packs under torn ends, flipped bits, full disks and random use.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use perennial_manifest::BlobId;
use proptest::prelude::*;

use super::*;
use crate::hashing::names_of;

fn record(bytes: &[u8]) -> Record {
    let (blob, sha256) = names_of(bytes);
    Record::blob(blob, sha256, bytes.to_vec())
}

fn open(dir: &Path) -> Result<Packs, StoreError> {
    Packs::open(dir, Space::unlimited(dir), &mut |_, _| Ok(()))
}

fn read(packs: &Packs, bytes: &[u8]) -> Option<Vec<u8>> {
    let key = *BlobId::of(bytes).as_bytes();
    packs.read(Kind::Blob, &key).unwrap().map(|record| record.content)
}

fn filled(dir: &Path, contents: &[&[u8]]) {
    let packs = open(dir).unwrap();
    for bytes in contents {
        packs.append(&record(bytes)).unwrap();
    }
    packs.sync().unwrap();
}

#[test]
fn an_end_torn_at_any_byte_costs_only_the_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second): (&[u8], &[u8]) = (b"acknowledged", b"under way when the power went");
    filled(dir.path(), &[first, second]);
    let path = pack_path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    let one = record::HEADER + first.len();
    for cut in one..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let packs = open(dir.path()).unwrap();
        assert_eq!(read(&packs, first).as_deref(), Some(first), "cut at {cut}");
        assert_eq!(read(&packs, second), None, "cut at {cut}");
        assert_eq!(fs::metadata(&path).unwrap().len(), one as u64);
        packs.append(&record(second)).unwrap();
        packs.sync().unwrap();
        drop(packs);
        assert_eq!(
            read(&open(dir.path()).unwrap(), second).as_deref(),
            Some(second),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_one_record_and_never_gives_other_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let contents: [&[u8]; 3] = [b"one", b"two two two", b"three"];
    filled(dir.path(), &contents);
    let path = pack_path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).unwrap();
            let packs = open(dir.path()).unwrap();
            let back: Vec<_> = contents.iter().map(|content| read(&packs, content)).collect();
            assert!(
                back.iter()
                    .zip(contents)
                    .all(|(back, content)| back.as_deref().is_none_or(|back| back == content))
            );
            let lost = back.iter().filter(|back| back.is_none()).count();
            assert!(lost <= 1, "a flip at {at} cost {lost} records");
        }
    }
}

#[test]
fn a_sealed_packs_index_is_made_again_when_it_is_lost_or_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let packs = open(dir.path()).unwrap();
    let contents: Vec<Vec<u8>> =
        (0..200u32).map(|n| n.to_le_bytes().repeat(n as usize % 9 + 1)).collect();
    for bytes in &contents {
        packs.append(&record(bytes)).unwrap();
    }
    packs.active().sync().unwrap();
    packs.seal(&mut packs.active()).unwrap();
    drop(packs);
    let index = index_path(dir.path(), 1);
    let whole = fs::read(&index).unwrap();
    for at in (0..whole.len()).step_by(97).map(Some).chain([None]) {
        match at {
            Some(at) => {
                let file = OpenOptions::new().write(true).open(&index).unwrap();
                file.write_all_at(&[whole[at] ^ 0x40], at as u64).unwrap();
            }
            None => fs::remove_file(&index).unwrap(),
        }
        let packs = open(dir.path()).unwrap();
        assert!(contents.iter().all(|bytes| read(&packs, bytes).as_ref() == Some(bytes)), "{at:?}");
        let (blob, sha256) = names_of(&contents[7]);
        assert_eq!(packs.blob_of(&sha256).unwrap(), Some(blob));
        assert_eq!(fs::read(&index).unwrap(), whole);
    }
}

#[test]
fn a_record_longer_than_a_pack_takes_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let packs = open(dir.path()).unwrap();
    packs.append(&record(&vec![7; record::MAX_CONTENT as usize])).unwrap();
    assert!(packs.append(&record(&vec![7; record::MAX_CONTENT as usize + 1])).is_err());
    packs.append(&record(b"after")).unwrap();
    packs.sync().unwrap();
    drop(packs);
    assert_eq!(read(&open(dir.path()).unwrap(), b"after").as_deref(), Some(&b"after"[..]));
}

#[derive(Debug, Clone)]
enum Op {
    Append(u16, u16),
    Sync,
    Seal,
    Drop(u16),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0u16..40, 0u16..3000).prop_map(|(seed, len)| Op::Append(seed, len)),
        2 => Just(Op::Sync),
        1 => Just(Op::Seal),
        1 => (0u16..40).prop_map(Op::Drop),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn packs_behave_like_a_map(ops in prop::collection::vec(op(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut packs = open(dir.path()).unwrap();
        let mut model: HashMap<BlobId, Vec<u8>> = HashMap::new();
        for op in ops {
            match op {
                Op::Append(seed, len) => {
                    let bytes = seed.to_le_bytes().repeat(usize::from(len) / 2);
                    packs.append(&record(&bytes)).unwrap();
                    model.insert(BlobId::of(&bytes), bytes);
                }
                Op::Sync => packs.sync().unwrap(),
                Op::Seal => {
                    packs.sync().unwrap();
                    let mut active = packs.active();
                    if active.records() > 0 {
                        packs.seal(&mut active).unwrap();
                    }
                }
                Op::Drop(below) => {
                    let dead = |blob: &BlobId| u16::from(blob.as_bytes()[0]) < below * 6;
                    let is_dead = |_: Kind, key: &[u8; 32]| dead(&BlobId::from_bytes(*key));
                    packs.compact(&is_dead, &mut |_, _| Ok(())).unwrap();
                    model.retain(|blob, _| !dead(blob));
                }
                Op::Reopen => {
                    packs.sync().unwrap();
                    drop(packs);
                    packs = open(dir.path()).unwrap();
                }
            }
        }
        let mut listed = Vec::new();
        let mut list = |key, _| { listed.push(BlobId::from_bytes(key)); Ok(()) };
        packs.each(Kind::Blob, &mut list).unwrap();
        listed.sort_unstable();
        listed.dedup();
        let mut expected: Vec<_> = model.keys().copied().collect();
        expected.sort_unstable();
        prop_assert_eq!(listed, expected);
        for (blob, bytes) in &model {
            let back = packs.read(Kind::Blob, blob.as_bytes()).unwrap();
            let back = back.map(|record| record.content);
            prop_assert_eq!(back.as_ref(), Some(bytes));
        }
    }
}

#[test]
fn many_packs_are_read_through_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let contents: Vec<Vec<u8>> = (0..200_u32).map(|n| n.to_be_bytes().repeat(10)).collect();
    let packs = open(dir.path()).unwrap();
    for content in &contents {
        packs.append(&record(content)).unwrap();
        packs.sync().unwrap();
        packs.seal(&mut packs.active()).unwrap();
    }
    let all_here = |packs: &Packs| {
        for content in contents.iter().chain(contents.iter().rev()) {
            assert_eq!(read(packs, content).as_ref(), Some(content));
        }
        assert!(packs.open.count() <= 64, "{} packs are open", packs.open.count());
    };
    all_here(&packs);
    drop(packs);
    let packs = open(dir.path()).unwrap();
    all_here(&packs);

    // Packs that go while they are read: what is not dropped is found at any moment.
    let half = |blob: &BlobId| blob.as_bytes()[0] & 1 == 0;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for _ in 0..5 {
                for content in contents.iter().filter(|content| !half(&BlobId::of(content))) {
                    assert_eq!(read(&packs, content).as_ref(), Some(content));
                }
            }
        });
        let is_half = |_: Kind, key: &[u8; 32]| half(&BlobId::from_bytes(*key));
        packs.compact(&is_half, &mut |_, _| Ok(())).unwrap();
        reader.join().unwrap();
    });
    for content in &contents {
        assert_eq!(read(&packs, content).is_none(), half(&BlobId::of(content)));
    }
}
