//! Every kind of question, the dearest of each, many at a time and without a pause: whether it is
//! answered, refused, or punished by a ban.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use perennial_manifest::{BlobId, EntryId, PublisherId, Sha256Digest};
use perennial_protocol::{
    Bounded, MAX_ENTRY_IDS, MAX_FOUND, MAX_HAVE_BLOBS, MAX_HAVE_RELEASES, Request, RequestFailure,
    Response, Scope,
};
use perennial_tests::{Conduct, Stranger, all_ids, feed_key};

use super::{Attack, Tally, count};

/// Questions in flight.
const AT_ONCE: usize = 16;

pub(super) struct LookUps {
    tally: Arc<Tally>,
}

impl LookUps {
    pub(super) fn new(tally: &Arc<Tally>) -> Self {
        Self { tally: tally.clone() }
    }
}

impl Conduct for LookUps {}

impl Attack for LookUps {
    fn strike<'a>(&'a self, stranger: &'a Stranger) -> BoxFuture<'a, ()> {
        async move {
            let mut asked: FuturesUnordered<_> =
                (0..AT_ONCE).map(|number| stranger.ask(question(number))).collect();
            for number in AT_ONCE.. {
                count(&self.tally.asked);
                match asked.next().await {
                    Some(Err(RequestFailure::Disconnected)) | None => return,
                    Some(Ok(Response::Refused { .. }) | Err(_)) => {}
                    Some(Ok(_)) => count(&self.tally.answered),
                }
                asked.push(stranger.ask(question(number)));
            }
        }
        .boxed()
    }
}

/// A question of each kind in turn.
fn question(number: usize) -> Request {
    let limit = u16::try_from(MAX_FOUND).unwrap_or(u16::MAX);
    let find = |selector: String| Request::Find { selector, publisher: None, limit };
    match number % 9 {
        0 => find("tool".to_owned()),
        1 => find(format!("tool-{}", rand::random::<u32>() % 100_000)),
        2 => find(format!("tool-{}@v1.7.0", rand::random::<u32>() % 100_000)),
        3 => Request::Search { text: "ool".to_owned(), limit },
        4 => Request::Search { text: "tool v1 generic 7 0".to_owned(), limit },
        5 => Request::Have {
            releases: random(MAX_HAVE_RELEASES, |bytes| EntryId::from_bytes(bytes).into()),
            blobs: random(MAX_HAVE_BLOBS, BlobId::from_bytes),
        },
        6 => Request::ResolveSha256 { digest: Sha256Digest::from_bytes(rand::random()) },
        7 => Request::Entries { ids: random(MAX_ENTRY_IDS, EntryId::from_bytes) },
        // A scope that nobody else asks for, of which the whole set is listed.
        _ => {
            let mut some: Vec<PublisherId> =
                (0..60).map(|_| feed_key(rand::random::<u64>() % 100).id()).collect();
            some.sort_unstable();
            some.dedup();
            let scope = Scope::Publishers(Bounded::first_of(some));
            Request::Reconcile { scope, message: all_ids(&[]) }
        }
    }
}

/// A list of this many random ids.
fn random<T, const N: usize>(many: usize, id: impl Fn([u8; 32]) -> T) -> Bounded<T, N> {
    Bounded::first_of((0..many).map(|_| id(rand::random())))
}
