//! The files of large blobs as the operating system has them: opened without following links, and
//! compared with what they were.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use perennial_manifest::Sha256Digest;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::GROUP_BYTES;
use crate::durable;
use crate::error::{AtPath, StoreError};

/// The end of an `.obao` file: size (u64 LE), SHA-256 (zeros where it was not computed), magic.
const TRAILER: usize = 8 + 32 + 8;
const MAGIC: &[u8; 8] = b"obao v1\n";

/// The attributes of a file at one moment. A later stamp that differs means that it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(super) size: u64,
    pub(super) mtime: (i64, i64),
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self { size: meta.len(), mtime: (meta.mtime(), meta.mtime_nsec()), inode: meta.ino() }
    }

    /// Where there is no file.
    pub(super) const NOTHING: Self = Self { size: 0, mtime: (0, 0), inode: 0 };
}

/// Opens a regular file without following links. `None`: there is no such file.
pub(crate) fn open(path: &Path) -> Result<Option<(File, Metadata)>, StoreError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    match opened {
        Ok(file) => {
            let meta = file.metadata().at(path)?;
            Ok(meta.is_file().then_some((file, meta)))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // A link in the place of a blob: ELOOP.
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Ok(None),
        Err(e) => Err(StoreError::io(path, e)),
    }
}

/// Moves a directory away that stands in the place of a blob: it would refuse every rename and
/// removal. What is in it is not ours to delete.
pub(super) fn move_directory(path: &Path) -> Result<(), StoreError> {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        durable::rename(path, &path.with_extension("not-a-blob"))?;
    }
    Ok(())
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

/// Size and SHA-256 from the end of an outboard file of `len` bytes. `None`: it is cut, or of
/// another make.
pub(super) fn read_trailer(
    outboard: &File,
    len: u64,
) -> io::Result<Option<(u64, Option<Sha256Digest>)>> {
    let Some(start) = len.checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut bytes = [0; TRAILER];
    outboard.read_exact_at(&mut bytes, start)?;
    let mut size = [0; 8];
    size.copy_from_slice(&bytes[..8]);
    let size = u64::from_le_bytes(size);
    // One pair of 64 bytes fewer than there are groups.
    let pairs = size.div_ceil(GROUP_BYTES).max(1) - 1;
    if &bytes[40..] != MAGIC || pairs.checked_mul(64) != Some(start) {
        return Ok(None);
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(&bytes[8..40]);
    Ok(Some((size, (sha256 != [0; 32]).then(|| Sha256Digest::from_bytes(sha256)))))
}
