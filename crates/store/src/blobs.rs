//! All bytes of a node: small blobs and entries in packs, large blobs as files, fetches in
//! progress.
//!
//! Owns `blobs/`, `packs/` and `partial/`, and how bytes get there; `reading` owns how they leave.
//! Does not know about releases: the catalog decides which blobs are wanted.

mod reading;
#[cfg(test)]
mod tests;

pub(crate) use reading::OpenBytes;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use perennial_manifest::{BlobId, EntryId, Sha256Digest};
use tokio::sync::watch;

use crate::durable;
use crate::error::StoreError;
use crate::large::{LargeBlobs, LargeInfo};
use crate::layout::Layout;
use crate::lease::Leases;
use crate::pack::{Kind, Packs, Record};
use crate::partial::{FetchProgress, Partial, ProgressChannels, paths};
use crate::space::Space;

/// The bytes of a store.
#[derive(Debug)]
pub(crate) struct Blobs {
    large: LargeBlobs,
    packs: Packs,
    space: Arc<Space>,
    leases: Leases,
    gate: RwLock<()>,
    tmp: PathBuf,
    partial: PathBuf,
    read_only: bool,
    fetching: Mutex<HashMap<(BlobId, u64), Weak<Partial>>>,
    progress: ProgressChannels,
}

impl Blobs {
    pub(crate) fn open(layout: &Layout, space: Arc<Space>) -> Result<Self, StoreError> {
        let large = LargeBlobs::new(layout.blobs());
        let read_only = layout.is_read_only();
        let packs = match read_only {
            true => Packs::open_to_read(&layout.packs(), Arc::clone(&space))?,
            false => Packs::open(&layout.packs(), Arc::clone(&space), &mut |blob, bytes| {
                large.keep_damaged(&blob, bytes)
            })?,
        };
        Ok(Self {
            large,
            packs,
            space,
            leases: Leases::default(),
            gate: RwLock::new(()),
            tmp: layout.tmp(),
            partial: layout.partial(),
            read_only,
            fetching: Mutex::default(),
            progress: ProgressChannels::default(),
        })
    }

    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }

    pub(crate) fn large(&self) -> &LargeBlobs {
        &self.large
    }

    pub(crate) fn packs(&self) -> &Packs {
        &self.packs
    }

    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    pub(crate) fn partial_dir(&self) -> &Path {
        &self.partial
    }

    /// Held shared by an add or a fetch that finds bytes here and relies on them, and exclusively
    /// by a collection, so that no one finds bytes that are about to be deleted.
    pub(crate) fn gate(&self) -> &RwLock<()> {
        &self.gate
    }

    /// The length of a held blob, according to its files. Its bytes are verified when they are
    /// read.
    pub(crate) fn size(&self, blob: &BlobId) -> Result<Option<u64>, StoreError> {
        if let Some(len) = self.packs.len_of(Kind::Blob, blob.as_bytes())? {
            return Ok(Some(u64::from(len)));
        }
        Ok(self.large.info(blob)?.map(|info| info.size))
    }

    /// The SHA-256 that this node computed for a held blob when it came.
    pub(crate) fn noted_sha256(&self, blob: &BlobId) -> Result<Option<Sha256Digest>, StoreError> {
        if let Some(sha256) = self.packs.sha256_of(blob)? {
            return Ok(Some(sha256));
        }
        Ok(self.large.info(blob)?.and_then(|info| info.sha256))
    }

    pub(crate) fn has(&self, blob: &BlobId) -> Result<bool, StoreError> {
        Ok(self.size(blob)?.is_some())
    }

    /// Marks a blob as needed now. Records in packs have no timestamps; a lease protects them.
    pub(crate) fn touch(&self, blob: &BlobId) -> Result<(), StoreError> {
        if self.large.info(blob)?.is_some() { self.large.touch(blob) } else { Ok(()) }
    }

    /// Drops small blobs, except those for whose neighbours there is no room to be written anew.
    /// Returns the bytes that went. The caller holds the gate.
    pub(crate) fn compact(&self, dead: &dyn Fn(&BlobId) -> bool) -> Result<u64, StoreError> {
        let dead =
            |kind: Kind, key: &[u8; 32]| kind == Kind::Blob && dead(&BlobId::from_bytes(*key));
        self.packs.compact(&dead, &mut self.keep())
    }

    /// Makes sure that entries can be dropped: that there is room to write their packs anew.
    pub(crate) fn check_room_to_drop(&self, gone: &HashSet<EntryId>) -> Result<(), StoreError> {
        self.packs.check_room_to_compact(&|kind, key| {
            kind == Kind::Entry && gone.contains(&EntryId::from_bytes(*key))
        })
    }

    /// Drops entries. The caller holds the gate and the lock of writes.
    pub(crate) fn drop_entries(&self, gone: &HashSet<EntryId>) -> Result<(), StoreError> {
        let dead = |kind: Kind, key: &[u8; 32]| {
            kind == Kind::Entry && gone.contains(&EntryId::from_bytes(*key))
        };
        self.packs.compact(&dead, &mut self.keep()).map(drop)
    }

    /// The fetch of a large blob, shared by all its users.
    pub(crate) fn partial(&self, blob: BlobId, size: u64) -> Result<Arc<Partial>, StoreError> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.retain(|_, partial| partial.strong_count() > 0);
        // Keyed by size too: a peer that claims another size gets a fetch of its own and spoils
        // none.
        if let Some(partial) = fetching.get(&(blob, size)).and_then(Weak::upgrade) {
            return Ok(partial);
        }
        let progress = self.progress.of(&blob);
        // Refused before bytes cross the network that cannot all be kept. Nothing is taken: the
        // size is a claim.
        let is_new = !paths(&self.partial, &blob, size).0.exists();
        if is_new {
            self.space.check_for(&blob, size, &self.partial)?;
        }
        let partial = Partial::open(&self.partial, blob, size, progress, Arc::clone(&self.space))?;
        if !is_new {
            self.space.check_for(&blob, size - partial.have_bytes(), &self.partial)?;
        }
        let partial = Arc::new(partial);
        fetching.insert((blob, size), Arc::downgrade(&partial));
        // After the insertion: readers that are woken look the fetch up.
        drop(fetching);
        partial.tell_progress(false);
        Ok(partial)
    }

    /// The fetch of a blob in progress. Fetches of one blob differ in the claimed size; the one
    /// with most bytes is the right one, because under a false size nothing verifies.
    pub(crate) fn fetching(&self, blob: &BlobId) -> Option<Arc<Partial>> {
        let fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let of_blob = fetching.iter().filter(|(key, _)| key.0 == *blob);
        of_blob
            .filter_map(|(_, partial)| partial.upgrade())
            .max_by_key(|partial| partial.have_bytes())
    }

    /// The channel for the progress of a blob's fetches.
    pub(crate) fn progress(&self, blob: &BlobId) -> Arc<watch::Sender<FetchProgress>> {
        self.progress.of(blob)
    }

    /// Makes a complete fetch a blob of the store.
    pub(crate) fn complete(&self, partial: &Partial) -> Result<(), StoreError> {
        let blob = partial.blob();
        if !partial.is_complete() {
            return Err(StoreError::Broken { blob, source: io::ErrorKind::UnexpectedEof.into() });
        }
        let sha256 = partial.hash_rest()?;
        // Between its two renames the blob looks like a leftover, which a collection would remove.
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (blob, partial.size());
        // Several streams may find one fetch complete. After the first has made it a blob, its path
        // may belong to a new fetch, whose file must not replace the blob.
        let is_open = |other: &Weak<Partial>| std::ptr::eq(other.as_ptr(), partial);
        if !fetching.get(&key).is_some_and(is_open) {
            return match self.has(&blob)? {
                true => Ok(()),
                false => Err(StoreError::io(&self.partial, io::ErrorKind::NotFound.into())),
            };
        }
        fetching.remove(&key);
        partial.publish(&self.large, sha256)?;
        durable::sync_dir(&self.large.dir_of(&blob))?;
        partial.tell_progress(true);
        Ok(())
    }

    pub(crate) fn append_entry(&self, id: [u8; 32], encoded: Vec<u8>) -> Result<(), StoreError> {
        self.packs.append(&Record::entry(id, encoded))
    }

    pub(crate) fn entry(&self, id: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.packs.read(Kind::Entry, id) {
            Err(StoreError::Corrupt { .. }) => {
                Err(StoreError::DamagedEntry(EntryId::from_bytes(*id)))
            }
            other => Ok(other?.map(|record| record.content)),
        }
    }

    /// Entries whose ids begin with these bytes, about `limit` at most.
    pub(crate) fn entries_with(
        &self,
        prefix: &[u8],
        limit: usize,
    ) -> Result<BTreeSet<[u8; 32]>, StoreError> {
        self.packs.keys_with(Kind::Entry, prefix, limit)
    }

    /// Visits all held large blobs.
    pub(crate) fn each_large(
        &self,
        visit: &mut dyn FnMut(BlobId, LargeInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.large.each("obao", &mut |blob| match self.large.info(&blob)? {
            Some(info) => visit(blob, info),
            None => Ok(()),
        })
    }
}
