//! Maintenance of the store: verifying, collecting, rebuilding the index.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use perennial_manifest::{
    ArtifactPath, BlobId, DigestError, EntryId, Purl, ReleaseId, serde_as_text,
};
use serde::{Deserialize, Serialize};

/// The request to read back everything stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify;

/// A stored blob or a stored entry; written `blake3:…` or `entry:…`. A listing of them that could
/// not be read is written `listing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredObject {
    /// A blob.
    Blob(BlobId),
    /// A signed entry.
    Entry(EntryId),
    /// A directory, a pack or the index.
    Listing,
}

const LISTING: &str = "listing";

impl fmt::Display for StoredObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoredObject::Blob(id) => id.fmt(f),
            StoredObject::Entry(id) => write!(f, "entry:{id}"),
            StoredObject::Listing => f.write_str(LISTING),
        }
    }
}

impl FromStr for StoredObject {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<StoredObject, DigestError> {
        match text.strip_prefix("entry:") {
            None if text == LISTING => Ok(StoredObject::Listing),
            Some(id) => id.parse().map(StoredObject::Entry),
            None => text.parse().map(StoredObject::Blob),
        }
    }
}

serde_as_text!(StoredObject);

/// A stored object that does not match its name, or that the disk does not give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorruptRow {
    /// The object's name.
    pub blob: StoredObject,
    /// Why it does not match, or the error of the disk.
    pub reason: String,
    /// Set if the disk did not give it, which proves no damage.
    #[serde(default)]
    pub unreadable: bool,
    /// Set if it is not here; otherwise it is here and damaged.
    #[serde(default)]
    pub lost: bool,
    /// A release that names it.
    #[serde(default)]
    pub release: Option<ReleaseId>,
    /// That release's package URL.
    #[serde(default)]
    pub purl: Option<Purl>,
    /// Its path in that release.
    #[serde(default)]
    pub file: Option<ArtifactPath>,
}

/// The totals of `verify`. Corrupt objects are not a failure of the request; the command line
/// reports them by its exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyDone {
    /// Number of blobs read.
    pub checked: u64,
    /// Number of bytes read.
    pub bytes: u64,
    /// Number of blobs and entries that are here and failed; each was reported as a row.
    pub corrupt: u64,
    /// Number of objects that the disk did not give; each was reported as a row.
    #[serde(default)]
    pub unread: u64,
    /// Number of blobs that are not here at all; each was reported as a row.
    #[serde(default)]
    pub lost_objects: u64,
    /// Number of releases that are held again, because files in place have their bytes again.
    #[serde(default)]
    pub restored: u64,
    /// Duration, in milliseconds.
    pub elapsed_ms: u64,
}

/// The request to refer to files that were added in place and have been moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relocate {
    /// Where the files or the directories above them were, absolute.
    pub from: PathBuf,
    /// Where they are now, absolute.
    pub to: PathBuf,
}

/// A file that is not at its new place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmovedRow {
    /// Where it was.
    pub old: String,
    /// Where it was looked for.
    pub new: String,
    /// Set if a file is there, with other bytes.
    pub differs: bool,
}

/// The totals of `relocate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelocateDone {
    /// Number of files found at the new place.
    pub artifacts: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Number of files that are not there; each was reported as a row.
    pub unmoved: u64,
    /// Number of releases that are held again.
    pub restored: u64,
}

/// The options of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gc {
    /// Report what would be removed and remove nothing.
    pub dry_run: bool,
    /// Spare blobs that were used within this many seconds; none uses the node's setting.
    pub grace_seconds: Option<u64>,
}

/// The result of `gc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcDone {
    /// Set for a dry run, which removes nothing.
    pub dry_run: bool,
    /// Number of blobs removed, or that a dry run would remove.
    pub blobs: u64,
    /// Bytes freed, or that a dry run would free.
    pub bytes: u64,
    /// Number of blobs kept.
    pub kept: u64,
    /// Number of blobs kept only because they were used recently.
    pub in_grace: u64,
    /// Number of pinned or followed releases without files, because their list does not fit them.
    #[serde(default)]
    pub invalid_releases: u64,
}

/// The request to rebuild the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildIndex;

/// The contents of the rebuilt index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildDone {
    /// Number of signed entries.
    pub entries: u64,
    /// Number of releases.
    pub releases: u64,
    /// Duration, in milliseconds.
    pub elapsed_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_objects_keep_their_text() {
        let hex = "ab".repeat(32);
        for text in [format!("blake3:{hex}"), format!("entry:{hex}")] {
            let object: StoredObject = text.parse().unwrap();
            assert_eq!(serde_json::to_string(&object).unwrap(), format!("{text:?}"));
        }
        assert_eq!("listing".parse(), Ok(StoredObject::Listing));
        assert!(hex.parse::<StoredObject>().is_err());
    }
}
