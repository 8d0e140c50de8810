//! Counting the contents of a store.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use perennial_manifest::PublisherId;

use crate::catalog::{ReleaseCounts, Stats};
use crate::error::StoreError;
use crate::store::Store;

/// A walk over large files that takes no longer is made each time.
const SHORT: Duration = Duration::from_millis(10);
/// A longer one is made again after this many times its duration.
const STANDS: u32 = 30;

/// The large files and leftovers in numbers, as they were at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    at: Instant,
    took: Duration,
    files: u64,
    bytes: u64,
    quarantined: u64,
}

impl Measured {
    fn stands(&self, now: Instant) -> bool {
        self.took > SHORT && now.duration_since(self.at) < self.took * STANDS
    }
}

impl Store {
    /// The contents in numbers. Costs the same however many releases are known. The number and the
    /// bytes of large blobs may be those of a moment ago where there are very many.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = self.0.read(|catalog| catalog.counts())?;
        let measured = self.measured()?;
        let packs = self.0.blobs.packs();
        stats.blobs = packs.blobs() + measured.files;
        stats.quarantined = measured.quarantined;
        stats.stored_bytes = measured.bytes + packs.disk_bytes() + self.0.index().disk_bytes();
        Ok(stats)
    }

    /// The releases of one publisher in numbers. Reads one row.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn releases_of(&self, publisher: &PublisherId) -> Result<ReleaseCounts, StoreError> {
        self.0.read(|catalog| catalog.counts_of(publisher))
    }

    fn measured(&self) -> Result<Measured, StoreError> {
        let at = Instant::now();
        let mut last = self.0.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(measured) = last.filter(|measured| measured.stands(at)) {
            return Ok(measured);
        }
        let (mut files, mut bytes, mut quarantined) = (0, 0, 0);
        self.0.blobs.each_large(&mut |_, info| {
            files += 1;
            bytes += info.disk_bytes;
            Ok(())
        })?;
        for (blob, of_leftover) in self.0.blobs.leftovers()? {
            quarantined += u64::from(self.0.blobs.is_quarantined(&blob)?);
            bytes += of_leftover;
        }
        let measured = Measured { at, took: at.elapsed(), files, bytes, quarantined };
        *last = Some(measured);
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_walk_is_made_again_after_a_while_and_a_short_one_each_time() {
        let at = Instant::now();
        let walk = |took| Measured { at, took, files: 0, bytes: 0, quarantined: 0 };
        assert!(!walk(SHORT).stands(at));
        let long = walk(Duration::from_secs(1));
        assert!(long.stands(at + Duration::from_secs(29)));
        assert!(!long.stands(at + Duration::from_secs(30)));
    }
}
