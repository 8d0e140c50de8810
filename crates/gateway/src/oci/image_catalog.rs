//! The images that releases speak of, in memory: which tags, which digests, said by whom.
//!
//! Memo of the store's entries and kept in step with them: where a feed grew, its new entries are read, and no others.
//! Holds no bytes and decides nothing about trust ([`super::policy`] does). Bounded: strangers get a share, followed
//! publishers as much as they sign.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use perennial_manifest::{
    ArtifactListRef, Body, EntryId, FeedState, PublisherId, ReleaseId, SignedEntry, StatusKind,
    Target,
};
use perennial_store::{Store, StoreError};

use super::digest::Digest;
use super::name::{Named, Repository};

/// Most statements of strangers that are kept: anybody can sign any number.
const STRANGERS: usize = 100_000;

/// A release that says what a tag means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) publisher: PublisherId,
    pub(crate) release: ReleaseId,
    pub(crate) seq: u64,
    pub(crate) digest: Digest,
}

/// A release of an image.
#[derive(Debug, Clone)]
pub(crate) struct ImageRelease {
    pub(crate) publisher: PublisherId,
    pub(crate) release: ReleaseId,
    pub(crate) seq: u64,
    pub(crate) list: ArtifactListRef,
    /// The manifests that it is a release of: its tags', or its version's.
    pub(crate) roots: Vec<Digest>,
}

/// What is said of a repository.
#[derive(Debug, Default)]
pub(crate) struct Image {
    pub(crate) tags: BTreeMap<String, Vec<Statement>>,
    pub(crate) releases: Vec<ImageRelease>,
}

/// How far a feed was read.
#[derive(Debug, Default)]
struct Read {
    state: FeedState,
    seen: HashSet<EntryId>,
    /// Whether all of it was taken in: not so where a bound was met, or an entry did not read back.
    whole: bool,
}

/// All images known.
#[derive(Debug)]
pub(crate) struct ImageCatalog {
    read: HashMap<PublisherId, Read>,
    images: BTreeMap<Repository, Image>,
    /// Selection registries have a repository of a path.
    registries: BTreeMap<String, BTreeSet<String>>,
    yanked: HashSet<(PublisherId, ReleaseId)>,
    /// Room that is left for statements of strangers.
    room: usize,
    /// Releases that came with the last refreshes and were not asked for yet.
    fresh: Vec<ImageRelease>,
    generation: Option<u64>,
}

impl Default for ImageCatalog {
    fn default() -> Self {
        Self::with_room(STRANGERS)
    }
}

impl ImageCatalog {
    fn with_room(room: usize) -> Self {
        Self {
            read: HashMap::new(),
            images: BTreeMap::new(),
            registries: BTreeMap::new(),
            yanked: HashSet::new(),
            room,
            fresh: Vec::new(),
            generation: None,
        }
    }

    /// Takes in what the store got since.
    pub(crate) fn refresh(
        &mut self,
        store: &Store,
        trusted: &dyn Fn(&PublisherId) -> bool,
    ) -> Result<(), StoreError> {
        // asked for first: what comes meanwhile is then read next time at the latest
        let generation = store.generation();
        let missed = |(id, read): (&PublisherId, &Read)| !read.whole && trusted(id);
        if self.generation == Some(generation) && !self.read.iter().any(missed) {
            return Ok(());
        }
        for (publisher, state) in store.publishers()? {
            let trusted = trusted(&publisher);
            let read = self.read.entry(publisher).or_default();
            if read.state == state && (read.whole || !trusted) {
                continue;
            }
            let times = store.times(Some(&[publisher]))?;
            let new: Vec<EntryId> =
                times.into_iter().map(|(_, id)| id).filter(|id| !read.seen.contains(id)).collect();
            let mut whole = true;
            for id in new {
                match store.entry(&id) {
                    Ok(Some(signed)) => whole &= self.take(&signed, trusted),
                    Ok(None) | Err(StoreError::DamagedEntry(_)) => whole = false,
                    Err(error) => return Err(error),
                }
            }
            let read = self.read.entry(publisher).or_default();
            (read.state, read.whole) = (state, whole);
        }
        self.generation = Some(generation);
        Ok(())
    }

    /// Takes an entry in; false where there is no room for it.
    fn take(&mut self, signed: &SignedEntry, trusted: bool) -> bool {
        let (entry, publisher) = (signed.entry(), signed.entry().publisher);
        match &entry.body {
            Body::Release(release) if release.purl.ty() == "docker" => {
                if !trusted {
                    let cost = release.tags.len() + 1;
                    let Some(room) = self.room.checked_sub(cost) else { return false };
                    self.room = room;
                }
                self.take_release(signed);
            }
            Body::Status(status) if status.status == StatusKind::Yanked => {
                if let Target::Release(target) = &status.target {
                    self.yanked.insert((publisher, ReleaseId::from(*target)));
                }
            }
            _ => {}
        }
        self.read.entry(publisher).or_default().seen.insert(signed.id());
        true
    }

    fn take_release(&mut self, signed: &SignedEntry) {
        let (publisher, seq) = (signed.entry().publisher, signed.entry().seq);
        let Some((id, release)) = signed.release() else { return };
        let mut roots: Vec<Digest> =
            release.purl.version().and_then(Digest::parse).into_iter().collect();
        for (name, digest) in &release.tags {
            let (Some((repository, tag)), Some(digest)) =
                (Repository::with_tag(name), Digest::parse(digest))
            else {
                continue;
            };
            let statement = Statement { publisher, release: id, seq, digest };
            let tag = tag.to_owned();
            self.image(repository).tags.entry(tag).or_default().push(statement);
            if !roots.contains(&digest) {
                roots.push(digest);
            }
        }
        if let Some(repository) = Repository::of_purl(&release.purl) {
            let image =
                ImageRelease { publisher, release: id, seq, list: release.artifacts, roots };
            self.fresh.push(image.clone());
            self.image(repository).releases.push(image);
        }
    }

    fn image(&mut self, repository: Repository) -> &mut Image {
        let registries = self.registries.entry(repository.path.clone()).or_default();
        registries.insert(repository.registry.clone());
        self.images.entry(repository).or_default()
    }

    /// Releases that came since this was asked last.
    pub(crate) fn take_fresh(&mut self) -> Vec<ImageRelease> {
        std::mem::take(&mut self.fresh)
    }

    /// What is said of a repository.
    pub(crate) fn get(&self, repository: &Repository) -> Option<&Image> {
        self.images.get(repository)
    }

    /// All repositories, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Repository, &Image)> {
        self.images.iter()
    }

    /// The repositories that a name may mean: one that is told, or those of any registry; docker.io's own under `library/` too.
    pub(crate) fn meant(&self, name: &Named) -> Vec<Repository> {
        let path = match name {
            Named::Full(repository) => return vec![repository.clone()],
            Named::Bare(path) => path,
        };
        let library = format!("library/{path}");
        let of = |path: &str| -> Vec<Repository> {
            let registries = self.registries.get(path).into_iter().flatten();
            registries
                .map(|registry| Repository { registry: registry.clone(), path: path.to_owned() })
                .collect()
        };
        let mut meant = of(path);
        if !path.contains('/') {
            meant.extend(of(&library).into_iter().filter(|r| r.registry == "docker.io"));
        }
        meant
    }

    /// Whether a publisher took a release back.
    pub(crate) fn is_yanked(&self, publisher: &PublisherId, release: &ReleaseId) -> bool {
        self.yanked.contains(&(*publisher, *release))
    }

    /// Whether a publisher signed two histories.
    pub(crate) fn is_forked(&self, publisher: &PublisherId) -> bool {
        self.read.get(publisher).is_some_and(|read| read.state.is_forked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_manifest::{BlobId, Entry, Keypair, Purl, Release};
    use perennial_store::OpenOptions;

    fn release(store: &Store, key: &Keypair, tag: &str) {
        let next = store.feed(&key.id()).expect("a feed").next(None).expect("a place");
        let list = ArtifactListRef { blob: BlobId::of(b""), count: 1, bytes: 1, size: 1 };
        let digest = format!("sha256:{}", "0".repeat(64));
        let body = Body::Release(Box::new(Release {
            purl: Purl::parse(&format!("pkg:docker/a/b@{tag}?repository_url=quay.io"))
                .expect("a package URL"),
            license: "MIT".into(),
            license_texts: Vec::new(),
            artifacts: list,
            source: None,
            acquired: None,
            tags: BTreeMap::from([(format!("quay.io/a/b:{tag}"), digest)]),
            notes: None,
        }));
        let entry =
            Entry { publisher: key.id(), seq: next.seq, prevs: next.prevs, issued_at: 1, body };
        store.put_entries(&[entry.sign(key).expect("a signature")]).expect("it is taken");
    }

    #[test]
    fn strangers_get_a_share_and_all_of_them_is_read_once_they_are_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), OpenOptions::default()).expect("a store");
        let key = Keypair::from_seed([1; 32]);
        for tag in ["v1", "v2", "v3"] {
            release(&store, &key, tag);
        }
        let repository = Repository { registry: "quay.io".into(), path: "a/b".into() };
        let mut catalog = ImageCatalog::with_room(4);
        let mut tags = |trusted: bool| {
            catalog.refresh(&store, &|_| trusted).expect("it reads");
            let image = catalog.get(&repository).expect("an image");
            let said: Vec<usize> = image.tags.values().map(Vec::len).collect();
            (said, image.releases.len(), catalog.take_fresh().len())
        };
        assert_eq!(tags(false), (vec![1, 1], 2, 2));
        assert_eq!(tags(false), (vec![1, 1], 2, 0), "no more room, and nothing twice");
        assert_eq!(tags(true), (vec![1, 1, 1], 3, 1));
        release(&store, &key, "v4");
        assert_eq!(tags(true), (vec![1, 1, 1, 1], 4, 1));
    }
}
