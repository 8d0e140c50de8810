//! Entries of publishers that nobody knows, sound and each of another key, several times as many as
//! a node takes in of all strangers. Some of them say that there is a history.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use perennial_manifest::{ArtifactListRef, BlobId, Body, Entry, EntryId, Keypair, Release};
use perennial_tests::{Conduct, Stranger};

use super::Attack;
use crate::cluster::liar::genesis;

/// Entries a second.
const RATE: u32 = 20;
/// Of so many, one has a history.
const ORPHANS: u32 = 32;

pub(super) struct Gossip;

impl Conduct for Gossip {}

impl Attack for Gossip {
    fn strike<'a>(&'a self, stranger: &'a Stranger) -> BoxFuture<'a, ()> {
        async move {
            for number in 0_u32.. {
                let bytes = if number % ORPHANS == 0 { orphan() } else { entry() };
                stranger.gossip(bytes).await;
                tokio::time::sleep(Duration::from_secs(1) / RATE).await;
            }
        }
        .boxed()
    }
}

/// A list that nobody has.
pub(super) fn nothing() -> ArtifactListRef {
    ArtifactListRef { blob: BlobId::from_bytes(rand::random()), count: 1, bytes: 1, size: 60 }
}

fn entry() -> Vec<u8> {
    let purl = format!("pkg:generic/noise-{}@1", rand::random::<u32>());
    genesis(rand::random(), &purl, nothing()).encode()
}

/// An entry late in a feed that nobody else has.
pub(super) fn orphan() -> Vec<u8> {
    let key = Keypair::from_seed(rand::random());
    let purl = format!("pkg:generic/late-{}@1", rand::random::<u32>());
    let release = Release::new(purl.parse().expect("a package URL"), nothing());
    let body = Body::Release(Box::new(release));
    let prevs = vec![EntryId::from_bytes(rand::random())];
    let entry = Entry { publisher: key.id(), seq: 900, prevs, issued_at: 1, body };
    entry.sign(&key).expect("a sound entry").encode()
}
