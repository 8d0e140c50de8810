//! Parts of long lists: pages of all releases, the newest ones of a publisher.

use perennial_manifest::{
    ArtifactListRef, BlobId, Body, DenyTarget, Entry, Keypair, Merge, Profile, PublisherKind, Purl,
    Release, ReleaseId, SignedEntry,
};
use perennial_store::{ReleaseFilter, ReleaseRow, Store};

use crate::fixtures::{key, open, throughout};

/// A feed with a release at every number but the multiples of three, which say something else.
fn feed(key: &Keypair, name: &str, length: u64) -> Vec<SignedEntry> {
    let mut signed: Vec<SignedEntry> = Vec::new();
    for seq in 0..length {
        let purl = format!("pkg:generic/{name}-{}@{seq}", seq % 5);
        let list = ArtifactListRef { blob: BlobId::of(b"list"), count: 1, bytes: 1, size: 100 };
        let release = Release::new(Purl::parse(&purl).unwrap(), list);
        let body = match seq % 3 {
            0 => Body::Profile(Profile {
                name: name.into(),
                publisher_kind: PublisherKind::Archivist,
                contact: None,
                claims: Vec::new(),
            }),
            _ => Body::Release(Box::new(release)),
        };
        let prevs = signed.last().map(SignedEntry::id).into_iter().collect();
        let entry = Entry { publisher: key.id(), seq, prevs, issued_at: 1, body };
        signed.push(entry.sign(key).unwrap());
    }
    signed
}

fn releases(store: &Store, filter: ReleaseFilter) -> Vec<ReleaseRow> {
    store.releases(&filter).unwrap()
}

#[test]
fn the_newest_of_a_publisher_are_those_at_the_end_of_its_feed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let signed = feed(&key(1), "tool", 100);
    store.put_entries(&signed).unwrap();
    // A second history: two entries of one number, and a merge that goes on.
    let beside = Entry { issued_at: 9, ..signed[98].entry().clone() }.sign(&key(1)).unwrap();
    let mut prevs = vec![beside.id(), signed[99].id()];
    prevs.sort_unstable();
    let body = Body::Merge(Merge { reason: None });
    let merge = Entry { publisher: key(1).id(), seq: 100, prevs, issued_at: 1, body };
    store.put_entries(&[beside, merge.sign(&key(1)).unwrap()]).unwrap();
    store.put_entries(&feed(&key(2), "other", 30)).unwrap();
    throughout(store, dir.path(), |store| {
        let publisher = Some(key(1).id());
        let all = releases(store, ReleaseFilter { publisher, ..ReleaseFilter::default() });
        assert_eq!(all.len(), 67);
        assert!(all.is_sorted_by_key(|row| std::cmp::Reverse(row.seq)));
        for limit in [1, 2, 3, 10, 66, 67, 68, 1000] {
            let filter = ReleaseFilter { publisher, limit, ..ReleaseFilter::default() };
            assert_eq!(releases(store, filter), all[..limit.min(67)], "{limit}");
        }
        let publisher = Some(key(3).id());
        assert!(
            releases(store, ReleaseFilter { publisher, limit: 3, ..ReleaseFilter::default() })
                .is_empty()
        );
    });
}

#[test]
fn pages_of_all_releases_leave_none_out_and_repeat_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 1..=3 {
        store.put_entries(&feed(&key(n), "tool", 20)).unwrap();
    }
    let all = releases(&store, ReleaseFilter::default());
    assert_eq!(all.len(), 39);
    let denied = Purl::parse("pkg:generic/tool-2").unwrap();
    store.deny(DenyTarget::Package(denied), "no".into()).unwrap();
    let allowed = releases(&store, ReleaseFilter::default());
    assert!(allowed.len() < all.len());
    for limit in [1, 2, 7, 39, 40] {
        let (mut seen, mut after): (Vec<ReleaseRow>, Option<ReleaseId>) = (Vec::new(), None);
        loop {
            let page = store.releases_after(after.as_ref(), limit).unwrap().unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.release);
            seen.extend(page);
        }
        assert_eq!(seen, allowed, "{limit}");
    }
    let unknown = ReleaseId::from(signed_elsewhere());
    assert_eq!(store.releases_after(Some(&unknown), 3).unwrap(), None);
    assert_eq!(store.releases_after(None, 0).unwrap(), Some(Vec::new()));
}

/// The id of an entry that is not here.
fn signed_elsewhere() -> perennial_manifest::EntryId {
    feed(&key(9), "elsewhere", 2)[1].id()
}
