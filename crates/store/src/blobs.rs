//! All bytes of a node: small blobs and entries in packs, large blobs as files, fetches under way.
//!
//! Owns `blobs/`, `packs/` and `partial/`. Promises that whatever it gives out verified against its name on the way
//! (damage is set aside and reported, never handed on). Knows nothing of releases: what is wanted is the catalog's.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use bao_tree::io::EncodeError;
use bao_tree::io::outboard::PreOrderMemOutboard;
use bao_tree::io::sync::encode_ranges_validated;
use perennial_manifest::{BlobId, EntryId, Sha256Digest};

use crate::batch::Batch;
use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::large::{GROUP, LargeBlobs, LargeInfo, SMALL};
use crate::layout::Layout;
use crate::lease::Leases;
use crate::pack::{Kind, Packs, Record};
use crate::partial::{self, Partial};

/// The bytes of a store.
#[derive(Debug)]
pub(crate) struct Blobs {
    large: LargeBlobs,
    packs: Packs,
    leases: Leases,
    gate: RwLock<()>,
    tmp: PathBuf,
    partial: PathBuf,
    fetching: Mutex<HashMap<(BlobId, u64), Weak<Partial>>>,
}

impl Blobs {
    pub(crate) fn open(layout: &Layout) -> Result<Self, StoreError> {
        let large = LargeBlobs::new(layout.blobs());
        let packs = Packs::open(&layout.packs(), &mut |blob, bytes| large.keep_damaged(&blob, bytes))?;
        Ok(Self {
            large,
            packs,
            leases: Leases::default(),
            gate: RwLock::new(()),
            tmp: layout.tmp(),
            partial: layout.partial(),
            fetching: Mutex::default(),
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

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    pub(crate) fn partial_dir(&self) -> &Path {
        &self.partial
    }

    /// Taken shared by whoever finds bytes here and means to rely on them, and alone by the collection: so that nothing is
    /// found here that is just going.
    pub(crate) fn gate(&self) -> &RwLock<()> {
        &self.gate
    }

    pub(crate) fn batch(&self, denied: BTreeMap<BlobId, String>) -> Batch<'_> {
        Batch::new(self, self.leases.take(Vec::new()), denied)
    }

    /// The length of a blob that is here, by its files; its bytes are checked when they are read.
    pub(crate) fn size(&self, blob: &BlobId) -> Result<Option<u64>, StoreError> {
        if let Some(len) = self.packs.len_of(Kind::Blob, blob.as_bytes())? {
            return Ok(Some(u64::from(len)));
        }
        Ok(self.large.info(blob)?.map(|info| info.size))
    }

    pub(crate) fn has(&self, blob: &BlobId) -> Result<bool, StoreError> {
        Ok(self.size(blob)?.is_some())
    }

    /// Notes that somebody needs a blob now. Records in packs have no time of their own: the lease spares them.
    pub(crate) fn touch(&self, blob: &BlobId) -> Result<(), StoreError> {
        if self.large.info(blob)?.is_some() { self.large.touch(blob) } else { Ok(()) }
    }

    /// A blob by the SHA-256 that this node computed when it was added.
    pub(crate) fn blob_of(&self, sha256: &Sha256Digest) -> Result<Option<BlobId>, StoreError> {
        self.packs.blob_of(sha256)
    }

    /// A whole small blob, verified. One that is damaged is set aside on the way.
    pub(crate) fn small(&self, blob: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        match self.packs.read(Kind::Blob, blob.as_bytes()) {
            Ok(record) => Ok(record.map(|record| record.content)),
            Err(error) => {
                if matches!(error, StoreError::Corrupt { .. }) {
                    self.set_aside(blob)?;
                }
                Err(error)
            }
        }
    }

    /// Copies a blob out; what was written is only to be used if this returns, because the name is checked at the end.
    /// Returns the SHA-256 of the bytes on the way.
    pub(crate) fn copy_out(&self, blob: &BlobId, out: &mut dyn Write) -> Result<Sha256Digest, StoreError> {
        let mut out = Receiver { out, failed: false };
        let target = Path::new("output");
        if let Some(bytes) = self.small(blob)? {
            out.write_all(&bytes).at(target)?;
            return Ok(crate::hashing::names_of(&bytes).1);
        }
        let large = self.large.open(blob)?.ok_or(StoreError::NotHeld(*blob))?;
        let pass = crate::hashing::plain(Read::take(&large.data, large.size), &mut out);
        let pass = pass.map_err(|source| match out.failed {
            true => StoreError::io(target, source),
            false => StoreError::io(&self.large.path(blob, "blob"), source),
        })?;
        if pass.0 != *blob {
            self.set_aside(blob)?;
            return Err(StoreError::Corrupt { blob: *blob });
        }
        Ok(pass.1)
    }

    /// Writes the bao encoding of byte ranges of a blob; every group is verified before it is written.
    pub(crate) fn encode(
        &self,
        blob: &BlobId,
        ranges: &[Range<u64>],
        out: impl Write,
    ) -> Result<(), StoreError> {
        let chunks = partial::chunks(ranges);
        let mut out = Receiver { out, failed: false };
        let outcome = if let Some(bytes) = self.small(blob)? {
            encode_ranges_validated(&bytes[..], PreOrderMemOutboard::create(&bytes, GROUP), &chunks, &mut out)
        } else {
            let large = self.large.open(blob)?.ok_or(StoreError::NotHeld(*blob))?;
            encode_ranges_validated(&large.data, &large.tree, &chunks, &mut out)
        };
        outcome.map_err(|error| self.blame(blob, error, out.failed))
    }

    /// What an encoding that ended early says: that the bytes here are damaged, that our disk failed, or the receiver.
    pub(crate) fn blame(&self, blob: &BlobId, error: EncodeError, receiver: bool) -> StoreError {
        let source = match error {
            EncodeError::ParentHashMismatch(_)
            | EncodeError::LeafHashMismatch(_)
            | EncodeError::SizeMismatch => None,
            EncodeError::ParentWrite(_) | EncodeError::LeafWrite(_) => {
                Some(io::Error::from(io::ErrorKind::BrokenPipe))
            }
            EncodeError::Io(source) => Some(source),
        };
        match source {
            Some(source) if receiver => StoreError::Broken { blob: *blob, source },
            Some(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                StoreError::io(&self.large.path(blob, "blob"), source)
            }
            // an end that comes too early is damage too: the length was right when it was opened
            _ => match self.set_aside(blob) {
                Ok(()) => StoreError::Corrupt { blob: *blob },
                Err(error) => error,
            },
        }
    }

    /// Reads a whole blob and compares it with its name.
    pub(crate) fn check(&self, blob: &BlobId) -> Result<u64, StoreError> {
        let size = self.size(blob)?.ok_or(StoreError::NotHeld(*blob))?;
        if size > SMALL || self.small(blob)?.is_none() {
            // by the encoding, so that a damaged tree is found as well as damaged bytes
            #[expect(clippy::single_range_in_vec_init, reason = "one range is meant")]
            self.encode(blob, &[0..size], io::sink())?;
        }
        Ok(size)
    }

    fn set_aside(&self, blob: &BlobId) -> Result<(), StoreError> {
        tracing::error!(%blob, "stored bytes do not match their name; set aside");
        self.packs.forget_damaged(blob, &mut self.keep())?;
        self.large.quarantine(blob)
    }

    /// Keeps the damaged bytes of a small blob where those of large ones are kept.
    fn keep(&self) -> impl FnMut(BlobId, &[u8]) -> Result<(), StoreError> {
        |blob, bytes| self.large.keep_damaged(&blob, bytes)
    }

    /// Drops small blobs; the caller holds the gate.
    pub(crate) fn compact(&self, dead: &dyn Fn(&BlobId) -> bool) -> Result<(), StoreError> {
        self.packs.compact(dead, &mut self.keep()).map(drop)
    }

    /// Whether bytes that were to be this blob are here, and are not it.
    pub(crate) fn is_quarantined(&self, blob: &BlobId) -> Result<bool, StoreError> {
        Ok(self.large.has_damage(blob) && !self.has(blob)?)
    }

    /// Blobs that are not here and have files here all the same: damaged ones, and what a killed process left. With the
    /// length of what is kept aside.
    pub(crate) fn leftovers(&self) -> Result<BTreeMap<BlobId, u64>, StoreError> {
        let mut found = BTreeMap::new();
        for extension in ["damaged", "obao"] {
            self.large.each(extension, &mut |blob| {
                if !self.has(&blob)? {
                    found.insert(blob, self.large.damaged_bytes(&blob));
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// The fetch of a large blob, shared by all who fetch it.
    pub(crate) fn partial(&self, blob: BlobId, size: u64) -> Result<Arc<Partial>, StoreError> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.retain(|_, partial| partial.strong_count() > 0);
        // by size too: a peer that claims another one starts a fetch of its own and spoils none
        if let Some(partial) = fetching.get(&(blob, size)).and_then(Weak::upgrade) {
            return Ok(partial);
        }
        let partial = Arc::new(Partial::open(&self.partial, blob, size)?);
        fetching.insert((blob, size), Arc::downgrade(&partial));
        Ok(partial)
    }

    /// Verified bytes of a fetch under way, without opening it.
    pub(crate) fn fetching(&self, blob: &BlobId) -> Option<Arc<Partial>> {
        let fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.iter().filter(|(key, _)| key.0 == *blob).find_map(|(_, partial)| partial.upgrade())
    }

    /// Makes a fetched blob one of the store's.
    pub(crate) fn complete(&self, partial: &Partial) -> Result<(), StoreError> {
        let blob = partial.blob();
        if !partial.is_complete() {
            return Err(StoreError::Broken { blob, source: io::ErrorKind::UnexpectedEof.into() });
        }
        // between its two renames it looks like something left over
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        if fetching.remove(&(blob, partial.size())).is_none() && self.has(&blob)? {
            return Ok(());
        }
        partial.publish(&self.large)?;
        durable::sync_dir(&self.large.dir_of(&blob))
    }

    pub(crate) fn append_entry(&self, id: [u8; 32], encoded: Vec<u8>) -> Result<(), StoreError> {
        self.packs.append(&Record::entry(id, encoded))
    }

    pub(crate) fn entry(&self, id: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.packs.read(Kind::Entry, id) {
            Err(StoreError::Corrupt { .. }) => Err(StoreError::DamagedEntry(EntryId::from_bytes(*id))),
            other => Ok(other?.map(|record| record.content)),
        }
    }

    /// Walks all blobs that are here: name and length.
    pub(crate) fn each(
        &self,
        visit: &mut dyn FnMut(BlobId, u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.packs.each(Kind::Blob, &mut |key, len| visit(BlobId::from_bytes(key), u64::from(len)))?;
        self.each_large(&mut |blob, info| visit(blob, info.size))
    }

    /// Walks all large blobs that are here.
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

/// Tells who is to blame for an error of a copy: whoever takes the bytes, or our own disk.
struct Receiver<W> {
    out: W,
    failed: bool,
}

impl<W: Write> Write for Receiver<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        // taking nothing is an error too, to whoever writes it all
        self.failed |= matches!(written, Err(_) | Ok(0)) && !bytes.is_empty();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|_| self.failed = true)
    }
}
