//! Questions of a stranger: each kind under a fresh key, so that none is refused for another one.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use perennial_manifest::{BlobId, EntryId, Sha256Digest};
use perennial_protocol::{
    Bounded, MAX_ENTRY_IDS, MAX_FOUND, MAX_HAVE_BLOBS, MAX_HAVE_RELEASES, Request, Response, Scope,
};
use perennial_tests::{Busy, Stranger, all_ids, feed_key};

use super::{Cost, Spent, Subject};
use crate::Failure;

/// How often each question is asked.
const TIMES: u32 = 24;
/// How long a new connection settles.
const SETTLES: Duration = Duration::from_secs(1);
/// The pause after a refusal.
const PAUSE: Duration = Duration::from_millis(300);

/// A question, made anew each time.
type Question = (&'static str, Box<dyn Fn(u32) -> Request>);

fn questions(subject: &Subject) -> Vec<Question> {
    let limit = u16::try_from(MAX_FOUND).unwrap_or(u16::MAX);
    let (known, strange) = (subject.known, subject.strange.clone());
    let find = move |selector: String| Request::Find { selector, publisher: None, limit };
    let search = move |text: &str| Request::Search { text: text.to_owned(), limit };
    // In an order that no cache predicts.
    let some = move |n: u32| u64::from(n).wrapping_mul(7919) % known / 20 * 20;
    vec![
        ("find, a name of one release", Box::new(move |n| find(format!("tool-{}", some(n))))),
        ("find, a name of very many", Box::new(move |_| find("common".to_owned()))),
        ("find, a version of it", Box::new(move |n| find(format!("common@v{}", some(n) + 19)))),
        ("find, a name of none", Box::new(move |n| find(format!("none-{n}")))),
        ("find, by id", Box::new(move |_| find(strange.clone()))),
        ("search, a word of one", Box::new(move |n| search(&format!("tool-{}", some(n))))),
        ("search, a word of all", Box::new(move |_| search("tool"))),
        ("search, the inside of a word", Box::new(move |_| search("ool"))),
        ("search, many words", Box::new(move |n| search(&format!("tool 1 2 3 4 5 6 {n}")))),
        (
            "SHA-256 of no blob",
            Box::new(|_| Request::ResolveSha256 {
                digest: Sha256Digest::from_bytes(rand::random()),
            }),
        ),
        (
            "have, 256 releases and 1,024 blobs",
            Box::new(|_| Request::Have {
                releases: random(MAX_HAVE_RELEASES, |bytes| EntryId::from_bytes(bytes).into()),
                blobs: random(MAX_HAVE_BLOBS, BlobId::from_bytes),
            }),
        ),
        (
            "entries, 512 unknown",
            Box::new(|_| Request::Entries { ids: random(MAX_ENTRY_IDS, EntryId::from_bytes) }),
        ),
        (
            "reconcile, one publisher",
            Box::new(|n| Request::Reconcile {
                scope: Scope::Publishers(Bounded::first_of([feed_key(u64::from(n) % 100).id()])),
                message: all_ids(&[]),
            }),
        ),
        (
            "reconcile, all publishers",
            Box::new(|_| Request::Reconcile { scope: Scope::All, message: all_ids(&[]) }),
        ),
    ]
}

/// A list of this many random ids.
fn random<T, const N: usize>(many: usize, id: impl Fn([u8; 32]) -> T) -> Bounded<T, N> {
    Bounded::first_of((0..many).map(|_| id(rand::random())))
}

pub(super) async fn costs(subject: &Subject) -> Result<Vec<Cost>, Failure> {
    let mut costs = Vec::new();
    for (name, question) in questions(subject) {
        let stranger = call(subject).await?;
        let spent = Spent::begin(&subject.node)?;
        for n in 0..TIMES {
            loop {
                match stranger.ask(question(n)).await {
                    Ok(Response::Refused { .. }) => tokio::time::sleep(PAUSE).await,
                    Ok(_) => break,
                    Err(failure) => return Err(format!("{name}: {failure:?}").into()),
                }
            }
        }
        costs.push(spent.cost(name, subject.idle, TIMES)?);
    }
    Ok(costs)
}

/// A stranger that is connected, and asked for nothing more.
pub(super) async fn call(subject: &Subject) -> Result<Stranger, Failure> {
    let called = Stranger::call(Ipv4Addr::LOCALHOST, subject.node.address(), Arc::new(Busy));
    let stranger = called.await.ok_or("the node let no stranger in")?;
    tokio::time::sleep(SETTLES).await;
    Ok(stranger)
}
