//! Blobs as the store's users see them: added, fetched, read, named by SHA-256.
//!
//! Promises that a denied blob is neither given out nor taken in, and that a release whose bytes turn out damaged is no
//! longer said to be held. Where bytes lie is [`crate::blobs`]'.

use std::io::{Read, Write};
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use perennial_manifest::{BlobId, Sha256Digest};

use crate::batch::Batch;
use crate::blobs::OpenBytes;
use crate::error::StoreError;
use crate::lease::Lease;
use crate::partial::{self, Partial};
use crate::store::Store;

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

/// A held blob that is being read: its files stay open, so that a reader of many ranges opens them once.
#[derive(Debug)]
pub struct OpenBlob {
    store: Store,
    blob: BlobId,
    bytes: OpenBytes,
}

impl OpenBlob {
    /// The bytes of a range, as far as the blob goes, verified by groups of 16 KiB. Takes memory for the whole range.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        self.store.record_damage(self.store.0.blobs.read(&self.blob, &self.bytes, range))
    }
}

impl Store {
    /// Starts adding blobs. One that is denied is refused.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        self.0.blobs.batch(self.0.state.denied())
    }

    /// Where files are put together that are to become blobs ([`Batch::take_file`]): downloads and uploads under way. What lies
    /// there outlives a restart; a collection removes what was not written to for its grace period.
    #[must_use]
    pub fn incoming(&self) -> std::path::PathBuf {
        self.0.layout.incoming()
    }

    /// Takes in small blobs that were fetched; each is stored under the name its bytes have.
    pub fn add_small(&self, blobs: Vec<Vec<u8>>) -> Result<Lease, StoreError> {
        let mut batch = self.batch();
        for bytes in blobs {
            batch.add_bytes(bytes)?;
        }
        batch.commit()
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
        self.record_damage(self.0.blobs.copy_out(blob, out))
    }

    /// Writes the bao encoding of byte ranges (16 KiB groups), each group verified before it is written.
    pub fn encode(
        &self,
        blob: &BlobId,
        ranges: &[Range<u64>],
        out: impl Write,
    ) -> Result<(), StoreError> {
        self.refuse_denied(blob)?;
        self.record_damage(self.0.blobs.encode(blob, ranges, out))
    }

    /// Opens a blob to read it; none: it is not held.
    pub fn open_blob(&self, blob: &BlobId) -> Result<Option<OpenBlob>, StoreError> {
        self.refuse_denied(blob)?;
        let bytes = self.record_damage(self.0.blobs.open_bytes(blob))?;
        Ok(bytes.map(|bytes| OpenBlob { store: self.clone(), blob: *blob, bytes }))
    }

    /// As [`OpenBlob::read`], of a blob that is on its way here; none: not all of the range is here yet.
    pub fn read_arriving(
        &self,
        blob: &BlobId,
        range: Range<u64>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.refuse_denied(blob)?;
        self.0.blobs.fetching(blob).map_or(Ok(None), |partial| partial.read(range))
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
        if let Some(blob) = self.0.blobs.packs().blob_of(sha256)? {
            return Ok(Some(blob));
        }
        self.0.read(|catalog| match catalog.large_of(sha256.as_bytes())? {
            Some(blob) if self.0.blobs.has(&blob)? => Ok(Some(blob)),
            _ => catalog.claimed(sha256.as_bytes()),
        })
    }

    /// Notes the SHA-256 of large blobs that this node computed.
    pub fn note_sha256(&self, pairs: &[(Sha256Digest, BlobId)]) -> Result<(), StoreError> {
        let pairs: Vec<_> =
            pairs.iter().map(|(sha256, blob)| (*sha256.as_bytes(), *blob)).collect();
        self.0.write(|catalog| catalog.note_large(&pairs))
    }

    fn refuse_denied(&self, blob: &BlobId) -> Result<(), StoreError> {
        if self.0.state.is_denied(blob) { Err(StoreError::Denied(*blob)) } else { Ok(()) }
    }
}
