//! The archive against a real store and a fake network: a task that plays the event loop, records
//! the messages it receives and answers as the test configured it.

mod export;
mod fetch;
mod image;
mod in_place;
mod meaning;
mod publish;
mod repair;
mod resolve;
mod rotation;
mod tree;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial_manifest::{
    BlobId, Body, Holding, Keypair, PublisherId, Purl, ReleaseId, SignedEntry,
};
use perennial_operation::{Add, Published};
use perennial_protocol::BlobClaim;
use perennial_protocol::FetchFailure;
use perennial_protocol::PeerId;
use perennial_protocol::{FetchId, Input, KeepOutcome, WantedBlob};
use perennial_store::{OpenOptions, Store};
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use super::{Archive, Signer};
use crate::network::fetch_handle::{FetchNews, FetchReport};
use crate::network::handle::{Network, NetworkEnds};
use crate::network::message::{LookupAnswer, Message};

/// How long any awaited condition may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message to the loop, reduced to what tests examine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Publish(&'static str),
    Held(ReleaseId),
    Dropped(ReleaseId),
    Kept(ReleaseId, KeepOutcome),
    Fetch(Vec<BlobId>),
    Cancel,
    Follows,
}

/// The state of the fake network, and a record of its messages.
#[derive(Debug, Default)]
struct World {
    told: Vec<Told>,
    /// Bytes held by peers.
    blobs: HashMap<BlobId, Vec<u8>>,
    /// Release entries known to peers.
    entries: Vec<SignedEntry>,
    /// Claims of peers about a digest.
    claims: Vec<BlobClaim>,
    /// Number of entries announced before they were durable.
    hasty: usize,
}

/// A node without a network.
struct Machine {
    dir: TempDir,
    archive: Archive,
    world: Arc<Mutex<World>>,
    /// Each permit lets one fetch end.
    gate: Arc<Semaphore>,
    stored: watch::Sender<u64>,
}

fn peer() -> PeerId {
    "a-peer".parse().unwrap()
}

impl Machine {
    /// A node with the publisher key of this seed, whose peers answer immediately.
    fn new(seed: u8) -> Self {
        let machine = Self::gated(seed);
        machine.gate.add_permits(Semaphore::MAX_PERMITS / 2);
        machine
    }

    /// As `new`, but each fetch ends only when the test permits it.
    fn gated(seed: u8) -> Self {
        Self::signing(Keypair::from_seed([seed; 32]), tempfile::tempdir().unwrap())
    }

    /// A node that signs with this key, whose archive lies in this directory.
    fn signing(key: Keypair, dir: TempDir) -> Self {
        let store = Store::open(&dir.path().join("data"), OpenOptions::default()).unwrap();
        let (network, ends) = Network::new(false, Duration::ZERO);
        let NetworkEnds { messages, stored, .. } = ends;
        let (world, gate) = (Arc::<Mutex<World>>::default(), Arc::new(Semaphore::new(0)));
        let archive = Archive::new(store.clone(), network, Signer::new(key), TaskTracker::new());
        tokio::spawn(play(store, messages, world.clone(), gate.clone()));
        Machine { dir, archive, world, gate, stored }
    }

    fn store(&self) -> &Store {
        self.archive.store()
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn told(&self) -> Vec<Told> {
        self.world().told.clone()
    }

    /// Waits until the recorded messages satisfy a condition.
    async fn until(&self, what: impl Fn(&[Told]) -> bool) {
        let waiting = async {
            while !what(&self.told()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(outcome.is_ok(), "{:?}", self.told());
    }

    fn count(&self, what: impl Fn(&Told) -> bool) -> usize {
        self.told().iter().filter(|told| what(told)).count()
    }

    /// Writes files into a directory to add.
    fn files(&self, files: &[(&str, &[u8])]) -> std::path::PathBuf {
        let dir = self.dir.path().join("source");
        let _ = std::fs::remove_dir_all(&dir);
        for (name, bytes) in files {
            write(&dir.join(name), bytes);
        }
        dir
    }

    async fn add(&self, purl: &str, files: &[(&str, &[u8])]) -> Published {
        let add = Add::new([self.files(files)], purl.parse_purl());
        self.archive.add(add, Arc::new(())).await.unwrap()
    }

    fn state(&self, release: &ReleaseId) -> Option<Holding> {
        self.store().release(release).unwrap().map(|row| row.state)
    }

    /// All entries of this machine's publisher, in feed order.
    fn feed(&self) -> Vec<SignedEntry> {
        let ids = self.store().times(None).unwrap();
        let mut entries: Vec<_> =
            ids.iter().map(|(_, id)| self.store().entry(id).unwrap().unwrap()).collect();
        entries.retain(|entry| entry.entry().publisher == self.archive.publisher());
        entries.sort_by_key(|entry| entry.entry().seq);
        entries
    }

    /// Makes another machine's entries known here, and its blobs available from peers.
    fn learn(&self, other: &Machine) {
        self.store().put_entries(&other.feed()).unwrap();
        self.peers_hold(other);
    }

    fn peers_hold(&self, other: &Machine) {
        for row in other.store().releases(&Default::default()).unwrap() {
            let list = other.store().read_list(&row.artifacts).unwrap().unwrap();
            let blobs = list.iter().map(|artifact| artifact.blake3).chain([row.artifacts.blob]);
            for blob in blobs {
                let mut bytes = Vec::new();
                other.store().copy_out(&blob, &mut bytes).unwrap();
                self.world().blobs.insert(blob, bytes);
            }
        }
    }

    async fn follow(&self, publisher: PublisherId) {
        self.archive.follow(publisher, None, None).await.unwrap();
    }
}

trait ParsePurl {
    fn parse_purl(&self) -> Purl;
}

impl ParsePurl for str {
    fn parse_purl(&self) -> Purl {
        Purl::parse(self).unwrap()
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn kind_of(body: &Body) -> &'static str {
    match body {
        Body::Profile(_) => "profile",
        Body::Release(_) => "release",
        Body::Observation(_) => "observation",
        Body::Status(_) => "status",
        Body::Merge(_) => "merge",
        _ => "other",
    }
}

/// Plays the event loop.
async fn play(
    store: Store,
    mut messages: tokio::sync::mpsc::Receiver<Message>,
    world: Arc<Mutex<World>>,
    gate: Arc<Semaphore>,
) {
    let mut reports: BTreeMap<FetchId, Arc<FetchReport>> = BTreeMap::new();
    while let Some(message) = messages.recv().await {
        let mut now = world.lock().unwrap();
        match message {
            Message::Input(Input::Publish(entry)) => {
                let durable = store.has_entry(&entry.id()).unwrap()
                    && entry.release().is_none_or(|(_, release)| {
                        store.read_list(&release.artifacts).unwrap().is_some()
                    });
                now.hasty += usize::from(!durable);
                now.told.push(Told::Publish(kind_of(&entry.entry().body)));
            }
            Message::Input(Input::Held { release }) => now.told.push(Told::Held(release)),
            Message::Input(Input::Dropped { release }) => now.told.push(Told::Dropped(release)),
            Message::Input(Input::Kept { release, outcome }) => {
                now.told.push(Told::Kept(release, outcome));
            }
            Message::Input(Input::Follows(_)) => now.told.push(Told::Follows),
            Message::Input(Input::Cancel { fetch }) => {
                reports.remove(&fetch);
                now.told.push(Told::Cancel);
            }
            Message::Fetch { fetch, report } => drop(reports.insert(fetch, Arc::new(report))),
            Message::Input(Input::Fetch { fetch, blobs, last, .. }) => {
                now.told.push(Told::Fetch(blobs.iter().map(|wanted| wanted.blob).collect()));
                if let Some(report) = reports.get(&fetch) {
                    let serve = serve(store.clone(), world.clone(), report.clone(), blobs, last);
                    let gate = gate.clone();
                    tokio::spawn(async move {
                        gate.acquire().await.unwrap().forget();
                        serve.await;
                    });
                }
            }
            Message::Lookup { answer, .. } => {
                let claims = now.claims.iter().map(|claim| (peer(), *claim)).collect();
                let entries = now.entries.clone();
                let answered = usize::from(!entries.is_empty() || !now.claims.is_empty());
                let _ = answer.send(LookupAnswer { answered, entries, claims });
            }
            Message::Search { answer, .. } => {
                let entries = now.entries.clone();
                let answered = usize::from(!entries.is_empty());
                let _ = answer.send(LookupAnswer { answered, entries, claims: Vec::new() });
            }
            _ => {}
        }
    }
}

/// Serves the blobs that peers hold; fails if a blob is missing or has another size.
async fn serve(
    store: Store,
    world: Arc<Mutex<World>>,
    report: Arc<FetchReport>,
    blobs: Vec<WantedBlob>,
    last: bool,
) {
    let mut bytes = 0;
    for wanted in blobs {
        let held = world.lock().unwrap().blobs.get(&wanted.blob).cloned();
        let Some(held) = held.filter(|held| held.len() as u64 == wanted.size) else {
            let _ = report.news.send(FetchNews::Failed(FetchFailure::NoHolder)).await;
            return;
        };
        bytes += held.len() as u64;
        drop(store.add_small(vec![held]).unwrap());
        let _ = report.news.send(FetchNews::BlobDone(wanted.blob)).await;
    }
    if last {
        let _ = report.news.send(FetchNews::Done(vec![(peer(), bytes)])).await;
    }
}
