//! Reading blobs so that nothing leaves unverified, and setting aside those that are damaged.
//!
//! Promises that every byte handed out was verified on the way, and that an error of this disk or
//! of the receiver is not mistaken for damage. Damaged bytes are set aside, and the next add or
//! fetch replaces them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Take, Write};
use std::ops::Range;
use std::path::Path;

use bao_tree::io::EncodeError;
use bao_tree::io::outboard::PreOrderMemOutboard;
use bao_tree::io::sync::encode_ranges_validated;
use perennial_manifest::{BlobId, Sha256Digest};

use super::Blobs;
use crate::error::{AtPath, StoreError};
use crate::hashing;
use crate::large::{GROUP, LargeBlob, SMALL};
use crate::pack::Kind;
use crate::verified::{chunks, verified};

/// An open blob: its bytes as they were when it was opened, even if it is removed meanwhile.
#[derive(Debug)]
pub(crate) enum OpenBytes {
    /// A whole small blob, verified.
    Small(Vec<u8>),
    Large(LargeBlob),
}

impl Blobs {
    /// A whole small blob, verified. A damaged one is set aside on the way.
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

    /// Copies a blob out, to what is called `target` in errors. The name is checked at the end, so
    /// the output counts only if this succeeds. Returns the SHA-256 of the bytes.
    pub(crate) fn copy_out(
        &self,
        blob: &BlobId,
        out: &mut dyn Write,
        target: &Path,
    ) -> Result<Sha256Digest, StoreError> {
        if let Some(bytes) = self.small(blob)? {
            out.write_all(&bytes).at(target)?;
            return Ok(hashing::names_of(&bytes).1);
        }
        self.pass_over(blob, out, target, |source, out| hashing::plain(source, out))
    }

    /// As [`Blobs::copy_out`], without the SHA-256.
    pub(crate) fn copy_verified(
        &self,
        blob: &BlobId,
        out: &mut dyn Write,
        target: &Path,
    ) -> Result<(), StoreError> {
        if let Some(bytes) = self.small(blob)? {
            return out.write_all(&bytes).at(target);
        }
        self.pass_over(blob, out, target, |source, out| {
            hashing::blake3_of(source, out).map(|blob| (blob, ()))
        })
    }

    /// One pass over a large blob, which tells its true name.
    fn pass_over<T>(
        &self,
        blob: &BlobId,
        out: &mut dyn Write,
        target: &Path,
        pass: impl FnOnce(Take<&File>, &mut dyn Write) -> io::Result<(BlobId, T)>,
    ) -> Result<T, StoreError> {
        let mut out = Receiver { out, failed: false };
        let Some(large) = self.large.open(blob)? else { return Err(self.absent(blob)) };
        let (found, more) =
            pass(Read::take(&large.data, large.size), &mut out).map_err(|source| {
                match out.failed {
                    true => StoreError::io(target, source),
                    false => StoreError::io(&self.large.path(blob, "blob"), source),
                }
            })?;
        if found == *blob { Ok(more) } else { Err(self.damaged(blob)) }
    }

    /// Writes the bao encoding of byte ranges of a blob. Every group is verified before it is
    /// written.
    pub(crate) fn encode(
        &self,
        blob: &BlobId,
        ranges: &[Range<u64>],
        out: impl Write,
    ) -> Result<(), StoreError> {
        let chunks = chunks(ranges);
        let mut out = Receiver { out, failed: false };
        let outcome = if let Some(bytes) = self.small(blob)? {
            encode_ranges_validated(
                &bytes[..],
                PreOrderMemOutboard::create(&bytes, GROUP),
                &chunks,
                &mut out,
            )
        } else {
            let Some(large) = self.large.open(blob)? else { return Err(self.absent(blob)) };
            encode_ranges_validated(&large.data, &large.tree, &chunks, &mut out)
        };
        outcome.map_err(|error| self.blame(blob, error, out.failed))
    }

    /// Opens a blob to read ranges of it; `None` if it is not held.
    pub(crate) fn open_bytes(&self, blob: &BlobId) -> Result<Option<OpenBytes>, StoreError> {
        if let Some(bytes) = self.small(blob)? {
            return Ok(Some(OpenBytes::Small(bytes)));
        }
        match self.large.open(blob)? {
            Some(large) => Ok(Some(OpenBytes::Large(large))),
            None => match self.absent(blob) {
                StoreError::NotHeld(_) => Ok(None),
                error => Err(error),
            },
        }
    }

    /// The bytes of a range of a blob, clipped to its length. Every 16 KiB group they lie in is
    /// verified.
    pub(crate) fn read(
        &self,
        blob: &BlobId,
        open: &OpenBytes,
        range: Range<u64>,
    ) -> Result<Vec<u8>, StoreError> {
        match open {
            // Verified when it was opened.
            OpenBytes::Small(bytes) => {
                let at =
                    |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
                Ok(bytes.get(at(range.start)..at(range.end)).unwrap_or_default().to_vec())
            }
            OpenBytes::Large(large) => verified(&large.data, &large.tree, range)
                .map_err(|error| self.blame(blob, error, false)),
        }
    }

    /// Tells why a blob cannot be opened: it is missing, or something else is in its place
    /// (truncated, extended, a link, a directory).
    fn absent(&self, blob: &BlobId) -> StoreError {
        // Alone, and after a second look: a blob that an add or a fetch is just putting there is
        // not damage.
        let alone = self.gate.try_write();
        match self.large.open(blob) {
            Ok(None) if alone.is_ok() && self.large.is_occupied(blob) => self.damaged(blob),
            Ok(_) => StoreError::NotHeld(*blob),
            Err(error) => error,
        }
    }

    /// The cause that ended an encoding early: damaged bytes, this disk, or the receiver.
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
            // A premature end is damage too: the length was right when the blob was opened.
            _ => self.damaged(blob),
        }
    }

    /// Sets a damaged blob aside.
    fn damaged(&self, blob: &BlobId) -> StoreError {
        match self.set_aside(blob) {
            Ok(()) => StoreError::Corrupt { blob: *blob },
            Err(error) => error,
        }
    }

    /// Reads a whole blob and compares it with its name.
    pub(crate) fn check(&self, blob: &BlobId) -> Result<u64, StoreError> {
        let size = self.size(blob)?.ok_or(StoreError::NotHeld(*blob))?;
        if size > SMALL || self.small(blob)?.is_none() {
            // By its encoding, so that a damaged tree is found as well as damaged bytes.
            #[expect(clippy::single_range_in_vec_init, reason = "one range is meant")]
            self.encode(blob, &[0..size], io::sink())?;
        }
        Ok(size)
    }

    fn set_aside(&self, blob: &BlobId) -> Result<(), StoreError> {
        if self.read_only {
            tracing::error!(%blob, "damaged blob on read-only media");
            return Ok(());
        }
        tracing::error!(%blob, "damaged blob set aside");
        self.packs.forget_damaged(blob, &mut self.keep())?;
        self.large.quarantine(blob)
    }

    /// Keeps the damaged bytes of a small blob where those of large ones are kept.
    pub(super) fn keep(&self) -> impl FnMut(BlobId, &[u8]) -> Result<(), StoreError> {
        |blob, bytes| self.large.keep_damaged(&blob, bytes)
    }

    /// Whether bytes are here under the name of this blob that do not match it.
    pub(crate) fn is_quarantined(&self, blob: &BlobId) -> Result<bool, StoreError> {
        Ok(self.large.has_damage(blob) && !self.has(blob)?)
    }

    /// Blobs that are not held and still have files here, damaged or left by a killed process, with
    /// the length of the bytes set aside.
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
}

/// Tells whether an error of a copy is the receiver's fault or that of this disk.
struct Receiver<W> {
    out: W,
    failed: bool,
}

impl<W: Write> Write for Receiver<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        // `write_all` turns a write of nothing into an error too.
        self.failed |= matches!(written, Err(_) | Ok(0)) && !bytes.is_empty();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|_| self.failed = true)
    }
}
