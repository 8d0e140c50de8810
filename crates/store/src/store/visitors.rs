//! What this node fetched for clients that its user does not trust: a share of the disk, from which
//! the oldest goes.
//!
//! Owns the list of those blobs, which outlasts a restart; a line of it that is lost leaves a blob
//! to the next collection. Promises that nothing goes that is pinned or followed by then, that was
//! until lately, or that a lease covers.

use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use perennial_manifest::BlobId;

use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::store::Store;

/// Blobs listed, at most: beyond it, the oldest go whatever their size.
const BLOBS: usize = 100_000;

/// The blobs that were fetched for strangers, the oldest first.
#[derive(Debug)]
pub(super) struct Visitors {
    path: PathBuf,
    listed: Mutex<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    blobs: VecDeque<(BlobId, u64)>,
    known: HashSet<BlobId>,
    bytes: u64,
}

impl Listed {
    /// Lists a blob; false if it is listed already.
    fn add(&mut self, blob: BlobId, size: u64) -> bool {
        let new = self.known.insert(blob);
        if new {
            self.blobs.push_back((blob, size));
            self.bytes = self.bytes.saturating_add(size);
        }
        new
    }

    /// Takes the oldest off, down to three quarters of the share, if they have more than it.
    fn excess(&mut self, share: u64) -> HashSet<BlobId> {
        let mut gone = HashSet::new();
        if self.bytes <= share && self.blobs.len() <= BLOBS {
            return gone;
        }
        while self.bytes > share / 4 * 3 || self.blobs.len() > BLOBS / 4 * 3 {
            let Some((blob, size)) = self.blobs.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(size);
            self.known.remove(&blob);
            gone.insert(blob);
        }
        gone
    }
}

fn line(blob: &BlobId, size: u64) -> String {
    format!("{blob} {size}\n")
}

impl Visitors {
    /// The list in this file. What does not read back is passed over.
    pub(super) fn open(path: PathBuf) -> Self {
        let mut listed = Listed::default();
        for line in std::fs::read_to_string(&path).unwrap_or_default().lines() {
            let fields = line.split_once(' ');
            if let Some((Ok(blob), Ok(size))) = fields.map(|(b, s)| (b.parse(), s.parse())) {
                listed.add(blob, size);
            }
        }
        Self { path, listed: Mutex::new(listed) }
    }

    /// Lists a blob, and takes those off that have to go for it.
    fn note(&self, blob: BlobId, size: u64, share: u64) -> Result<HashSet<BlobId>, StoreError> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if !listed.add(blob, size) {
            return Ok(HashSet::new());
        }
        let gone = listed.excess(share);
        if gone.is_empty() {
            let mut file: File =
                OpenOptions::new().create(true).append(true).open(&self.path).at(&self.path)?;
            file.write_all(line(&blob, size).as_bytes()).at(&self.path)?;
        } else {
            let lines: String = listed.blobs.iter().map(|(blob, size)| line(blob, *size)).collect();
            durable::write_file(&self.path, lines.as_bytes())?;
        }
        Ok(gone)
    }
}

impl Store {
    /// Notes a blob that is about to be fetched for a client that this node's user does not trust.
    /// If all such blobs have more than `share` bytes, returns the oldest, for [`Store::evict`].
    ///
    /// # Errors
    /// Failures of the disk.
    pub fn note_visitor(
        &self,
        blob: BlobId,
        size: u64,
        share: u64,
    ) -> Result<HashSet<BlobId>, StoreError> {
        self.inner().visitors.note(blob, size, share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(n: u64) -> BlobId {
        BlobId::of(&n.to_be_bytes())
    }

    #[test]
    fn the_oldest_go_down_to_three_quarters_and_the_list_outlasts_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("visitors");
        let visitors = Visitors::open(path.clone());
        for n in 0..10 {
            assert_eq!(visitors.note(blob(n), 10, 100).unwrap(), HashSet::new());
        }
        assert_eq!(visitors.note(blob(3), 10, 100).unwrap(), HashSet::new(), "listed already");
        let visitors = Visitors::open(path.clone());
        let gone = visitors.note(blob(10), 10, 100).unwrap();
        assert_eq!(gone, (0..4).map(blob).collect());
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "not a line\n").unwrap();
        let visitors = Visitors::open(path);
        assert_eq!(visitors.listed.lock().unwrap().bytes, 70);
        assert_eq!(visitors.note(blob(11), 1000, 100).unwrap().len(), 8, "too large for it");
    }

    #[test]
    fn very_many_small_ones_are_bounded_too() {
        let mut listed = Listed::default();
        for n in 0..=BLOBS as u64 {
            assert!(listed.add(blob(n), 0));
        }
        assert_eq!(listed.excess(100).len(), BLOBS / 4 + 1);
        assert_eq!((listed.blobs.len(), listed.known.len()), (BLOBS / 4 * 3, BLOBS / 4 * 3));
    }
}
