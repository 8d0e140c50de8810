//! The files of fetches in a directory.

use std::fs;
use std::path::{Path, PathBuf};

use perennial_manifest::BlobId;

use super::Partial;
use crate::durable;
use crate::error::{AtPath, StoreError};

/// The paths of a fetch's bytes and of its outboard.
pub(crate) fn paths(dir: &Path, blob: &BlobId, size: u64) -> (PathBuf, PathBuf) {
    let hex = blob.to_hex();
    (dir.join(format!("{hex}-{size}.data")), dir.join(format!("{hex}-{size}.obao")))
}

impl Partial {
    /// Gives up the fetches of a blob and frees their room.
    pub(crate) fn discard(dir: &Path, blob: &BlobId) -> Result<(), StoreError> {
        let hex = blob.to_hex();
        for file in fs::read_dir(dir).at(dir)? {
            let path = file.at(dir)?.path();
            if path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&hex))
            {
                durable::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// The fetches in a directory, and when each was last written to (Unix seconds).
pub(crate) fn list(dir: &Path) -> Result<Vec<(BlobId, u64)>, StoreError> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir).at(dir)? {
        let path = file.at(dir)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let stem = stem.split('-').next().unwrap_or_default();
        if path.extension().is_some_and(|ext| ext == "data")
            && let Ok(blob) = format!("blake3:{stem}").parse()
        {
            let modified = fs::metadata(&path).and_then(|meta| meta.modified()).at(&path)?;
            let age = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            found.push((blob, age.as_secs()));
        }
    }
    Ok(found)
}
