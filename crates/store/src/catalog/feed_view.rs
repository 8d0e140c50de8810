//! A feed as the rules of `perennial-manifest` look at it: the index, and the batch that is being
//! admitted.

use std::collections::HashMap;

use perennial_manifest::{EntryId, Known, PublisherId};

use super::Catalog;
use crate::rows::{self, PublisherValue};

/// A publisher's feed as it is known while one of its entries is admitted.
pub(super) struct FeedView<'a> {
    pub(super) catalog: &'a Catalog<'a>,
    pub(super) value: &'a PublisherValue,
    /// Entries of the same batch that were admitted already.
    pub(super) pending: &'a HashMap<EntryId, (PublisherId, u64)>,
    pub(super) publisher: PublisherId,
    /// The entry that is admitted, and its sequence number.
    pub(super) own: (EntryId, u64),
    /// Whether a predecessor that is not here counts as lost.
    pub(super) gaps: bool,
}

impl Known for FeedView<'_> {
    fn seq_of(&self, id: &EntryId) -> Option<u64> {
        if let Some((_, seq)) = self.value.feed.heads.iter().find(|(head, _)| head == id) {
            return Some(*seq);
        }
        if let Some((publisher, seq)) = self.pending.get(id) {
            return (*publisher == self.publisher).then_some(*seq);
        }
        let (own, seq) = self.own;
        if *id == own {
            let key = rows::feed(self.value.ordinal, seq, id);
            return self.catalog.index.get(&key).ok()?.map(|_| seq);
        }
        self.seq_in_index(id).or_else(|| if self.gaps { seq.checked_sub(1) } else { None })
    }

    fn at_seq(&self, seq: u64) -> Option<EntryId> {
        // The common case costs no look-up: no entry is as high as this one yet.
        if self.value.feed.highest().is_none_or(|(highest, _)| highest < seq) {
            return None;
        }
        let pending = self
            .pending
            .iter()
            .find(|(_, place)| **place == (self.publisher, seq))
            .map(|(id, _)| *id);
        pending.or_else(|| {
            let mut found = None;
            let prefix = rows::feed_at(self.value.ordinal, seq);
            let walked = self.catalog.index.walk(&prefix, &prefix, &mut |key, value| {
                found = rows::read_feed(key, value).map(|row| row.id);
                false
            });
            walked.ok().and(found)
        })
    }
}

impl FeedView<'_> {
    /// Being in a pack is not enough: during a rebuild, or after a put whose index write failed,
    /// packs hold entries that are not admitted yet.
    fn seq_in_index(&self, id: &EntryId) -> Option<u64> {
        let Catalog { index, .. } = self.catalog;
        match self.catalog.entry(id) {
            Ok(signed) => {
                let signed = signed?;
                let (publisher, seq) = (signed.entry().publisher, signed.entry().seq);
                let indexed = index.get(&rows::feed(self.value.ordinal, seq, id)).ok()?.is_some();
                (publisher == self.publisher && indexed).then_some(seq)
            }
            // Damaged here, and part of the feed all the same.
            Err(_) => {
                let mut found = None;
                let prefix = rows::feed_of(self.value.ordinal);
                let walked = index.walk(&prefix, &prefix, &mut |key, value| {
                    found =
                        rows::read_feed(key, value).filter(|row| row.id == *id).map(|row| row.seq);
                    found.is_none()
                });
                walked.ok().and(found)
            }
        }
    }
}
