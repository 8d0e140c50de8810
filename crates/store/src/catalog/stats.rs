//! The contents of a store in numbers.

use perennial_manifest::PublisherId;

use super::Catalog;
use super::tally::Tally;
use crate::error::StoreError;

/// The contents of a store in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries in the catalog.
    pub entries: u64,
    /// Releases in the catalog.
    pub releases: u64,
    /// Releases held whole.
    pub held: u64,
    /// Releases held in part.
    pub partial: u64,
    /// Releases whose artifact list is not what their publisher says of it.
    pub invalid: u64,
    /// Blobs held.
    pub blobs: u64,
    /// Bytes used on this disk.
    pub stored_bytes: u64,
    /// Blobs that were found damaged and set aside, and have not been replaced.
    pub quarantined: u64,
    /// Bytes of all held releases, as if they shared nothing.
    pub logical_bytes: u64,
}

/// The releases of one publisher in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReleaseCounts {
    /// Releases in the catalog.
    pub known: u64,
    /// Those that are held whole.
    pub held: u64,
}

impl Catalog<'_> {
    /// The numbers of entries and releases. Reads two rows.
    pub(crate) fn counts(&self) -> Result<Stats, StoreError> {
        let Tally { releases, held, partial, invalid, logical_bytes } = self.tally()?;
        let entries = self.count()?;
        Ok(Stats { entries, releases, held, partial, invalid, logical_bytes, ..Stats::default() })
    }
    /// The releases of one publisher in numbers. Reads one row.
    pub(crate) fn counts_of(&self, publisher: &PublisherId) -> Result<ReleaseCounts, StoreError> {
        let Tally { releases, held, .. } = self.tally_of(publisher)?;
        Ok(ReleaseCounts { known: releases, held })
    }
}
