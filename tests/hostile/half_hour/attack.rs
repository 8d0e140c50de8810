//! The attackers: twelve identities, four at each of three address prefixes, and HTTP clients at
//! the same addresses. Whoever is shown the door comes back under a fresh key.
//!
//! | module | attack |
//! |---|---|
//! | `gossip` | fresh strangers' entries, faster than any are taken in |
//! | `false_sizes` | entries that name the followed publisher's lists with sizes of their own |
//! | `junk_lists` | entries whose lists are no lists, asked for over HTTP as well |
//! | `look_ups` | every kind of question, many at a time |
//! | `silent_streams` | streams for blobs on which a request never ends |
//! | `slow_exchanges` | histories that are promised, and come late or never |
//! | `idle_connections` | calls that never say who calls |
//! | `slow_http` | 300 HTTP clients that send, read or wait as slowly as they may |
//! | `aborted_gets` | HTTP clients that ask for much, and leave at once |

mod aborted_gets;
mod false_sizes;
mod gossip;
mod idle_connections;
mod junk_lists;
mod look_ups;
mod silent_streams;
mod slow_exchanges;
mod slow_http;

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use perennial_manifest::BlobId;
use perennial_tests::{Conduct, Stranger};
use tokio::runtime::Runtime;

use super::scene::Scene;

/// The pause before a refused attacker comes back.
const BACK: Duration = Duration::from_millis(500);
/// Addresses of each of the prefixes.
const EACH: u8 = 4;

/// What attackers know of the node: all of it is public.
#[derive(Debug, Clone)]
struct Target {
    /// Where it listens to peers, with its peer id.
    address: String,
    /// `address:port` of its HTTP.
    http: String,
    /// The artifact lists of a publisher that it follows.
    lists: Vec<BlobId>,
    /// Releases of each publisher that it follows and whose bytes nobody has.
    unheld: u64,
}

/// What attackers have done so far.
#[derive(Debug, Default)]
struct Tally {
    /// Connections that the node let in, each under a fresh key.
    let_in: AtomicU64,
    /// Calls that it refused.
    refused: AtomicU64,
    /// Questions, and how many of them were answered.
    asked: AtomicU64,
    answered: AtomicU64,
    /// Requests over HTTP, and how many of them had an answer.
    http_asked: AtomicU64,
    http_answered: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// An attack of a peer: what it does while it is connected, beside its answers.
trait Attack: Conduct {
    /// Goes on until the connection ends.
    fn strike<'a>(&'a self, stranger: &'a Stranger) -> BoxFuture<'a, ()>;
}

/// All attacks at once, until it is dropped.
pub(super) struct Assault {
    runtime: Option<Runtime>,
    tally: Arc<Tally>,
}

impl Assault {
    pub(super) fn begin(scene: &Scene) -> Self {
        let target = Target {
            address: scene.node.address().to_owned(),
            http: scene.http().to_owned(),
            lists: scene.lists.clone(),
            unheld: scene.unheld,
        };
        let tally: Arc<Tally> = Arc::default();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
        let goods = junk_lists::goods(&scene.at("junk"));
        let mut attacks: Vec<Arc<dyn Attack>> = Vec::new();
        for _ in 0..2 {
            attacks.push(Arc::new(gossip::Gossip));
            attacks.push(Arc::new(false_sizes::FalseSizes::new(&target)));
            attacks.push(Arc::new(junk_lists::JunkLists::new(&target, &goods)));
            attacks.push(Arc::new(look_ups::LookUps::new(&tally)));
            attacks.push(Arc::new(silent_streams::SilentStreams));
        }
        attacks.push(Arc::new(look_ups::LookUps::new(&tally)));
        attacks.push(Arc::new(slow_exchanges::SlowExchanges));
        for (number, address) in addresses().into_iter().enumerate() {
            // By turns of the prefixes: each has several kinds.
            let attack = attacks[number % attacks.len()].clone();
            runtime.spawn(haunt(address, target.address.clone(), attack, tally.clone()));
            runtime.spawn(idle_connections::hold(address, target.clone()));
            runtime.spawn(slow_http::ask(address, target.clone(), tally.clone()));
            runtime.spawn(aborted_gets::ask(address, target.clone(), tally.clone()));
        }
        Self { runtime: Some(runtime), tally }
    }
}

impl Drop for Assault {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Display for Assault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Tally { let_in, refused, asked, answered, http_asked, http_answered } = &*self.tally;
        write!(
            f,
            "attackers: {} keys let in, {} calls refused; {} of {} questions answered, {} of {} \
             HTTP requests",
            of(let_in),
            of(refused),
            of(answered),
            of(asked),
            of(http_answered),
            of(http_asked)
        )
    }
}

/// Twelve addresses of this machine, in three prefixes of 24 bits, by turns of the prefixes.
fn addresses() -> Vec<Ipv4Addr> {
    let hosts = 1..=EACH;
    hosts.flat_map(|host| (1..=3).map(move |net| Ipv4Addr::new(127, net, net, host))).collect()
}

/// Attacks from an address for ever.
async fn haunt(from: Ipv4Addr, node: String, attack: Arc<dyn Attack>, tally: Arc<Tally>) {
    loop {
        match Stranger::call(from, &node, attack.clone()).await {
            Some(stranger) => {
                count(&tally.let_in);
                tokio::select! {
                    () = attack.strike(&stranger) => {}
                    () = stranger.gone() => {}
                }
            }
            None => count(&tally.refused),
        }
        tokio::time::sleep(BACK).await;
    }
}
