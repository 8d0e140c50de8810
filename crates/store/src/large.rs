//! Blobs of more than 64 KiB: one plain read-only file each, with its hash tree beside it.
//!
//! Owns `blobs/` (FORMAT.md, "Large blobs"): `ab/ab12….blob` has the bytes, `.obao` the hash pairs
//! of their BLAKE3 tree in pre-order (bao, 16 KiB groups) and a trailer with size and SHA-256;
//! `.ref` takes the place of `.blob` where the bytes are referenced in place. Promises that no link
//! is followed, and that bytes leave only together with the tree that verifies them.

mod files;
mod reference;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::{BaoTree, BlockSize};
use perennial_manifest::{BlobId, Sha256Digest};

use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::outboard_io::ReadAhead;
pub(crate) use files::{Stamp, open, trailer};
use files::{move_directory, read_trailer};
pub use reference::Missed;
pub(crate) use reference::{Reference, Sight};

/// Verified ranges consist of groups of 16 chunks of 1 KiB.
pub(crate) const GROUP: BlockSize = BlockSize::from_chunk_log(4);
/// Bytes of a group.
pub(crate) const GROUP_BYTES: u64 = 16 << 10;
/// Blobs of up to this many bytes are kept in packs.
pub const SMALL: u64 = 64 << 10;
/// The `blobs/` directory.
#[derive(Debug)]
pub(crate) struct LargeBlobs {
    dir: PathBuf,
}

/// An open blob: its bytes, and the tree that verifies them.
#[derive(Debug)]
pub(crate) struct LargeBlob {
    pub(crate) data: File,
    pub(crate) tree: PreOrderOutboard<ReadAhead>,
    pub(crate) size: u64,
}

/// A blob as its files describe it, without reading its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LargeInfo {
    pub(crate) size: u64,
    pub(crate) sha256: Option<Sha256Digest>,
    /// Bytes on this disk; only the tree for a blob that is referenced in place.
    pub(crate) disk_bytes: u64,
    /// When a file of it was last written or touched, in Unix seconds.
    pub(crate) touched: u64,
}

impl LargeBlobs {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// `blobs/ab/ab12….<extension>`.
    pub(crate) fn path(&self, blob: &BlobId, extension: &str) -> PathBuf {
        let hex = blob.to_hex();
        self.dir.join(&hex[..2]).join(format!("{hex}.{extension}"))
    }

    /// Renames finished, fsynced files into place: the tree first, so that bytes are never there
    /// without it. The caller fsyncs the directory ([`LargeBlobs::dir_of`]) before it acknowledges.
    pub(crate) fn publish(
        &self,
        blob: &BlobId,
        bytes: &Path,
        extension: &str,
        outboard: &Path,
    ) -> Result<(), StoreError> {
        durable::make_dir(&self.dir_of(blob))?;
        let to = self.path(blob, "obao");
        durable::rename(outboard, &to)?;
        let to = self.path(blob, extension);
        move_directory(&to)?;
        fs::set_permissions(bytes, fs::Permissions::from_mode(0o444)).at(bytes)?;
        durable::rename(bytes, &to)
    }

    pub(crate) fn dir_of(&self, blob: &BlobId) -> PathBuf {
        self.dir.join(&blob.to_hex()[..2])
    }

    /// What its files say; `None` if it is not held. Cheap: the bytes are verified when they are
    /// read.
    pub(crate) fn info(&self, blob: &BlobId) -> Result<Option<LargeInfo>, StoreError> {
        let path = self.path(blob, "obao");
        let Some((outboard, meta)) = open(&path)? else { return Ok(None) };
        let Some((size, sha256)) = read_trailer(&outboard, meta.len()).at(&path)? else {
            return Ok(None);
        };
        let info = |touched: i64, disk_bytes| {
            let touched = u64::try_from(touched).unwrap_or(0);
            LargeInfo { size, sha256, disk_bytes, touched }
        };
        if let Ok(data) = fs::symlink_metadata(self.path(blob, "blob")) {
            let whole = data.is_file() && data.len() == size;
            let touched = data.mtime().max(meta.mtime());
            return Ok(whole.then(|| info(touched, size + meta.len())));
        }
        let Some(reference) = self.reference(blob) else { return Ok(None) };
        let whole = reference.size() == size && reference.open().is_some();
        Ok(whole.then(|| info(meta.mtime(), meta.len())))
    }

    /// Opens a blob for verified reading.
    pub(crate) fn open(&self, blob: &BlobId) -> Result<Option<LargeBlob>, StoreError> {
        let path = self.path(blob, "obao");
        let Some((outboard, meta)) = open(&path)? else { return Ok(None) };
        let Some((size, _)) = read_trailer(&outboard, meta.len()).at(&path)? else {
            return Ok(None);
        };
        let data = match open(&self.path(blob, "blob"))? {
            Some((data, meta)) => (meta.len() == size).then_some(data),
            None => self.reference(blob).filter(|r| r.size() == size).and_then(|r| r.open()),
        };
        let tree = PreOrderOutboard {
            root: (*blob.as_bytes()).into(),
            tree: BaoTree::new(size, GROUP),
            data: ReadAhead::new(outboard),
        };
        Ok(data.map(|data| LargeBlob { data, tree, size }))
    }

    /// Marks it as needed now: a collection spares recently touched blobs.
    pub(crate) fn touch(&self, blob: &BlobId) -> Result<(), StoreError> {
        let path = self.path(blob, "obao");
        let now = fs::FileTimes::new().set_modified(std::time::SystemTime::now());
        File::open(&path).and_then(|file| file.set_times(now)).at(&path)
    }

    /// Removes a blob. Its bytes go first, so that the rest is never taken for a blob.
    pub(crate) fn remove(&self, blob: &BlobId) -> Result<(), StoreError> {
        move_directory(&self.path(blob, "blob"))?;
        for extension in ["blob", "ref", "obao"] {
            durable::remove_file(&self.path(blob, extension))?;
        }
        let dir = self.dir_of(blob);
        if dir.is_dir() { durable::sync_dir(&dir) } else { Ok(()) }
    }

    /// Sets damaged bytes aside, so that they are not served and can be fetched again. Of bytes in
    /// a file of the user, notes that they are others now.
    pub(crate) fn quarantine(&self, blob: &BlobId) -> Result<(), StoreError> {
        if let Some(reference) = self.reference(blob) {
            return self.note_missed(blob, &reference);
        }
        let from = self.path(blob, "blob");
        move_directory(&from)?;
        if fs::symlink_metadata(&from).is_ok() {
            durable::rename(&from, &self.path(blob, "damaged"))?;
        }
        durable::remove_file(&self.path(blob, "ref"))?;
        durable::remove_file(&self.path(blob, "obao"))?;
        let dir = self.dir_of(blob);
        if dir.is_dir() { durable::sync_dir(&dir) } else { Ok(()) }
    }

    /// Keeps the bytes of a damaged pack record, in the place where those of large blobs are kept.
    pub(crate) fn keep_damaged(&self, blob: &BlobId, bytes: &[u8]) -> Result<(), StoreError> {
        durable::make_dir(&self.dir_of(blob))?;
        durable::write_file(&self.path(blob, "damaged"), bytes)
    }

    /// Whether damaged bytes of it are set aside.
    pub(crate) fn is_damaged(&self, blob: &BlobId) -> bool {
        fs::symlink_metadata(self.path(blob, "damaged")).is_ok()
    }

    /// Whether there is a file in the place of its bytes.
    pub(crate) fn is_occupied(&self, blob: &BlobId) -> bool {
        fs::symlink_metadata(self.path(blob, "blob")).is_ok()
    }

    /// Whether there are bytes under its name, in place or set aside. If the blob is not held, they
    /// are damaged.
    pub(crate) fn has_damage(&self, blob: &BlobId) -> bool {
        self.is_damaged(blob) || self.is_occupied(blob)
    }

    /// Length of the bytes that are set aside.
    pub(crate) fn damaged_bytes(&self, blob: &BlobId) -> u64 {
        fs::symlink_metadata(self.path(blob, "damaged")).map_or(0, |meta| meta.len())
    }

    /// Removes the bytes that were set aside, once good ones are here or the blob is no longer
    /// wanted.
    pub(crate) fn remove_damaged(&self, blob: &BlobId) -> Result<(), StoreError> {
        durable::remove_file(&self.path(blob, "damaged"))
    }

    /// Visits all blobs that have a file with this extension (`obao` for held ones) without reading
    /// their bytes. A directory that cannot be read keeps none of the others from being visited,
    /// and is the error at the end.
    pub(crate) fn each(
        &self,
        extension: &str,
        visit: &mut dyn FnMut(BlobId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut read = Ok(());
        for dir in fs::read_dir(&self.dir).at(&self.dir)? {
            let dir = dir.at(&self.dir)?.path();
            if !dir.is_dir() {
                continue;
            }
            let files = match fs::read_dir(&dir).at(&dir) {
                Ok(files) => files,
                Err(error) => {
                    read = read.and(Err(error));
                    continue;
                }
            };
            for file in files {
                let path = match file.at(&dir) {
                    Ok(file) => file.path(),
                    Err(error) => {
                        read = read.and(Err(error));
                        break;
                    }
                };
                if path.extension().is_none_or(|ext| ext != extension) {
                    continue;
                }
                let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                if let Ok(blob) = format!("blake3:{stem}").parse() {
                    visit(blob)?;
                }
            }
        }
        read
    }
}
