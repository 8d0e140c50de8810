//! Repairs damage: kept content that is no longer whole is fetched again.
//!
//! Subscribes to the damage that the store finds. Fetches pinned releases (including this node's
//! own) itself; the protocol keeps those of followed publishers, and is told that they are no
//! longer held. Retries with growing delays while no peer has the data. Never changes a release's
//! state; the store does that when it detects the damage.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perennial_manifest::{Holding, ReleaseId};
use perennial_store::{Damaged, Pin, ReleaseFilter, Store, StoreError};
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Archive;

/// Pinned releases fetched concurrently, at most.
const AT_ONCE: usize = 4;
/// Delay before the first retry; it doubles with each retry, up to the longest delay.
const DELAY: Duration = Duration::from_secs(15);
const DELAY_MAX: Duration = Duration::from_secs(3600);
/// Delay after a new peer connects, which may hold blobs that the others lack.
const DELAY_NEW_PEER: Duration = Duration::from_secs(3);

/// The ids of all held releases.
pub(crate) fn held(store: &Store) -> Result<BTreeSet<ReleaseId>, StoreError> {
    let filter = ReleaseFilter { state: Some(Holding::Held), ..ReleaseFilter::default() };
    Ok(store.releases(&filter)?.into_iter().map(|row| row.release).collect())
}

/// Releases that became incomplete through damage, until they are whole again.
#[derive(Debug, Default)]
struct Repair {
    lost: Mutex<BTreeSet<ReleaseId>>,
    /// Notified when another release becomes incomplete.
    wake: Notify,
}

impl Archive {
    /// Repairs until `stop`. Also repairs damage found before this call, as far as the catalog
    /// shows it.
    pub(crate) async fn repair(self, damage: Receiver<Damaged>, stop: CancellationToken) {
        let repair = Repair::default();
        tokio::select! {
            () = stop.cancelled() => {}
            () = repair.listen(&self, damage) => {}
            () = repair.fetch(&self) => {}
        }
    }
}

impl Repair {
    fn lost(&self) -> MutexGuard<'_, BTreeSet<ReleaseId>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports each release that is no longer held to the protocol, and wakes the fetching task.
    async fn listen(&self, archive: &Archive, mut damage: Receiver<Damaged>) {
        loop {
            match damage.recv().await {
                Ok(damaged) => {
                    for release in &damaged.releases {
                        archive.network.dropped(*release).await;
                    }
                    self.lost().extend(damaged.releases);
                    self.wake.notify_one();
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(
                        missed,
                        "damage was found faster than it is repaired; `verify` finds the rest again"
                    );
                }
                // The store is closed, and the node with it.
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Fetches pinned releases that are not whole, repeatedly.
    async fn fetch(&self, archive: &Archive) {
        let mut delay = DELAY;
        loop {
            let mut overview = archive.network.overview();
            let peers: BTreeSet<_> = overview.borrow().peers.keys().cloned().collect();
            let whole = self.pass(archive).await;
            let new_peer = async {
                // An error means that the event loop has ended and the node is stopping.
                let new =
                    overview.wait_for(|now| now.peers.keys().any(|peer| !peers.contains(peer)));
                drop(new.await);
                tokio::time::sleep(DELAY_NEW_PEER).await;
            };
            tokio::select! {
                () = self.wake.notified() => delay = DELAY,
                () = new_peer, if !whole => delay = DELAY,
                () = tokio::time::sleep(delay), if !whole => {
                    delay = delay.saturating_mul(2).min(DELAY_MAX);
                }
            }
        }
    }

    /// Tries each release once. Returns true if nothing is left to repair.
    async fn pass(&self, archive: &Archive) -> bool {
        let lost = self.lost().clone();
        let mut broken = match archive.blocking(move |archive| broken(&archive.store, &lost)).await
        {
            Ok(broken) => broken.into_iter(),
            Err(error) => {
                tracing::warn!(%error, "could not list the releases to repair");
                return false;
            }
        };
        let (mut under_way, mut whole) = (JoinSet::new(), true);
        loop {
            while under_way.len() < AT_ONCE
                && let Some(release) = broken.next()
            {
                let archive = archive.clone();
                under_way.spawn(async move { (release, archive.fetch(release, &()).await) });
            }
            match under_way.join_next().await {
                Some(Ok((release, Ok(fetched)))) => {
                    self.lost().remove(&release);
                    tracing::info!(purl = %fetched.row.purl, %release, "repaired");
                }
                Some(Ok((release, Err(error)))) => {
                    whole = false;
                    tracing::info!(%release, %error, "could not repair; will retry");
                }
                Some(Err(_)) => whole = false,
                None => return whole,
            }
        }
    }
}

/// Pinned releases that are or were partly held, and that the protocol does not keep by itself.
fn broken(store: &Store, lost: &BTreeSet<ReleaseId>) -> Result<Vec<ReleaseId>, StoreError> {
    let follows = store.follows();
    let mut broken = Vec::new();
    for pin in store.pins() {
        let Pin::Release(release) = pin else { continue };
        let Some(row) = store.known_release(&release)? else { continue };
        if store.denial_of_release(&row).is_some() {
            continue;
        }
        let is_broken = match row.state {
            Holding::Held | Holding::Invalid => false,
            Holding::Partial => true,
            Holding::Known => lost.contains(&release),
        };
        if is_broken && !follows.keeps(&row.publisher, row.purl.as_str()) {
            broken.push(release);
        }
    }
    Ok(broken)
}
