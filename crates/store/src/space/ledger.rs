//! What the archive has on disk, in bytes, by what it is for.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use perennial_manifest::BlobId;

use super::promise::Promised;
use super::{SLACK, WALKS};

/// All that the archive has on disk, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Bytes of all files but those below.
    pub(super) files: u64,
    /// Bytes of `files` that were added while a walk was under way, which may have missed them.
    pub(super) since_walk: Option<u64>,
    /// Bytes in temporary files that may yet go.
    pub(super) unfinished: u64,
    /// Bytes taken and not yet written.
    pub(super) reserved: u64,
    /// Bytes of the packs that are taken and not yet in their files.
    pub(super) unwritten: u64,
    /// Bytes of the index when it was measured, and what was put since.
    pub(super) index: u64,
    pub(super) index_since: u64,
    /// Bytes of the reserve.
    pub(super) reserve: u64,
    /// Room promised to fetches, by blob.
    pub(super) promised: HashMap<BlobId, Promised>,
    pub(super) promised_bytes: u64,
    /// When the last walk ended, and how long it took.
    pub(super) walked: Option<(Instant, Duration)>,
    /// Whether the ledger may be above the disk: files were removed since, say.
    pub(super) shrunk: bool,
    /// The bytes that were refused last, and when: those that were asked for, and those that were
    /// claimed.
    pub(super) refused: Option<(Instant, u64)>,
    pub(super) claimed: Option<(Instant, u64)>,
}

impl Ledger {
    /// Bytes that everything has, or will have once it is written.
    pub(super) fn used(&self) -> u64 {
        let sum = self.files + self.unfinished + self.reserved + self.reserve;
        sum + self.index + self.index_since + SLACK
    }

    /// Counts bytes of files that stay.
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += bytes;
        if let Some(since) = &mut self.since_walk {
            *since += bytes;
        }
    }

    /// Whether a walk may find more room, and the last one is long enough ago.
    pub(super) fn is_worth_a_walk(&self) -> bool {
        let rested = self.walked.is_none_or(|(at, took)| at.elapsed() >= took * WALKS);
        (self.shrunk || self.walked.is_none()) && rested
    }
}
