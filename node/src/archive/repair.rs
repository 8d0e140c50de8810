//! Damage heals by itself: what is kept here and is not whole any more is fetched again, without anybody asking.
//!
//! Owns what was heard of damage, and the fetches of pinned releases (one's own are). Those of followed publishers are the
//! protocol's: it is told that they are not held. Promises that what nobody gives is tried again, ever more rarely. Calls
//! nothing held or not: the store does, as soon as it reads.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perennial_manifest::{BlobId, Holding, ReleaseId};
use perennial_store::{Pin, ReleaseFilter, Store, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::archive::fetch::fetch_release;
use crate::blocking::blocking;
use crate::network::handle::{Core, Message};

/// Pinned releases fetched at once.
const AT_ONCE: usize = 4;
/// First rest after a failure; it doubles up to the longest.
const REST: Duration = Duration::from_secs(15);
const REST_MAX: Duration = Duration::from_secs(3600);
/// Rest that a new peer leaves: it may hold what nobody held.
const REST_NEW_PEER: Duration = Duration::from_secs(3);
/// Damaged blobs that wait to be looked at; what is too many, `verify` finds.
const WAITING: usize = 64 * 1024;

/// What readers found damaged, and what is to be made whole.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    blobs: Mutex<BTreeSet<BlobId>>,
    /// Releases that were held.
    lost: Mutex<BTreeSet<ReleaseId>>,
    found: Notify,
    mend: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Damage {
    /// A blob did not match its name when it was read, and was set aside.
    pub(crate) fn found(&self, blob: BlobId) {
        let mut blobs = lock(&self.blobs);
        if blobs.len() < WAITING {
            blobs.insert(blob);
        }
        drop(blobs);
        self.found.notify_one();
    }
}

/// The releases that are held.
pub(crate) fn held(store: &Store) -> Result<BTreeSet<ReleaseId>, StoreError> {
    let filter = ReleaseFilter { state: Some(Holding::Held), ..ReleaseFilter::default() };
    Ok(store.releases(&filter)?.into_iter().map(|row| row.release).collect())
}

/// Says of releases that they are not held any more: they are not announced, and are fetched where they are kept.
pub(crate) async fn lost(core: &Core, releases: BTreeSet<ReleaseId>) {
    if releases.is_empty() {
        return;
    }
    for release in &releases {
        core.send(Message::Dropped(*release)).await;
    }
    lock(&core.damage.lost).extend(releases);
    core.damage.mend.notify_one();
}

/// Looks and mends until it is stopped.
pub(crate) async fn run(store: Store, core: Core, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = look(&store, &core) => {}
        () = mend(&store, &core) => {}
    }
}

/// Finds the releases that damaged blobs belong to.
async fn look(store: &Store, core: &Core) {
    loop {
        core.damage.found.notified().await;
        let (store, blobs) = (store.clone(), std::mem::take(&mut *lock(&core.damage.blobs)));
        match blocking(move || naming(&store, &blobs)).await {
            Ok(releases) => lost(core, releases).await,
            Err(error) => {
                tracing::warn!(%error, "what is damaged could not be looked up; `verify` does it again");
            }
        }
    }
}

/// The releases that name one of these blobs. The store lists them as less than held since it set the blob aside.
fn naming(store: &Store, blobs: &BTreeSet<BlobId>) -> Result<BTreeSet<ReleaseId>, StoreError> {
    let rows =
        |state| store.releases(&ReleaseFilter { state: Some(state), ..ReleaseFilter::default() });
    let mut naming = BTreeSet::new();
    for row in rows(Holding::Partial)? {
        let list = store.read_list(&row.artifacts).ok().flatten();
        if list.iter().flatten().any(|artifact| blobs.contains(&artifact.blake3)) {
            naming.insert(row.release);
        }
    }
    // of those the list itself is gone
    let known = rows(Holding::Known)?;
    naming.extend(
        known.iter().filter(|row| blobs.contains(&row.artifacts.blob)).map(|row| row.release),
    );
    Ok(naming)
}

/// Fetches what is pinned and not whole.
async fn mend(store: &Store, core: &Core) {
    let mut rest = REST;
    loop {
        let peers: BTreeSet<_> = core.overview.borrow().peers.keys().cloned().collect();
        let whole = pass(store, core).await;
        let mut overview = core.overview.clone();
        let comes = async {
            // the loop is gone where this fails, and so is the node soon
            drop(overview.wait_for(|now| now.peers.keys().any(|peer| !peers.contains(peer))).await);
            tokio::time::sleep(REST_NEW_PEER).await;
        };
        tokio::select! {
            () = core.damage.mend.notified() => rest = REST,
            () = comes, if !whole => rest = REST,
            () = tokio::time::sleep(rest), if !whole => rest = rest.saturating_mul(2).min(REST_MAX),
        }
    }
}

/// Tries everything once. Whether nothing is left to do.
async fn pass(store: &Store, core: &Core) -> bool {
    let (reader, lost) = (store.clone(), lock(&core.damage.lost).clone());
    let mut wanted = match blocking(move || wanted(&reader, &lost)).await {
        Ok(wanted) => wanted.into_iter(),
        Err(error) => {
            tracing::warn!(%error, "what is to be mended could not be listed");
            return false;
        }
    };
    let (mut under_way, mut whole) = (JoinSet::new(), true);
    loop {
        while under_way.len() < AT_ONCE
            && let Some(release) = wanted.next()
        {
            let (store, core) = (store.clone(), core.clone());
            under_way.spawn(async move {
                match fetch_release(&store, &core, release, |_| {}).await {
                    Ok(fetched) => {
                        lock(&core.damage.lost).remove(&release);
                        tracing::info!(purl = %fetched.row.purl, %release, "whole again");
                        true
                    }
                    Err(error) => {
                        tracing::info!(%release, %error, "not mended for now");
                        false
                    }
                }
            });
        }
        match under_way.join_next().await {
            Some(mended) => whole &= mended.unwrap_or(false),
            None => return whole,
        }
    }
}

/// Pinned releases of which something is here, or was, and that the protocol does not keep by itself.
fn wanted(store: &Store, lost: &BTreeSet<ReleaseId>) -> Result<Vec<ReleaseId>, StoreError> {
    let follows = store.follows();
    let mut wanted = Vec::new();
    for pin in store.pins() {
        let Pin::Release(release) = pin else { continue };
        let Some(row) = store.release(&release)? else { continue };
        let broken = match row.state {
            Holding::Held => false,
            Holding::Partial => true,
            Holding::Known => lost.contains(&release),
        };
        if broken && !follows.keeps(&row.publisher) {
            wanted.push(release);
        }
    }
    Ok(wanted)
}
