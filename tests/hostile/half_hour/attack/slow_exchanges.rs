//! Ends of histories, so that the node asks for the rest: which is listed as something else each
//! time, late, and never handed out.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use perennial_manifest::{EntryId, Holding};
use perennial_protocol::{Bounded, Request, Response};
use perennial_tests::{Answer, Conduct, Stranger, all_ids};

use super::Attack;
use super::gossip::orphan;

/// How long an answer takes: not so long that the node gives up.
const LATE: Duration = Duration::from_secs(15);
/// Entries that are promised.
const PROMISED: usize = 500;

pub(super) struct SlowExchanges;

impl Conduct for SlowExchanges {
    fn answer(&self, request: &Request) -> Answer {
        let response = match request {
            Request::Reconcile { .. } => {
                let mut ids: Vec<_> =
                    (0..PROMISED).map(|_| EntryId::from_bytes(rand::random())).collect();
                ids.sort_unstable();
                Response::Reconcile { message: all_ids(&ids) }
            }
            Request::Entries { .. } => Response::Entries { entries: Bounded::empty() },
            Request::Find { .. } | Request::Search { .. } => {
                Response::Found { entries: Bounded::empty() }
            }
            Request::Have { releases, blobs } => Response::Have {
                releases: Bounded::first_of(releases.iter().map(|_| Some(Holding::Held))),
                blobs: Bounded::first_of(blobs.iter().map(|_| None)),
            },
            Request::ResolveSha256 { .. } => return Answer::Never,
        };
        Answer::Late(LATE, response)
    }
}

impl Attack for SlowExchanges {
    fn strike<'a>(&'a self, stranger: &'a Stranger) -> BoxFuture<'a, ()> {
        async move {
            loop {
                stranger.gossip(orphan()).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        .boxed()
    }
}
