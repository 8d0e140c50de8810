//! Reads the image releases of feeds into a catalog.
//!
//! Only entries about images are read, and where a feed grew, only its new ones. Bounded: untrusted
//! publishers share a fixed number of statements, followed publishers have no limit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use perennial_manifest::{
    Body, EntryId, FeedState, PublisherId, ReleaseId, SignedEntry, StatusKind, Target,
};
use perennial_oci::{Digest, Repository};
use perennial_store::{Store, StoreError};

use super::{ImageCatalog, ImageRelease, Statement};

/// Statements of untrusted publishers kept, at most: anyone can sign any number.
const STRANGERS: usize = 100_000;

/// Reads feeds into a catalog.
#[derive(Debug)]
pub(crate) struct FeedReader {
    catalog: ImageCatalog,
    feeds: HashMap<PublisherId, Read>,
    /// Remaining room for statements of untrusted publishers.
    room: usize,
    generation: Option<u64>,
}

/// How far a feed has been read.
#[derive(Debug, Default)]
struct Read {
    state: FeedState,
    seen: HashSet<EntryId>,
    /// Cleared if an entry was left out, because a bound was reached or the entry is damaged.
    whole: bool,
}

impl Default for FeedReader {
    fn default() -> Self {
        Self::with_room(STRANGERS)
    }
}

impl FeedReader {
    fn with_room(room: usize) -> Self {
        let (catalog, feeds) = (ImageCatalog::default(), HashMap::new());
        Self { catalog, feeds, room, generation: None }
    }

    /// The catalog as built so far.
    pub(crate) fn catalog(&self) -> &ImageCatalog {
        &self.catalog
    }

    /// Reads the entries that the store received since, and adds their image releases to `fresh`.
    pub(crate) fn refresh(
        &mut self,
        store: &Store,
        trusted: &dyn Fn(&PublisherId) -> bool,
        fresh: &mut Vec<ImageRelease>,
    ) -> Result<(), StoreError> {
        // Read first: entries that arrive meanwhile belong to the next generation.
        let generation = store.generation();
        let missed = |(id, read): (&PublisherId, &Read)| !read.whole && trusted(id);
        if self.generation == Some(generation) && !self.feeds.iter().any(missed) {
            return Ok(());
        }
        for (publisher, state) in store.publishers()? {
            let trusted = trusted(&publisher);
            let read = self.feeds.entry(publisher).or_default();
            if read.state == state && (read.whole || !trusted) {
                continue;
            }
            let mut new = store.entries_of_type(&publisher, "docker")?;
            new.retain(|id| !read.seen.contains(id));
            let mut whole = true;
            for id in new {
                match store.entry(&id) {
                    Ok(Some(signed)) => whole &= self.take(&signed, trusted, fresh),
                    Ok(None) | Err(StoreError::DamagedEntry(_)) => whole = false,
                    Err(error) => return Err(error),
                }
            }
            if state.is_forked() != self.catalog.is_forked(&publisher) {
                let forked = Arc::make_mut(&mut self.catalog.forked);
                match state.is_forked() {
                    true => forked.insert(publisher),
                    false => forked.remove(&publisher),
                };
            }
            let read = self.feeds.entry(publisher).or_default();
            (read.state, read.whole) = (state, whole);
        }
        self.generation = Some(generation);
        Ok(())
    }

    /// Takes an entry in; returns false if there is no room for it.
    fn take(&mut self, signed: &SignedEntry, trusted: bool, fresh: &mut Vec<ImageRelease>) -> bool {
        let (entry, publisher) = (signed.entry(), signed.entry().publisher);
        match &entry.body {
            Body::Release(release) if release.purl.ty() == "docker" => {
                if !trusted {
                    let cost = release.tags.len() + 1;
                    let Some(room) = self.room.checked_sub(cost) else { return false };
                    self.room = room;
                }
                fresh.extend(self.take_release(signed));
            }
            Body::Status(status) if status.status == StatusKind::Yanked => {
                if let Target::Release(target) = &status.target {
                    let yanked = Arc::make_mut(&mut self.catalog.yanked);
                    yanked.insert((publisher, ReleaseId::from(*target)));
                    if trusted {
                        let named = status.references.iter().filter_map(|name| deleted(name));
                        let deleted = Arc::make_mut(&mut self.catalog.deleted);
                        deleted.extend(named.map(|(name, digest)| (publisher, name, digest)));
                    }
                }
            }
            _ => {}
        }
        self.feeds.entry(publisher).or_default().seen.insert(signed.id());
        true
    }

    fn take_release(&mut self, signed: &SignedEntry) -> Option<ImageRelease> {
        let (publisher, seq) = (signed.entry().publisher, signed.entry().seq);
        let (id, release) = signed.release()?;
        let mut roots: Vec<Digest> =
            release.purl.version().and_then(|version| version.parse().ok()).into_iter().collect();
        for (name, digest) in &release.tags {
            let (Some((repository, tag)), Some(digest)) =
                (Repository::with_tag(name), digest.parse().ok())
            else {
                continue;
            };
            let statement = Statement { publisher, release: id, seq, digest };
            let tag = tag.to_owned();
            self.catalog.image(repository).tags.entry(tag).or_default().push(statement);
            if !roots.contains(&digest) {
                roots.push(digest);
            }
        }
        let repository = Repository::of_purl(&release.purl)?;
        let image = ImageRelease { publisher, release: id, seq, list: release.artifacts, roots };
        self.catalog.image(repository).releases.push(image.clone());
        Some(image)
    }
}

/// The manifest and the repository that a deletion names: `registry/repository@digest`.
fn deleted(name: &str) -> Option<(Repository, Digest)> {
    let (repository, digest) = name.split_once('@')?;
    let (registry, path) = repository.split_once('/')?;
    Some((Repository::new(registry, path)?, digest.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use perennial_manifest::{ArtifactListRef, BlobId, Keypair, Release};
    use perennial_store::OpenOptions;

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

    #[test]
    fn strangers_get_a_share_and_followed_publishers_are_read_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), OpenOptions::default()).expect("a store");
        let key = Keypair::from_seed([1; 32]);
        for tag in ["v1", "v2", "v3"] {
            release(&store, &key, tag);
        }
        let repository = Repository::new("quay.io", "a/b").expect("a name");
        let mut reader = FeedReader::with_room(4);
        let mut tags = |trusted: bool| {
            let mut fresh = Vec::new();
            reader.refresh(&store, &|_| trusted, &mut fresh).expect("it reads");
            let image = reader.catalog().get(&repository).expect("an image");
            let said: Vec<usize> = image.tags.values().map(Vec::len).collect();
            (said, image.releases.len(), fresh.len())
        };
        assert_eq!(tags(false), (vec![1, 1], 2, 2));
        assert_eq!(tags(false), (vec![1, 1], 2, 0), "no more room, and nothing twice");
        assert_eq!(tags(true), (vec![1, 1, 1], 3, 1));
        release(&store, &key, "v4");
        assert_eq!(tags(true), (vec![1, 1, 1, 1], 4, 1));
    }
}
