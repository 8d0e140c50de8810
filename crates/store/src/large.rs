//! Blobs of more than 64 KiB: a plain read-only file each, with its hash tree beside it.
//!
//! Owns `blobs/` (FORMAT.md, "Large blobs"): `ab/ab12….blob` is the bytes, `.obao` the hash pairs of its BLAKE3 tree in
//! pre-order (bao, 16 KiB groups) and a trailer that names size and SHA-256, `.ref` stands for the bytes where a blob is
//! referenced in place. Promises that no link is followed, and that bytes are only handed out with the tree they verify by.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::{BaoTree, BlockSize};
use perennial_manifest::{BlobId, Sha256Digest};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::outboard_io::ReadAhead;

/// Verified ranges are made of groups of 16 chunks of 1 KiB.
pub(crate) const GROUP: BlockSize = BlockSize::from_chunk_log(4);
/// Bytes of a group.
pub(crate) const GROUP_BYTES: u64 = 16 << 10;
/// Blobs up to this size go to packs.
pub const SMALL: u64 = 64 << 10;
/// At the end of `.obao`: size (u64 LE), SHA-256 (zeros where it was not computed), magic.
const TRAILER: usize = 8 + 32 + 8;
const MAGIC: &[u8; 8] = b"obao v1\n";

/// Where a blob lies that is referenced in place, and what the file looked like when it was hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    path: PathBuf,
    size: u64,
    mtime: (i64, i64),
    inode: u64,
}

impl Reference {
    pub(crate) fn new(path: &Path, file: &File) -> Result<Self, StoreError> {
        let meta = file.metadata().at(path)?;
        let path = fs::canonicalize(path).at(path)?;
        Ok(Self {
            path,
            size: meta.len(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            inode: meta.ino(),
        })
    }
}

/// The directory of large blobs.
#[derive(Debug)]
pub(crate) struct LargeBlobs {
    dir: PathBuf,
}

/// An open blob: its bytes, and the tree they verify by.
#[derive(Debug)]
pub(crate) struct LargeBlob {
    pub(crate) data: File,
    pub(crate) tree: PreOrderOutboard<ReadAhead>,
    pub(crate) size: u64,
}

/// What the files say of a blob, without reading its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LargeInfo {
    pub(crate) size: u64,
    pub(crate) sha256: Option<Sha256Digest>,
    /// Bytes on this disk; 0 for one that is referenced in place.
    pub(crate) disk_bytes: u64,
    /// When its file was last written or touched, Unix seconds.
    pub(crate) touched: u64,
}

/// The trailer of an outboard file.
pub(crate) fn trailer(size: u64, sha256: Option<Sha256Digest>) -> [u8; TRAILER] {
    let mut bytes = [0; TRAILER];
    bytes[..8].copy_from_slice(&size.to_le_bytes());
    if let Some(sha256) = sha256 {
        bytes[8..40].copy_from_slice(sha256.as_bytes());
    }
    bytes[40..].copy_from_slice(MAGIC);
    bytes
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

    /// Puts finished, fsynced files in their place: the tree first, so that bytes are never there without it.
    /// The caller fsyncs the directory ([`LargeBlobs::dir_of`]) before it acknowledges.
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

    /// Whether its bytes lie outside the store.
    pub(crate) fn is_reference(&self, blob: &BlobId) -> bool {
        !self.is_occupied(blob)
    }

    /// Whether its files are here, and what they say. Cheap; the bytes are checked when they are read.
    pub(crate) fn info(&self, blob: &BlobId) -> Result<Option<LargeInfo>, StoreError> {
        let path = self.path(blob, "obao");
        let Some(outboard) = open(&path)? else { return Ok(None) };
        let Some((size, sha256)) = read_trailer(&outboard).at(&path)? else { return Ok(None) };
        let data = self.path(blob, "blob");
        if let Ok(meta) = fs::symlink_metadata(&data) {
            let whole = meta.is_file() && meta.len() == size;
            let touched = u64::try_from(meta.mtime().max(outboard.metadata().at(&path)?.mtime()))
                .unwrap_or(0);
            let disk_bytes = size + outboard.metadata().at(&path)?.len();
            return Ok(whole.then_some(LargeInfo { size, sha256, disk_bytes, touched }));
        }
        let Some((_, reference)) = self.referenced(blob)? else { return Ok(None) };
        let meta = outboard.metadata().at(&path)?;
        let touched = u64::try_from(meta.mtime()).unwrap_or(0);
        Ok((reference.size == size).then_some(LargeInfo {
            size,
            sha256,
            disk_bytes: meta.len(),
            touched,
        }))
    }

    /// Opens a blob for verified reading.
    pub(crate) fn open(&self, blob: &BlobId) -> Result<Option<LargeBlob>, StoreError> {
        let path = self.path(blob, "obao");
        let Some(outboard) = open(&path)? else { return Ok(None) };
        let Some((size, _)) = read_trailer(&outboard).at(&path)? else { return Ok(None) };
        let path = self.path(blob, "blob");
        let data = match open(&path)? {
            Some(data) => data,
            None => match self.referenced(blob)? {
                Some((data, _)) => data,
                None => return Ok(None),
            },
        };
        if data.metadata().at(&path)?.len() != size {
            return Ok(None);
        }
        let tree = PreOrderOutboard {
            root: (*blob.as_bytes()).into(),
            tree: BaoTree::new(size, GROUP),
            data: ReadAhead::new(outboard),
        };
        Ok(Some(LargeBlob { data, tree, size }))
    }

    /// The file that a blob is referenced in, as long as it is the file that was hashed.
    fn referenced(&self, blob: &BlobId) -> Result<Option<(File, Reference)>, StoreError> {
        let path = self.path(blob, "ref");
        let Ok(text) = fs::read(&path) else { return Ok(None) };
        let Ok(reference) = serde_json::from_slice::<Reference>(&text) else { return Ok(None) };
        let Ok(Some(file)) = open(&reference.path) else { return Ok(None) };
        let same = Reference::new(&reference.path, &file).is_ok_and(|now| now == reference);
        Ok(same.then_some((file, reference)))
    }

    /// Notes that somebody needs it now: collection spares what was touched lately.
    pub(crate) fn touch(&self, blob: &BlobId) -> Result<(), StoreError> {
        let path = self.path(blob, "obao");
        let now = fs::FileTimes::new().set_modified(std::time::SystemTime::now());
        File::open(&path).and_then(|file| file.set_times(now)).at(&path)
    }

    /// Removes a blob: its bytes first, so that what is left is never taken for a blob.
    pub(crate) fn remove(&self, blob: &BlobId) -> Result<(), StoreError> {
        move_directory(&self.path(blob, "blob"))?;
        for extension in ["blob", "ref", "obao"] {
            durable::remove_file(&self.path(blob, extension))?;
        }
        let dir = self.dir_of(blob);
        if dir.is_dir() { durable::sync_dir(&dir) } else { Ok(()) }
    }

    /// Sets damaged bytes aside, so that they are not served and can be fetched again.
    pub(crate) fn quarantine(&self, blob: &BlobId) -> Result<(), StoreError> {
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

    /// Keeps the bytes of a damaged record of a pack aside, where those of large blobs are kept.
    pub(crate) fn keep_damaged(&self, blob: &BlobId, bytes: &[u8]) -> Result<(), StoreError> {
        durable::make_dir(&self.dir_of(blob))?;
        durable::write_file(&self.path(blob, "damaged"), bytes)
    }

    /// Whether damaged bytes of it are kept aside.
    pub(crate) fn is_damaged(&self, blob: &BlobId) -> bool {
        fs::symlink_metadata(self.path(blob, "damaged")).is_ok()
    }

    /// Whether there is something in the place of its bytes.
    pub(crate) fn is_occupied(&self, blob: &BlobId) -> bool {
        fs::symlink_metadata(self.path(blob, "blob")).is_ok()
    }

    /// Whether there are bytes under its name, here or set aside; if it is not here, they are not it.
    pub(crate) fn has_damage(&self, blob: &BlobId) -> bool {
        self.is_damaged(blob) || self.is_occupied(blob)
    }

    /// How long what is kept aside is.
    pub(crate) fn damaged_bytes(&self, blob: &BlobId) -> u64 {
        fs::symlink_metadata(self.path(blob, "damaged")).map_or(0, |meta| meta.len())
    }

    /// Removes bytes that were set aside, once good ones are here again or nobody wants them.
    pub(crate) fn remove_damaged(&self, blob: &BlobId) -> Result<(), StoreError> {
        durable::remove_file(&self.path(blob, "damaged"))
    }

    /// Walks all blobs that have a file with this extension: `obao` for those that are here. Bytes are not read.
    pub(crate) fn each(
        &self,
        extension: &str,
        visit: &mut dyn FnMut(BlobId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for dir in fs::read_dir(&self.dir).at(&self.dir)? {
            let dir = dir.at(&self.dir)?.path();
            if !dir.is_dir() {
                continue;
            }
            for file in fs::read_dir(&dir).at(&dir)? {
                let path = file.at(&dir)?.path();
                if path.extension().is_none_or(|ext| ext != extension) {
                    continue;
                }
                let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                if let Ok(blob) = format!("blake3:{stem}").parse() {
                    visit(blob)?;
                }
            }
        }
        Ok(())
    }
}

/// A directory in the place of a blob would refuse every rename and removal; what is in it is somebody's.
fn move_directory(path: &Path) -> Result<(), StoreError> {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        durable::rename(path, &path.with_extension("not-a-blob"))?;
    }
    Ok(())
}

/// Opens a regular file and follows no link; `None` where there is no such file.
pub(crate) fn open(path: &Path) -> Result<Option<File>, StoreError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    match opened {
        Ok(file) => Ok(file.metadata().at(path)?.is_file().then_some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // a link in the place of a blob: ELOOP
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Ok(None),
        Err(e) => Err(StoreError::io(path, e)),
    }
}

/// Size and SHA-256 from the end of an outboard file; `None` where it is cut or of another make.
fn read_trailer(outboard: &File) -> io::Result<Option<(u64, Option<Sha256Digest>)>> {
    let len = outboard.metadata()?.len();
    let Some(start) = len.checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut bytes = [0; TRAILER];
    outboard.read_exact_at(&mut bytes, start)?;
    let mut size = [0; 8];
    size.copy_from_slice(&bytes[..8]);
    let size = u64::from_le_bytes(size);
    // one pair of 64 bytes less than there are groups
    let pairs = size.div_ceil(GROUP_BYTES).max(1) - 1;
    if &bytes[40..] != MAGIC || pairs.checked_mul(64) != Some(start) {
        return Ok(None);
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(&bytes[8..40]);
    Ok(Some((size, (sha256 != [0; 32]).then(|| Sha256Digest::from_bytes(sha256)))))
}
