//! Tests of the transfer machine: `invariants` says what always holds, `model` runs random command
//! lists against it, `swarm` plays peers that serve, crawl, lie and vanish, `cases` are single stories.

mod cases;
mod invariants;
mod model;
mod swarm;

use perennial_manifest::BlobId;

use crate::peer::PeerId;

pub(super) fn blob(number: u8) -> BlobId {
    BlobId::from_bytes([number; 32])
}

pub(super) fn peer(number: u8) -> PeerId {
    format!("peer-{number}").parse().expect("a sound peer id")
}
