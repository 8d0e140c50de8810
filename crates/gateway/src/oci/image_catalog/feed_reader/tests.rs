//! The room of strangers, and what a reader does with feeds that grow, fork and are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use perennial_manifest::{ArtifactListRef, BlobId, Body, Keypair, PublisherId, Release};
use perennial_oci::Repository;
use perennial_store::{OpenOptions, Store};

use super::{FeedReader, News};

fn release(store: &Store, key: &Keypair, tag: &str) {
    let next = store.feed(&key.id()).expect("a feed").next(None).expect("a place");
    let list = ArtifactListRef { blob: BlobId::of(b""), count: 1, bytes: 1, size: 1 };
    let digest = format!("sha256:{}", "0".repeat(64));
    let purl = format!("pkg:docker/a/b@{tag}?repository_url=quay.io");
    let release = Release {
        tags: BTreeMap::from([(format!("quay.io/a/b:{tag}"), digest)]),
        ..Release::new(purl.parse().expect("a package URL"), list)
    };
    let entry = next.entry(key.id(), 1, Body::Release(Box::new(release)));
    store.put_entries(&[entry.sign(key).expect("a signature")]).expect("it is taken");
}

fn open(dir: &Path) -> Store {
    Store::open(dir, OpenOptions::default()).expect("a store")
}

fn refresh(reader: &mut FeedReader, store: &Store, trusted: &[PublisherId]) -> News {
    let (mut news, trusted) = (News::default(), trusted.iter().copied().collect());
    reader.refresh(store, &trusted, &mut news).expect("it reads");
    news
}

/// How many publishers say something about each tag, and the number of releases.
fn known(reader: &FeedReader) -> (Vec<usize>, usize) {
    let repository = Repository::new("quay.io", "a/b").expect("a name");
    let image = reader.catalog().get(&repository);
    image.map_or((Vec::new(), 0), |image| {
        (image.tags.values().map(Vec::len).collect(), image.releases.len())
    })
}

#[test]
fn strangers_get_a_share_and_followed_publishers_are_read_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let key = Keypair::from_seed([1; 32]);
    for tag in ["v1", "v2", "v3"] {
        release(&store, &key, tag);
    }
    let mut reader = FeedReader::with_room(4);
    let mut tags = |trusted: &[PublisherId]| {
        let fresh = refresh(&mut reader, &store, trusted).fresh.len();
        let (said, releases) = known(&reader);
        (said, releases, fresh)
    };
    assert_eq!(tags(&[]), (vec![1, 1], 2, 2));
    assert_eq!(tags(&[]), (vec![1, 1], 2, 0), "no more room, and nothing twice");
    assert_eq!(tags(&[key.id()]), (vec![1, 1, 1], 3, 1));
    release(&store, &key, "v4");
    assert_eq!(tags(&[key.id()]), (vec![1, 1, 1, 1], 4, 1));
}

#[test]
fn a_publisher_that_is_forgotten_gives_its_room_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let [one, other, late] = [1, 2, 3].map(|seed| Keypair::from_seed([seed; 32]));
    let mut reader = FeedReader::with_room(4);
    release(&store, &one, "v1");
    release(&store, &other, "v1");
    assert_eq!(refresh(&mut reader, &store, &[]).fresh.len(), 2);
    assert_eq!(known(&reader), (vec![2], 2));
    store.forget(&one.id()).expect("forgotten");
    release(&store, &late, "v2");
    let news = refresh(&mut reader, &store, &[]);
    assert_eq!((news.fresh.len(), news.void), (1, BTreeSet::from([one.id()])));
    assert_eq!(known(&reader), (vec![1, 1], 2));
    // The same after so many changes that they are no longer known one by one.
    store.forget(&other.id()).expect("forgotten");
    release(&store, &one, "v3");
    reader.generation = Some(0);
    assert_eq!(store.changed_since(0).map(|changed| changed.cut.len()), Some(2));
    reader.generation = None;
    let news = refresh(&mut reader, &store, &[]);
    assert_eq!((news.fresh.len(), news.void), (1, BTreeSet::from([other.id()])));
    assert_eq!(known(&reader), (vec![1, 1], 2));
    assert_eq!(reader.room, 0);
}

#[test]
fn of_a_feed_that_grew_only_the_end_is_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let key = Keypair::from_seed([1; 32]);
    let mut reader = FeedReader::default();
    for tag in ["v1", "v2", "v3"] {
        release(&store, &key, tag);
    }
    refresh(&mut reader, &store, &[]);
    let read = &reader.feeds[&key.id()];
    release(&store, &key, "v4");
    release(&store, &key, "v5");
    let now = store.feed(&key.id()).expect("a feed");
    assert_eq!(read.continues(&now), 3);
    let mut forked = now;
    forked.entries += 1;
    assert_eq!(read.continues(&forked), 0, "something came in between");
    forked.heads.push(forked.heads[0]);
    assert_eq!(read.continues(&forked), 0);
    assert_eq!(refresh(&mut reader, &store, &[]).fresh.len(), 2);
}
