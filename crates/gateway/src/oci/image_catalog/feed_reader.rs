//! Reads the image releases of feeds into a catalog.
//!
//! Only feeds that changed are looked at, only their entries about images are read, and where a
//! feed grew, only its new ones. Bounded: untrusted publishers share a fixed number of statements,
//! followed publishers have no limit.

use std::collections::{BTreeSet, HashMap, HashSet};
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

/// What the last readings brought.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Image releases that are new, or read again.
    pub(crate) fresh: Vec<ImageRelease>,
    /// Publishers all of whose earlier releases are void; those that stay are among the fresh ones.
    pub(crate) void: BTreeSet<PublisherId>,
}

/// How far a feed has been read.
#[derive(Debug, Default)]
struct Read {
    state: FeedState,
    seen: HashSet<EntryId>,
    /// The room that its statements take.
    taken: usize,
    /// Cleared if an entry was left out, because a bound was reached or the entry is damaged.
    whole: bool,
}

impl Read {
    /// The number of the first entry not yet read, if the feed only went on from the last one.
    fn continues(&self, now: &FeedState) -> u64 {
        let ([(_, last)], [(_, newest)]) = (&self.state.heads[..], &now.heads[..]) else {
            return 0;
        };
        let came = now.entries.saturating_sub(self.state.entries);
        if self.whole && last + came == *newest { last + 1 } else { 0 }
    }
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

    /// Reads the entries that the store received since, and adds their image releases to `news`.
    pub(crate) fn refresh(
        &mut self,
        store: &Store,
        trusted: &BTreeSet<PublisherId>,
        news: &mut News,
    ) -> Result<(), StoreError> {
        // Read first: entries that arrive meanwhile belong to the next generation.
        let generation = store.generation();
        let mut changed = BTreeSet::new();
        if self.generation != Some(generation) {
            let known = self.generation.and_then(|then| store.changed_since(then));
            let void = match known {
                Some(feeds) => {
                    changed = feeds.grown;
                    changed.extend(&feeds.cut);
                    feeds.cut
                }
                None => {
                    changed = store.publishers()?.into_keys().collect();
                    self.cut(store)?
                }
            };
            self.forget(void, news);
        }
        let missed = |id: &&PublisherId| self.feeds.get(id).is_some_and(|read| !read.whole);
        changed.extend(trusted.iter().filter(missed));
        for publisher in changed {
            self.read(store, publisher, trusted.contains(&publisher), news)?;
        }
        self.generation = Some(generation);
        Ok(())
    }

    /// The publishers of whom entries that were read are no longer there.
    fn cut(&self, store: &Store) -> Result<BTreeSet<PublisherId>, StoreError> {
        let mut cut = BTreeSet::new();
        for (publisher, read) in &self.feeds {
            if store.feed(publisher)? != read.state {
                let there = store.entries_of_type(publisher, "docker", 0)?;
                let there: HashSet<EntryId> = there.into_iter().collect();
                cut.extend((!read.seen.is_subset(&there)).then_some(*publisher));
            }
        }
        Ok(cut)
    }

    /// Forgets what was read of some publishers.
    fn forget(&mut self, mut void: BTreeSet<PublisherId>, news: &mut News) {
        void.retain(|publisher| {
            let read = self.feeds.remove(publisher);
            self.room += read.as_ref().map_or(0, |read| read.taken);
            read.is_some_and(|read| !read.seen.is_empty())
        });
        if !void.is_empty() {
            self.catalog.forget(&void);
            news.fresh.retain(|release| !void.contains(&release.publisher));
            news.void.append(&mut void);
        }
    }

    /// Reads the new entries of a feed.
    fn read(
        &mut self,
        store: &Store,
        publisher: PublisherId,
        trusted: bool,
        news: &mut News,
    ) -> Result<(), StoreError> {
        let state = store.feed(&publisher)?;
        let read = self.feeds.entry(publisher).or_default();
        if read.state == state && (read.whole || !trusted) {
            return Ok(());
        }
        let mut new = store.entries_of_type(&publisher, "docker", read.continues(&state))?;
        new.retain(|id| !read.seen.contains(id));
        let mut whole = true;
        for id in new {
            match store.entry(&id) {
                Ok(Some(signed)) => whole &= self.take(&signed, trusted, &mut news.fresh),
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
                    self.feeds.entry(publisher).or_default().taken += cost;
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
mod tests;
