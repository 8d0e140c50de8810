//! Entries that name the lists of a followed publisher, under its releases' names, with sizes that
//! are not theirs; and a holder that claims to have whatever it is asked for, at that size.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use perennial_manifest::{ArtifactListRef, BlobId, Holding};
use perennial_protocol::{Bounded, Refusal, Request, Response};
use perennial_tests::{Answer, Conduct, Stranger};

use super::{Attack, Target};
use crate::cluster::liar::genesis;

const SIZE: u64 = 12_345;

pub(super) struct FalseSizes {
    lists: Vec<BlobId>,
}

impl FalseSizes {
    pub(super) fn new(target: &Target) -> Self {
        Self { lists: target.lists.clone() }
    }
}

impl Conduct for FalseSizes {
    fn answer(&self, request: &Request) -> Answer {
        Answer::Now(match request {
            Request::Have { releases, blobs } => Response::Have {
                releases: Bounded::first_of(releases.iter().map(|_| Some(Holding::Held))),
                blobs: Bounded::first_of(blobs.iter().map(|_| Some(SIZE))),
            },
            _ => Response::Refused { reason: Refusal::Busy },
        })
    }
}

impl Attack for FalseSizes {
    fn strike<'a>(&'a self, stranger: &'a Stranger) -> BoxFuture<'a, ()> {
        async move {
            for number in 0_u64.. {
                let blob = self.lists[rand::random::<u32>() as usize % self.lists.len()];
                let list = ArtifactListRef { blob, count: 1, bytes: 1, size: SIZE + number % 7 };
                let purl = format!("pkg:generic/tool@{}", number % 200);
                stranger.gossip(genesis(rand::random(), &purl, list).encode()).await;
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
        .boxed()
    }
}
