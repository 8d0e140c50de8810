//! The store as its users see it: open it, put entries, add and read blobs, decide what is kept.
//!
//! Owns the order of operations across the parts, and what happens when the index fails: reads that need only files go
//! on, nothing is taken in, and the next write tries to open the index again, rebuilding it where it is not to be believed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use perennial_manifest::{
    Admit, ArtifactList, ArtifactListRef, BlobId, EntryId, FeedState, PublisherId, PublisherKind, ReleaseId,
    Sha256Digest, SignedEntry,
};

use crate::batch::Batch;
use crate::blobs::Blobs;
use crate::catalog::{Catalog, Put, ReleaseFilter, ReleaseRow, Source};
use crate::error::StoreError;
use crate::keys::ReleaseState;
use crate::layout::{Layout, OpenError};
use crate::lease::Lease;
use crate::meta::MetaIndex;
use crate::partial::{self, Partial};
use crate::rebuild;
use crate::state::{Follows, Pin, State};

/// Where the index is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IndexKind {
    /// In sled, beside the blobs.
    #[default]
    Sled,
    /// In memory, made again at every start: for tests.
    Memory,
}

/// How to open a store.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Where the index is kept.
    pub index: IndexKind,
}

/// What a store holds, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries known.
    pub entries: u64,
    /// Releases known.
    pub releases: u64,
    /// Releases held whole.
    pub held: u64,
    /// Blobs here.
    pub blobs: u64,
    /// Bytes on this disk.
    pub stored_bytes: u64,
    /// Blobs that were found damaged and set aside, and did not come again yet.
    pub quarantined: u64,
    /// Bytes of all held releases, as if nothing were shared.
    pub logical_bytes: u64,
}

/// How much of a blob is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// All of it.
    Held {
        /// Bytes.
        size: u64,
    },
    /// A fetch is under way.
    Partial {
        /// Bytes that are here and verified.
        have: u64,
    },
    /// None of it.
    Missing,
    /// The user refuses it.
    Denied,
}

/// A node's store. Clones share it.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) blobs: Blobs,
    pub(crate) state: State,
    pub(crate) index: RwLock<Arc<dyn MetaIndex>>,
    /// Taken by everything that changes the index, so that feeds are read and written as one.
    pub(crate) writing: Mutex<()>,
    pub(crate) layout: Layout,
    kind: IndexKind,
    rebuilt: Mutex<Option<String>>,
    generation: std::sync::atomic::AtomicU64,
}

impl Store {
    /// Opens the store in a directory, and makes it where there is none. An index that is missing, damaged or behind is
    /// moved aside and made again from the files; [`Store::rebuilt`] then says why.
    pub fn open(dir: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        let OpenOptions { index: kind } = options;
        let layout = Layout::open(dir)?;
        let blobs = Blobs::open(&layout)?;
        let state = State::open(&layout.state())?;
        let opened = rebuild::open_index(&layout, &blobs, &state, kind)?;
        Ok(Self(Arc::new(Inner {
            blobs,
            state,
            index: RwLock::new(opened.index),
            writing: Mutex::new(()),
            layout,
            kind,
            rebuilt: Mutex::new(opened.rebuilt),
            generation: std::sync::atomic::AtomicU64::new(0),
        })))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Why the index was made again since the store was opened, if it was.
    #[must_use]
    pub fn rebuilt(&self) -> Option<String> {
        self.0.rebuilt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the index again from the files, whatever state it is in. Returns how many entries it has then.
    pub fn rebuild_index(&self) -> Result<u64, StoreError> {
        let _writing = self.0.lock();
        self.0.renew("asked for", true)?;
        self.0.ask(|catalog| catalog.count())
    }

    /// Whether others use this store too: its lock goes with the last of them.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.0.layout.root()
    }

    // ---- bytes

    /// Starts adding blobs.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        self.0.blobs.batch()
    }

    /// Takes in small blobs that were fetched; each is stored under the name its bytes have.
    pub fn add_small(&self, blobs: Vec<Vec<u8>>) -> Result<Lease, StoreError> {
        self.0.blobs.add_small(blobs)
    }

    /// How much of a blob is here.
    pub fn blob_state(&self, blob: &BlobId) -> Result<BlobState, StoreError> {
        if self.0.state.is_denied(blob) {
            return Ok(BlobState::Denied);
        }
        if let Some(size) = self.0.blobs.size(blob)? {
            return Ok(BlobState::Held { size });
        }
        let have = self.0.blobs.fetching(blob).map(|partial| partial.have_bytes());
        Ok(have.map_or(BlobState::Missing, |have| BlobState::Partial { have }))
    }

    /// The length of a blob that is held and not denied.
    pub fn blob_size(&self, blob: &BlobId) -> Result<Option<u64>, StoreError> {
        if self.0.state.is_denied(blob) { Ok(None) } else { self.0.blobs.size(blob) }
    }

    /// Copies a blob out. What was written is only to be used if this returns `Ok`. Gives the SHA-256 of the bytes.
    pub fn copy_out(&self, blob: &BlobId, out: &mut dyn Write) -> Result<Sha256Digest, StoreError> {
        self.refuse_denied(blob)?;
        self.noting_damage(self.0.blobs.copy_out(blob, out))
    }

    /// Writes the bao encoding of byte ranges (16 KiB groups), each group verified before it is written.
    pub fn encode(&self, blob: &BlobId, ranges: &[Range<u64>], out: impl Write) -> Result<(), StoreError> {
        self.refuse_denied(blob)?;
        self.noting_damage(self.0.blobs.encode(blob, ranges, out))
    }

    /// A blob that turned out damaged makes the releases that name it less than held, and wanted where they are followed.
    fn noting_damage<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Corrupt { blob }) = &outcome
            && let Err(error) = self.unhold(blob)
        {
            tracing::error!(%blob, %error, "releases that name a damaged blob are still listed as held");
        }
        outcome
    }

    fn unhold(&self, blob: &BlobId) -> Result<(), StoreError> {
        let mut naming = Vec::new();
        for row in self.releases(&ReleaseFilter::default())? {
            let names = |list: ArtifactList| list.iter().any(|artifact| artifact.blake3 == *blob);
            if row.state != ReleaseState::Known
                && (row.artifacts.blob == *blob || self.read_list(&row.artifacts)?.is_some_and(names))
            {
                naming.push(row);
            }
        }
        self.refresh_rows(&naming)
    }

    /// The fetch of a blob of more than [`crate::SMALL`] bytes, shared by all who fetch it.
    pub fn partial(&self, blob: BlobId, size: u64) -> Result<Arc<Partial>, StoreError> {
        self.refuse_denied(&blob)?;
        self.0.blobs.partial(blob, size)
    }

    /// Whether a fetch of this blob was begun and left something to go on from.
    #[must_use]
    pub fn has_partial(&self, blob: &BlobId, size: u64) -> bool {
        partial::paths(self.0.blobs.partial_dir(), blob, size).0.exists()
    }

    /// Makes a fetched blob one of the store's; it lasts once this returned.
    pub fn complete(&self, partial: &Partial) -> Result<(), StoreError> {
        self.0.blobs.complete(partial)
    }

    /// Reads the bao encoding of a whole small blob from a peer, and verifies it.
    pub fn decode_small(blob: BlobId, size: u64, input: impl Read) -> Result<Vec<u8>, StoreError> {
        partial::decode_small(blob, size, input)
    }

    /// Keeps blobs from being collected until the lease is dropped.
    #[must_use]
    pub fn lease(&self, blobs: Vec<BlobId>) -> Lease {
        let _gate = self.0.blobs.gate().read().unwrap_or_else(PoisonError::into_inner);
        self.0.blobs.leases().take(blobs)
    }

    /// The blob with this SHA-256: by this node's own hashing, else by what a signed list says. Hash it before it is believed.
    pub fn blob_of_sha256(&self, sha256: &Sha256Digest) -> Result<Option<BlobId>, StoreError> {
        if let Some(blob) = self.0.blobs.blob_of(sha256)? {
            return Ok(Some(blob));
        }
        self.0.read(|catalog| match catalog.large_of(sha256.as_bytes())? {
            Some(blob) if self.0.blobs.has(&blob)? => Ok(Some(blob)),
            _ => catalog.claimed(sha256.as_bytes()),
        })
    }

    /// Notes the SHA-256 of large blobs that this node computed.
    pub fn note_sha256(&self, pairs: &[(Sha256Digest, BlobId)]) -> Result<(), StoreError> {
        let pairs: Vec<_> = pairs.iter().map(|(sha256, blob)| (*sha256.as_bytes(), *blob)).collect();
        self.0.write(|catalog| catalog.note_large(&pairs))
    }

    fn refuse_denied(&self, blob: &BlobId) -> Result<(), StoreError> {
        if self.0.state.is_denied(blob) { Err(StoreError::Denied(*blob)) } else { Ok(()) }
    }

    // ---- entries

    /// Takes entries in, in order; all that were admitted last once this returned. The highest seen of feeds that are
    /// followed is remembered outside the index, orphans included.
    pub fn put_entries(&self, entries: &[SignedEntry]) -> Result<Vec<Put>, StoreError> {
        let (puts, follows) = self.0.write(|catalog| {
            // asked for under the lock, so that a follow that comes meanwhile finds these, or they find it
            let follows = self.0.state.follows();
            let puts = catalog.put(entries, Source::Outside, &|publisher| follows.keeps(publisher))?;
            Ok((puts, follows))
        })?;
        let seen: Vec<_> = entries
            .iter()
            .zip(&puts)
            .filter(|(signed, put)| {
                let publisher = &signed.entry().publisher;
                let counts = matches!(put.admit, Admit::New | Admit::Fork(_) | Admit::Orphan(_));
                counts && (follows.names(publisher) || self.0.state.seen(publisher).is_some())
            })
            .map(|(signed, put)| (signed.entry().publisher, signed.entry().seq, put.id))
            .collect();
        self.0.state.see(&seen)?;
        self.0.generation.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(puts)
    }

    /// Starts to remember the highest entry of a publisher: called for this node's own key.
    pub fn watch(&self, publisher: &PublisherId) -> Result<(), StoreError> {
        match self.feed(publisher)?.highest() {
            Some((seq, id)) => self.0.state.see(&[(*publisher, seq, id)]),
            None => Ok(()),
        }
    }

    /// The highest entry ever seen of a publisher that is followed or watched, stored or not.
    #[must_use]
    pub fn seen(&self, publisher: &PublisherId) -> Option<(u64, EntryId)> {
        self.0.state.seen(publisher)
    }

    /// Remembers that an entry of a publisher exists, stored or not.
    pub fn see(&self, publisher: &PublisherId, seq: u64, id: EntryId) -> Result<(), StoreError> {
        self.0.state.see(&[(*publisher, seq, id)])
    }

    /// A stored entry.
    pub fn entry(&self, id: &EntryId) -> Result<Option<SignedEntry>, StoreError> {
        self.0.read(|catalog| catalog.entry(id))
    }

    /// Whether an entry is stored.
    pub fn has_entry(&self, id: &EntryId) -> Result<bool, StoreError> {
        Ok(self.0.blobs.packs().len_of(crate::pack::Kind::Entry, id.as_bytes())?.is_some())
    }

    /// What is known of a feed; empty where nothing is.
    pub fn feed(&self, publisher: &PublisherId) -> Result<FeedState, StoreError> {
        self.0.read(|catalog| Ok(catalog.publisher(publisher)?.map(|value| value.feed).unwrap_or_default()))
    }

    /// What a publisher says it is, in its newest profile.
    pub fn publisher_kind(&self, publisher: &PublisherId) -> Result<Option<PublisherKind>, StoreError> {
        self.0.read(|catalog| Ok(catalog.publisher(publisher)?.and_then(|value| value.kind)))
    }

    /// All publishers with entries here, and their feeds.
    pub fn publishers(&self) -> Result<BTreeMap<PublisherId, FeedState>, StoreError> {
        self.0.read(|catalog| {
            Ok(catalog.publishers()?.into_iter().map(|(id, value)| (id, value.feed)).collect())
        })
    }

    /// `(issued_at, id)` of all entries of some publishers, or of all: what reconciliation compares.
    pub fn times(&self, publishers: Option<&[PublisherId]>) -> Result<Vec<(u64, EntryId)>, StoreError> {
        self.0.read(|catalog| catalog.times(publishers))
    }

    /// How many entries are stored.
    pub fn entry_count(&self) -> Result<u64, StoreError> {
        self.0.read(|catalog| catalog.count())
    }

    /// Grows with every put since the store was opened.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(std::sync::atomic::Ordering::SeqCst)
    }

    // ---- releases

    /// Releases that a filter lets through.
    pub fn releases(&self, filter: &ReleaseFilter) -> Result<Vec<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.releases(filter))
    }

    /// One release.
    pub fn release(&self, id: &ReleaseId) -> Result<Option<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.release(id))
    }

    /// Releases by words of their names.
    pub fn search(&self, text: &str, limit: usize) -> Result<Vec<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.search(text, limit))
    }

    /// The artifact list of a release, if it is here.
    pub fn artifact_list(&self, id: &ReleaseId) -> Result<Option<ArtifactList>, StoreError> {
        self.0.read(|catalog| catalog.artifact_list(id))
    }

    /// An artifact list by what a release says of it, if it is here.
    pub fn read_list(&self, claim: &ArtifactListRef) -> Result<Option<ArtifactList>, StoreError> {
        self.0.read(|catalog| catalog.read_list(claim))
    }

    /// Counts again how much of a release is here; to be called when blobs of it came or went.
    pub fn refresh_state(&self, id: &ReleaseId) -> Result<Option<ReleaseState>, StoreError> {
        self.0.write(|catalog| catalog.refresh(id, &self.0.state.follows()))
    }

    /// The same for many, also those whose statement is damaged.
    pub(crate) fn refresh_rows(&self, rows: &[ReleaseRow]) -> Result<(), StoreError> {
        self.0.write(|catalog| catalog.refresh_rows(rows, &self.0.state.follows()))
    }

    /// Releases of followed publishers that are not held, by ascending id, after `after`.
    pub fn wanted(&self, after: Option<&ReleaseId>, limit: usize) -> Result<Vec<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.wanted(after, limit))
    }

    // ---- decisions

    /// What may not be collected.
    #[must_use]
    pub fn pins(&self) -> BTreeSet<Pin> {
        self.0.state.pins()
    }

    /// Pins or unpins; whether that changed anything. It lasts once this returned.
    pub fn set_pin(&self, pin: Pin, pinned: bool) -> Result<bool, StoreError> {
        self.0.state.set_pin(pin, pinned)
    }

    /// Whose releases are fetched and kept.
    #[must_use]
    pub fn follows(&self) -> Follows {
        self.0.state.follows()
    }

    /// Replaces the follows; the releases that are wanted then follow from them. It lasts once this returned.
    pub fn set_follows(&self, follows: &Follows) -> Result<(), StoreError> {
        let before = self.0.state.follows();
        self.0.state.set_follows(follows.clone())?;
        self.0.write(|catalog| catalog.follow(Some(&before), follows))?;
        let newest = follows.publishers.keys().filter_map(|id| Some((*id, self.feed(id).ok()?.highest()?)));
        let newest: Vec<_> = newest.map(|(id, (seq, entry))| (id, seq, entry)).collect();
        self.0.state.see(&newest)
    }

    /// What the user refuses, and why.
    #[must_use]
    pub fn denied(&self) -> BTreeMap<BlobId, String> {
        self.0.state.denied()
    }

    /// Refuses a blob with a reason, or allows it again. Its bytes go with the next collection, its name stays.
    pub fn set_denied(&self, blob: BlobId, reason: Option<String>) -> Result<(), StoreError> {
        self.0.state.set_denied(blob, reason)
    }

    /// What is here, in numbers.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = self.0.read(|catalog| catalog.counts())?;
        self.0.blobs.packs().each(crate::pack::Kind::Blob, &mut |_, _| {
            stats.blobs += 1;
            Ok(())
        })?;
        self.0.blobs.each_large(&mut |_, info| {
            stats.blobs += 1;
            stats.stored_bytes += info.disk_bytes;
            Ok(())
        })?;
        for (blob, bytes) in self.0.blobs.leftovers()? {
            stats.quarantined += u64::from(self.0.blobs.is_quarantined(&blob)?);
            stats.stored_bytes += bytes;
        }
        stats.stored_bytes += self.0.blobs.packs().disk_bytes() + self.0.index().disk_bytes();
        Ok(stats)
    }
}

impl Inner {
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index(&self) -> Arc<dyn MetaIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the index. One that fails is in doubt: it is opened again, or made again, before the question is put once more.
    pub(crate) fn read<T>(
        &self,
        work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.ask(&work) {
            Err(StoreError::Index(_)) => self.write(work),
            other => other,
        }
    }

    /// Asks the index as it is.
    fn ask<T>(&self, work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let index = self.index();
        work(&Catalog { index: &*index, blobs: &self.blobs })
    }

    /// Changes the index. If it fails by itself, it is opened again before the next change, not retried on the same handle.
    pub(crate) fn write<T>(
        &self,
        work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _writing = self.lock();
        let mut outcome = self.ask(&work);
        for afresh in [false, true] {
            let Err(StoreError::Index(reason)) = &outcome else { break };
            tracing::error!(%reason, afresh, "the index failed; opening it again");
            self.renew(reason, afresh)?;
            outcome = self.ask(&work);
        }
        outcome
    }

    /// Lets go of the index and opens it again; from nothing if `afresh`. The caller holds the writing lock.
    pub(crate) fn renew(&self, reason: &str, afresh: bool) -> Result<(), StoreError> {
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // sled locks its files: the old handle goes before the new one comes. Its drop may panic on a full disk.
        let old = std::mem::replace(&mut *slot, Arc::new(crate::meta::Unavailable));
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(old)));
        let opened = rebuild::reopen_index(&self.layout, &self.blobs, &self.state, self.kind, afresh);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // what is known is still listed, from the packs; the next change tries again
                *slot = rebuild::read_only(&self.blobs, &self.state)?;
                return Err(error);
            }
        };
        *slot = opened.index;
        let why = opened.rebuilt.unwrap_or_else(|| reason.to_owned());
        *self.rebuilt.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        Ok(())
    }
}
