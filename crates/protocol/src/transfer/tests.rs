//! Tests of the transfer machine: `invariants` states what always holds, `model` runs random
//! command lists against it, `swarm` simulates peers that serve, crawl, lie and vanish, `cases`
//! covers single scenarios.

mod cases;
mod invariants;
mod model;
mod swarm;

use perennial_manifest::BlobId;

use super::Transfer;
use crate::peer::PeerId;

impl Transfer {
    /// The number of unverified bytes of a wanted blob; `None` when it is not wanted.
    fn missing_bytes(&self, blob: &BlobId) -> Option<u64> {
        let of_blob = self.wants.range((*blob, 0)..=(*blob, u64::MAX));
        of_blob.map(|(_, want)| want.missing.bytes()).reduce(u64::saturating_add)
    }

    /// The number of wanted, incomplete blobs.
    fn wanted(&self) -> usize {
        self.wants.len()
    }
}

pub(super) fn blob(number: u8) -> BlobId {
    BlobId::from_bytes([number; 32])
}

pub(super) fn peer(number: u8) -> PeerId {
    format!("peer-{number}").parse().expect("a sound peer id")
}
