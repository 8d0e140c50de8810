//! The number of entries of each publisher, in memory.
//!
//! Counted from the publisher rows when the index is opened, and changed with every put, so that
//! asking costs no read. Owns no disk.

use std::collections::{BTreeSet, HashMap};

use perennial_manifest::PublisherId;

use crate::rows::PublisherValue;

/// Entries in the index, by publisher.
#[derive(Debug, Default)]
pub(crate) struct EntryCounts {
    by_publisher: HashMap<PublisherId, u64>,
    total: u64,
}

impl EntryCounts {
    pub(crate) fn of(publishers: Vec<(PublisherId, PublisherValue)>) -> Self {
        let mut counts = Self::default();
        for (publisher, value) in publishers {
            counts.add(publisher, value.feed.entries);
        }
        counts
    }

    pub(crate) fn add(&mut self, publisher: PublisherId, entries: u64) {
        *self.by_publisher.entry(publisher).or_default() += entries;
        self.total += entries;
    }

    /// Entries of publishers other than these.
    pub(crate) fn except(&self, publishers: &BTreeSet<PublisherId>) -> u64 {
        let theirs = publishers.iter().filter_map(|publisher| self.by_publisher.get(publisher));
        self.total.saturating_sub(theirs.sum())
    }
}
