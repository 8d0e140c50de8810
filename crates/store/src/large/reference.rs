//! A blob whose bytes lie in a file of the user: where, and whether they are still there.
//!
//! The hash is the truth, the times of the file are a hint: a file of the right size that looks
//! different counts until its bytes were read. What was seen when they were missed is noted, so
//! that a reader need not hash the file again, and a file that comes back is found.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use perennial_manifest::BlobId;
use serde::{Deserialize, Serialize};

use super::{LargeBlobs, Stamp, open};
use crate::durable;
use crate::error::{AtPath, StoreError};

/// Where a blob lies that is referenced in place, and what the file looked like when its bytes were
/// last known to be the blob's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    path: PathBuf,
    #[serde(flatten)]
    stamp: Stamp,
    /// What the file looked like when its bytes were missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrong: Option<Stamp>,
}

/// What the file of a reference looks like.
#[derive(Debug)]
pub(crate) enum Sight {
    /// As it was when its bytes were right.
    Same(File),
    /// Of the right size, and changed since.
    Doubtful(File),
    /// Its bytes are others, or it is not there.
    Lost,
}

/// Why bytes that lay in a file of the user are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The file.
    pub path: PathBuf,
    /// When it was last changed, in Unix seconds; none if it is not there or cannot be read.
    pub changed: Option<i64>,
}

impl Reference {
    pub(crate) fn new(path: &Path, stamp: Stamp) -> Result<Self, StoreError> {
        let path = fs::canonicalize(path).at(path)?;
        if path.to_str().is_none() {
            let reason = "a path that is not UTF-8 cannot be referenced in place".into();
            return Err(StoreError::Format { path, reason });
        }
        Ok(Self { path, stamp, wrong: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn size(&self) -> u64 {
        self.stamp.size
    }

    /// The file as it is now.
    fn look(&self) -> (Option<File>, Stamp) {
        match open(&self.path).ok().flatten() {
            Some((file, meta)) => (Some(file), Stamp::of(&meta)),
            None => (None, Stamp::NOTHING),
        }
    }

    pub(crate) fn sight(&self) -> Sight {
        match self.look() {
            (_, seen) if self.wrong.as_ref() == Some(&seen) => Sight::Lost,
            (Some(file), seen) if seen == self.stamp => Sight::Same(file),
            (Some(file), seen) if seen.size == self.stamp.size => Sight::Doubtful(file),
            _ => Sight::Lost,
        }
    }

    /// The file's stamp, if it differs from the recorded one though the size is the same.
    pub(crate) fn doubtful(&self) -> Option<Stamp> {
        match self.sight() {
            Sight::Doubtful(file) => file.metadata().ok().map(|meta| Stamp::of(&meta)),
            Sight::Same(_) | Sight::Lost => None,
        }
    }

    /// The file, unless its bytes are known to be others.
    pub(crate) fn open(&self) -> Option<File> {
        match self.sight() {
            Sight::Same(file) | Sight::Doubtful(file) => Some(file),
            Sight::Lost => None,
        }
    }

    /// A file of the right size whose bytes were missed before: they may be right again.
    pub(crate) fn again(&self) -> Option<File> {
        self.look().0.filter(|file| file.metadata().is_ok_and(|meta| meta.len() == self.size()))
    }

    /// Whether its bytes were missed when the file looked as it does now.
    pub(crate) fn is_noted(&self) -> bool {
        self.wrong.as_ref() == Some(&self.look().1)
    }

    /// Whether its bytes were missed at some time, and not found since.
    pub(crate) fn was_missed(&self) -> bool {
        self.wrong.is_some()
    }

    pub(crate) fn missed(&self) -> Missed {
        let (file, seen) = self.look();
        Missed { path: self.path.clone(), changed: file.map(|_| seen.mtime.0) }
    }
}

impl LargeBlobs {
    /// The blobs whose bytes lie outside the store, whether they are still there or not.
    pub(crate) fn references(&self) -> Result<Vec<(BlobId, Reference)>, StoreError> {
        let mut found = Vec::new();
        self.each("ref", &mut |blob| {
            found.extend(self.reference(&blob).map(|reference| (blob, reference)));
            Ok(())
        })?;
        Ok(found)
    }

    /// Where a blob's bytes lie, if the store has no copy of them.
    pub(crate) fn reference(&self, blob: &BlobId) -> Option<Reference> {
        if self.is_occupied(blob) {
            return None;
        }
        let text = fs::read(self.path(blob, "ref")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Notes that a file has the right bytes, and what it looked like before they were read. Where
    /// that cannot be written, the file is read again the next time.
    pub(crate) fn note_found(&self, blob: &BlobId, file: &Reference, stamp: Stamp) {
        let found = Reference { stamp, wrong: None, path: file.path.clone() };
        if let Err(error) = self.note(blob, &found) {
            tracing::warn!(%blob, %error, "a file in place will be read again");
        }
    }

    /// Notes that a file does not have the right bytes, as it looks now.
    pub(crate) fn note_missed(&self, blob: &BlobId, file: &Reference) -> Result<(), StoreError> {
        let (_, seen) = file.look();
        self.note(blob, &Reference { wrong: Some(seen), ..file.clone() })
    }

    pub(crate) fn note(&self, blob: &BlobId, reference: &Reference) -> Result<(), StoreError> {
        let text = serde_json::to_vec(reference).unwrap_or_default();
        durable::write_file(&self.path(blob, "ref"), &text)
    }
}
