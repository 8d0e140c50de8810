//! Blobs as the store's users see them: added, fetched, read, looked up by SHA-256.
//!
//! Promises that a denied blob is neither handed out nor taken in, and that a release whose bytes
//! turn out damaged is no longer listed as held. [`crate::blobs`] knows where bytes lie.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use perennial_manifest::{BlobId, Sha256Digest};

use crate::batch::Batch;
use crate::blobs::OpenBytes;
use crate::error::{AtPath, StoreError};
use crate::lease::Lease;
use crate::partial::{self, Partial};
use crate::sparse::Sparse;
use crate::store::Store;

/// How much of a blob is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// All of it is held.
    Held {
        /// Length in bytes.
        size: u64,
    },
    /// A fetch is in progress.
    Partial {
        /// Bytes that arrived and verified.
        have: u64,
    },
    /// None of it is here.
    Missing,
    /// It is on the deny list.
    Denied,
}

/// A held blob that is being read. Its files stay open, so that reading many ranges opens them
/// once.
#[derive(Debug)]
pub struct OpenBlob {
    store: Store,
    blob: BlobId,
    bytes: OpenBytes,
}

impl OpenBlob {
    /// The bytes of a range, clipped to the blob, verified by groups of 16 KiB. Allocates memory
    /// for the whole range.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the bytes are damaged; they are set aside then.
    /// [`StoreError::Denied`] if the blob was denied since it was opened. Failures of the disk.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        self.store.refuse_denied(&self.blob)?;
        self.store.record_damage(self.store.0.blobs.read(&self.blob, &self.bytes, range))
    }
}

impl Store {
    /// Starts an add. Denied blobs are refused.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(&self.0.blobs, self.0.state.denied())
    }

    /// The directory in which downloads and uploads are assembled before they become blobs
    /// ([`Batch::take_file`]). Its files survive a restart; a collection removes those not written
    /// to within its grace period.
    #[must_use]
    pub fn incoming(&self) -> std::path::PathBuf {
        self.0.layout.incoming()
    }

    /// Takes in fetched small blobs, each under the name that its bytes have.
    ///
    /// # Errors
    /// [`StoreError::Denied`], and failures of the disk.
    pub fn add_small(&self, blobs: Vec<Vec<u8>>) -> Result<Lease, StoreError> {
        let mut batch = self.batch();
        for bytes in blobs {
            batch.add_bytes(bytes)?;
        }
        batch.commit()
    }

    /// How much of a blob is here.
    ///
    /// # Errors
    /// Failures of the disk.
    pub fn blob_state(&self, blob: &BlobId) -> Result<BlobState, StoreError> {
        if self.denial_of_blob(blob)?.is_some() {
            return Ok(BlobState::Denied);
        }
        if let Some(size) = self.0.blobs.size(blob)? {
            return Ok(BlobState::Held { size });
        }
        let have = self.0.blobs.fetching(blob).map(|partial| partial.have_bytes());
        Ok(have.map_or(BlobState::Missing, |have| BlobState::Partial { have }))
    }

    /// The length of a blob that is held and not denied.
    ///
    /// # Errors
    /// Failures of the disk.
    pub fn blob_size(&self, blob: &BlobId) -> Result<Option<u64>, StoreError> {
        match self.denial_of_blob(blob)? {
            Some(_) => Ok(None),
            None => self.0.blobs.size(blob),
        }
    }

    /// Copies a blob out and returns the SHA-256 of its bytes. The output counts only if this
    /// succeeds.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`], [`StoreError::Denied`], [`StoreError::Corrupt`] (the blob was set
    /// aside), and I/O errors of either side.
    pub fn copy_out(&self, blob: &BlobId, out: &mut dyn Write) -> Result<Sha256Digest, StoreError> {
        self.refuse_denied(blob)?;
        self.record_damage(self.0.blobs.copy_out(blob, out, Path::new("output")))
    }

    /// Copies a blob into a new, empty file, and returns the SHA-256 of its bytes. Zeros become
    /// holes. `wrote` is told of the bytes as they are written; its error ends the copy. They are
    /// verified by their BLAKE3, and not hashed once more where this node noted the SHA-256 that is
    /// `claimed` for them.
    ///
    /// # Errors
    /// As [`Store::copy_out`]; those of the file name `path`.
    pub fn copy_to_file(
        &self,
        blob: &BlobId,
        file: &File,
        path: &Path,
        claimed: Option<&Sha256Digest>,
        wrote: &dyn Fn(u64) -> io::Result<()>,
    ) -> Result<Sha256Digest, StoreError> {
        self.refuse_denied(blob)?;
        let mut out = Sparse::new(file, wrote);
        let noted = self.0.blobs.large().info(blob)?.and_then(|info| info.sha256);
        let sha256 = match noted.filter(|noted| claimed == Some(noted)) {
            Some(noted) => {
                self.record_damage(self.0.blobs.copy_verified(blob, &mut out, path))?;
                noted
            }
            None => self.record_damage(self.0.blobs.copy_out(blob, &mut out, path))?,
        };
        out.finish().at(path)?;
        Ok(sha256)
    }

    /// Writes the bao encoding of byte ranges (16 KiB groups). Each group is verified before it is
    /// written.
    ///
    /// # Errors
    /// As [`Store::copy_out`]; [`StoreError::Broken`] if `out` failed.
    pub fn encode(
        &self,
        blob: &BlobId,
        ranges: &[Range<u64>],
        out: impl Write,
    ) -> Result<(), StoreError> {
        self.refuse_denied(blob)?;
        self.record_damage(self.0.blobs.encode(blob, ranges, out))
    }

    /// Opens a blob for reading; `None` if it is not held.
    ///
    /// # Errors
    /// [`StoreError::Denied`], [`StoreError::Corrupt`], and failures of the disk.
    pub fn open_blob(&self, blob: &BlobId) -> Result<Option<OpenBlob>, StoreError> {
        self.refuse_denied(blob)?;
        let bytes = self.record_damage(self.0.blobs.open_bytes(blob))?;
        Ok(bytes.map(|bytes| OpenBlob { store: self.clone(), blob: *blob, bytes }))
    }

    /// As [`OpenBlob::read`], for a blob that is being fetched; `None` while some of the range is
    /// missing.
    ///
    /// # Errors
    /// As [`Arriving::read`](crate::Arriving::read).
    pub fn read_arriving(
        &self,
        blob: &BlobId,
        range: Range<u64>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.refuse_denied(blob)?;
        self.0.blobs.fetching(blob).map_or(Ok(None), |partial| partial.read(range))
    }

    /// The fetch of a blob of more than [`crate::SMALL`] bytes, shared by all its users. Continues
    /// what an earlier process left.
    ///
    /// # Errors
    /// [`StoreError::Denied`], a claimed size over [`crate::MAX_BLOB`], and failures of the disk.
    pub fn partial(&self, blob: BlobId, size: u64) -> Result<Arc<Partial>, StoreError> {
        self.refuse_denied(&blob)?;
        self.0.blobs.partial(blob, size)
    }

    /// Whether an earlier fetch of this blob left bytes to continue from.
    #[must_use]
    pub fn has_partial(&self, blob: &BlobId, size: u64) -> bool {
        partial::paths(self.0.blobs.partial_dir(), blob, size).0.exists()
    }

    /// Makes a complete fetch a blob of the store. It is durable on return.
    ///
    /// # Errors
    /// [`StoreError::Denied`] if it was denied meanwhile, [`StoreError::Broken`] if bytes are
    /// missing, and failures of the disk.
    pub fn complete(&self, partial: &Partial) -> Result<(), StoreError> {
        self.refuse_denied(&partial.blob())?;
        self.0.blobs.complete(partial)
    }

    /// Reads the bao encoding of a whole small blob from a peer and verifies it.
    ///
    /// # Errors
    /// [`StoreError::WrongBytes`] if it does not verify, [`StoreError::Broken`] if it ends early.
    pub fn decode_small(blob: BlobId, size: u64, input: impl Read) -> Result<Vec<u8>, StoreError> {
        partial::decode_small(blob, size, input)
    }

    /// Protects blobs from being collected until the lease is dropped.
    #[must_use]
    pub fn lease(&self, blobs: Vec<BlobId>) -> Lease {
        let _gate = self.0.blobs.gate().read().unwrap_or_else(PoisonError::into_inner);
        self.0.blobs.leases().take(blobs)
    }

    /// The held blob that has this SHA-256, as this node computed it when the bytes were added or
    /// fetched. What lists claim does not count ([`Store::releases_with`]).
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn blob_of_sha256(&self, sha256: &Sha256Digest) -> Result<Option<BlobId>, StoreError> {
        if let Some(blob) = self.0.blobs.packs().blob_of(sha256)? {
            return Ok(Some(blob));
        }
        match self.0.read(|catalog| catalog.large_of(sha256.as_bytes()))? {
            Some(blob) if self.0.blobs.has(&blob)? => Ok(Some(blob)),
            _ => Ok(None),
        }
    }

    /// The SHA-256 that this node computed for a held blob; `None` if it has not: the blob was
    /// fetched by an earlier version, or in parts over several starts.
    ///
    /// # Errors
    /// Failures of the disk.
    pub fn known_sha256(&self, blob: &BlobId) -> Result<Option<Sha256Digest>, StoreError> {
        if let Some(info) = self.0.blobs.large().info(blob)? {
            return Ok(info.sha256);
        }
        match self.0.blobs.size(blob)? {
            None => Ok(None),
            // A small blob is hashed in no time.
            Some(_) => match self.copy_out(blob, &mut io::sink()) {
                Err(
                    StoreError::Denied(_) | StoreError::Corrupt { .. } | StoreError::NotHeld(_),
                ) => Ok(None),
                hashed => hashed.map(Some),
            },
        }
    }

    /// Whether this node has computed that a blob has another SHA-256, or that another blob has
    /// this one.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn refutes(&self, sha256: &Sha256Digest, blob: &BlobId) -> Result<bool, StoreError> {
        if let Some(own) = self.blob_of_sha256(sha256)? {
            return Ok(own != *blob);
        }
        Ok(self.known_sha256(blob)?.is_some_and(|known| known != *sha256))
    }

    /// The SHA-256 of a held blob, computed and noted now if it is not known.
    ///
    /// # Errors
    /// As [`Store::copy_out`], and failures of the index.
    pub fn hash(&self, blob: &BlobId) -> Result<Sha256Digest, StoreError> {
        let sha256 = match self.known_sha256(blob)? {
            Some(known) => known,
            None => self.copy_out(blob, &mut io::sink())?,
        };
        if self.0.blobs.large().info(blob)?.is_some()
            && self.0.read(|catalog| catalog.large_of(sha256.as_bytes()))? != Some(*blob)
        {
            self.note_sha256(&[(sha256, *blob)])?;
        }
        Ok(sha256)
    }

    /// Notes SHA-256 digests of large blobs that this node computed.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn note_sha256(&self, pairs: &[(Sha256Digest, BlobId)]) -> Result<(), StoreError> {
        let pairs: Vec<_> =
            pairs.iter().map(|(sha256, blob)| (*sha256.as_bytes(), *blob)).collect();
        self.0.write(|catalog| catalog.note_large(&pairs))
    }
}
