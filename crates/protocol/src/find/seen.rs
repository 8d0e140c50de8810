//! Remembers which peers were seen to hold a release, in bounded number.

use std::collections::{BTreeMap, VecDeque};

use perennial_manifest::ReleaseId;

use crate::peer::PeerId;

/// Releases remembered, at most; the oldest is forgotten first.
pub(crate) const RELEASES: usize = 8192;
/// Holders remembered per release, at most.
pub(crate) const HOLDERS: usize = 24;

/// Holders by release, and the releases in order of insertion.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    holders: BTreeMap<ReleaseId, Vec<PeerId>>,
    order: VecDeque<ReleaseId>,
}

impl Seen {
    pub(crate) fn note(&mut self, release: ReleaseId, peer: &PeerId) {
        let holders = self.holders.entry(release).or_insert_with(|| {
            self.order.push_back(release);
            Vec::new()
        });
        if !holders.contains(peer) {
            if holders.len() >= HOLDERS {
                holders.remove(0);
            }
            holders.push(peer.clone());
        }
        if self.order.len() > RELEASES
            && let Some(old) = self.order.pop_front()
        {
            self.holders.remove(&old);
        }
    }

    pub(crate) fn holders(&self, release: &ReleaseId) -> &[PeerId] {
        self.holders.get(release).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}
