//! Running fetches, shared by callers that want the same bytes.
//!
//! A flight is a shared future that its callers poll; no task owns it. When the last caller drops
//! it, the fetch is cancelled, and the table removes it at the next look-up of any key.

use std::collections::HashMap;
use std::future::pending;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use perennial_manifest::{BlobId, ReleaseId};
use perennial_operation::{Progress, Stage};
use tokio::sync::watch;

use super::{FetchError, FetchedRelease};
use crate::archive::Observer;
use crate::archive::resolve::FetchedBlob;
use crate::network::fetch_handle::FetchProgress;

/// The running fetches of a node, by target.
#[derive(Debug, Default)]
pub(in crate::archive) struct Flights {
    pub(super) releases: Table<ReleaseId, Arc<FetchedRelease>>,
    pub(super) lists: Table<ReleaseId, ()>,
    pub(super) blobs: Table<(Option<ReleaseId>, BlobId, u64), ()>,
    /// Some of the files of a release.
    pub(super) files: Table<(ReleaseId, Vec<BlobId>), Arc<FetchedRelease>>,
    /// Blobs requested by digest alone, without a release that states their size.
    pub(in crate::archive) digests: Table<BlobId, Arc<FetchedBlob>>,
}

type Outcome<T> = BoxFuture<'static, Result<T, FetchError>>;

/// Fetches of one kind.
pub(in crate::archive) struct Table<K, T: Clone>(Mutex<HashMap<K, Entry<T>>>);

struct Entry<T: Clone> {
    outcome: WeakShared<Outcome<T>>,
    progress: watch::Receiver<FetchProgress>,
}

/// One caller's share in a fetch.
pub(in crate::archive) struct Flight<T: Clone> {
    outcome: Shared<Outcome<T>>,
    progress: watch::Receiver<FetchProgress>,
}

impl<K, T: Clone> Default for Table<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, T: Clone> std::fmt::Debug for Table<K, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

impl<K: Eq + Hash, T: Clone + Send + Sync + 'static> Table<K, T> {
    /// Joins the running fetch of `key`, or starts one that sends its progress to the channel it is
    /// given.
    pub(in crate::archive) fn join<F>(
        &self,
        key: K,
        start: impl FnOnce(watch::Sender<FetchProgress>) -> F,
    ) -> Flight<T>
    where
        F: Future<Output = Result<T, FetchError>> + Send + 'static,
    {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, entry| entry.outcome.upgrade().is_some());
        if let Some(entry) = under_way.get(&key)
            && let Some(outcome) = entry.outcome.upgrade()
        {
            return Flight { outcome, progress: entry.progress.clone() };
        }
        let (sender, progress) = watch::channel(None);
        let outcome = start(sender).boxed().shared();
        if let Some(weak) = outcome.downgrade() {
            under_way.insert(key, Entry { outcome: weak, progress: progress.clone() });
        }
        Flight { outcome, progress }
    }
}

impl<T: Clone> Flight<T> {
    /// Waits for the outcome and forwards progress.
    pub(in crate::archive) async fn observed_by(
        self,
        observer: &dyn Observer,
    ) -> Result<T, FetchError> {
        let Flight { outcome, mut progress } = self;
        let watching = async {
            while progress.changed().await.is_ok() {
                let Some(now) = *progress.borrow_and_update() else { continue };
                observer.progress(Progress {
                    bytes: now.received,
                    total_bytes: Some(now.total),
                    peers: u32::try_from(now.holders).unwrap_or(u32::MAX),
                    ..Progress::of(Stage::Fetching)
                });
            }
            pending().await
        };
        tokio::select! {
            outcome = outcome => outcome,
            never = watching => never,
        }
    }
}
