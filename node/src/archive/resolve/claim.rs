//! A publisher's statement about a name, as an error shows it.

use perennial_manifest::{Candidate, PublisherKind};
use perennial_store::{Store, StoreError};

/// One publisher's statement about a name.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The release, its name and its publisher.
    pub candidate: Candidate,
    /// The kind that the publisher declares in its profile.
    pub kind: PublisherKind,
    /// The name under which the user follows the publisher.
    pub name: Option<String>,
    /// Number of files.
    pub artifacts: u64,
    /// Total size of all files in bytes.
    pub bytes: u64,
    /// When the publisher claims to have signed it, in Unix seconds.
    pub issued_at: u64,
}

impl Claim {
    pub(super) fn of(store: &Store, candidate: Candidate) -> Result<Self, StoreError> {
        let row = store.known_release(&candidate.release)?;
        Ok(Self {
            kind: store.publisher_kind(&candidate.publisher)?.unwrap_or_default(),
            name: store.follows().publishers.get(&candidate.publisher).cloned().flatten(),
            artifacts: row.as_ref().map_or(0, |row| u64::from(row.artifacts.count)),
            bytes: row.as_ref().map_or(0, |row| row.artifacts.bytes),
            issued_at: row.as_ref().map_or(0, |row| row.issued_at),
            candidate,
        })
    }
}
