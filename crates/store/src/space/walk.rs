//! The bytes that a file system has allocated for files, as `du` counts them.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{AtPath, StoreError};

/// The directories of large blobs that may yet be made: each takes a block on most file systems.
pub(super) const OF_DIRECTORIES: u64 = 256 * super::BLOCK;

/// Bytes allocated for a file or directory.
pub(crate) fn allocated(meta: &Metadata) -> u64 {
    meta.blocks().saturating_mul(512)
}

/// Bytes allocated below a directory, itself included, except for some of the names in it.
pub(super) fn below_without(dir: &Path, except: &[&str]) -> Result<u64, StoreError> {
    let mut sum = fs::symlink_metadata(dir).map_or(0, |meta| allocated(&meta));
    for entry in fs::read_dir(dir).at(dir)? {
        let entry = entry.at(dir)?;
        if except.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        // A file that has vanished meanwhile takes no room.
        let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
        sum += match meta.is_dir() {
            true => below(&entry.path()),
            false => allocated(&meta),
        };
    }
    Ok(sum)
}

/// Bytes allocated below a directory, itself included; what cannot be read is left out.
pub(super) fn below(dir: &Path) -> u64 {
    let mut sum = fs::symlink_metadata(dir).map_or(0, |meta| allocated(&meta));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        sum += if meta.is_dir() { below(&entry.path()) } else { allocated(&meta) };
    }
    sum
}
