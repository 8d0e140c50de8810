//! Fetching from peers: a release's artifact list first, then the blobs that are not held.
//!
//! Every fetch of this node starts here, whether a frontend, a follow or a repair wants it. Equal
//! fetches share one: the second caller waits for the first one's outcome and sees its progress. A
//! fetch ends early only when its last caller leaves.

mod error;
mod files;
mod flights;
mod missing;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use perennial_manifest::{Artifact, ArtifactList, BlobId, ReleaseId};
use perennial_protocol::{FetchFailure, KeepOutcome, PeerId, WantedBlob};
use perennial_store::{Lease, Pin, Promise, ReleaseRow, Store, StoreError};
use tokio::sync::watch;

use super::{Archive, Observer};
use crate::network::fetch_handle::{FetchHandle, FetchProgress};

use missing::wanted;
use whole::{fetch_list, fetch_release, fetch_some};

pub use error::FetchError;
pub(super) use flights::Flights;

/// How long a list that is only looked at may take to arrive.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// A release that is held.
#[derive(Debug)]
pub struct FetchedRelease {
    /// Its row in the catalog, as it was when the fetch began.
    pub row: ReleaseRow,
    /// Its files.
    pub list: ArtifactList,
    /// Verified bytes by peer; empty if everything was already held.
    pub from: BTreeMap<PeerId, u64>,
    /// Protects the blobs from collection while the value lives.
    _lease: Lease,
}

impl Archive {
    /// Fetches a release until all its blobs are held and verified, and announces it.
    ///
    /// # Errors
    /// Only [`FetchError`].
    pub async fn fetch(
        &self,
        release: ReleaseId,
        observer: &dyn Observer,
    ) -> Result<Arc<FetchedRelease>, FetchError> {
        let archive = self.clone();
        let fetch = move |progress| async move {
            fetch_release(&archive, release, &progress).await.map(Arc::new)
        };
        self.fetches.releases.join(release, fetch).observed_by(observer).await
    }

    /// Fetches the artifact list of a release into the store.
    ///
    /// # Errors
    /// Only [`FetchError`].
    pub async fn fetch_list(&self, release: ReleaseId) -> Result<(), FetchError> {
        let archive = self.clone();
        let fetch =
            move |progress| async move { fetch_list(&archive, release, &progress).await.map(drop) };
        self.fetches.lists.join(release, fetch).observed_by(&()).await
    }

    /// As [`Archive::fetch_list`], for a bounded time: somebody waits to see the list.
    ///
    /// # Errors
    /// Only [`FetchError`].
    pub(crate) async fn bring_list(&self, release: ReleaseId) -> Result<(), FetchError> {
        let alone = self.network.is_alone();
        let is_missing = self.in_store(move |store| match store.release(&release)? {
            Some(row) => Ok(store.blob_size(&row.artifacts.blob)?.is_none()),
            None => Ok(false),
        });
        if alone && is_missing.await? {
            return Err(FetchError::Alone);
        }
        let fetched = tokio::time::timeout(LIST_WAIT, self.fetch_list(release)).await;
        fetched.unwrap_or(Err(FetchError::Slow))
    }

    /// Fetches the files of a release that `select` picks from its list, and no others.
    ///
    /// # Errors
    /// Only [`FetchError`].
    pub(super) async fn fetch_some(
        &self,
        release: ReleaseId,
        select: impl FnOnce(&ArtifactList) -> Vec<Artifact> + Send + 'static,
        observer: &dyn Observer,
    ) -> Result<FetchedRelease, FetchError> {
        let archive = self.clone();
        let fetch = move |progress| async move {
            fetch_some(&archive, release, select, &progress).await.map(Arc::new)
        };
        // Not shared with the fetches of whole releases: its caller wants less.
        let alone = flights::Table::default().join(release, fetch);
        let fetched = alone.observed_by(observer).await?;
        Arc::try_unwrap(fetched).map_err(|_| FetchError::Damaged(release))
    }

    /// Fetches one blob, of a release if one is given. `size` is the size stated in the release's
    /// list, or claimed by a peer.
    ///
    /// # Errors
    /// Only [`FetchError`].
    pub async fn fetch_blob(
        &self,
        release: Option<ReleaseId>,
        blob: BlobId,
        size: u64,
    ) -> Result<(), FetchError> {
        let archive = self.clone();
        let fetch = move |progress| async move {
            let _lease = archive.store.lease(vec![blob]);
            fetch_wanted(&archive, release, blob, size, &progress).await.map(drop)
        };
        self.fetches.blobs.join((release, blob, size), fetch).observed_by(&()).await
    }

    pub(super) async fn in_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, FetchError> {
        let store = self.store.clone();
        match self.tasks.spawn_blocking(move || work(&store)).await {
            Ok(outcome) => Ok(outcome?),
            Err(error) => Err(FetchError::Interrupted(Arc::new(error))),
        }
    }
}

/// Carries out the protocol's decision to keep a release, and reports the outcome.
pub(crate) async fn keep(archive: Archive, release: ReleaseId) {
    let outcome = match archive.fetch(release, &()).await {
        Ok(fetched) => {
            tracing::info!(purl = %fetched.row.purl, %release, "kept");
            KeepOutcome::Held
        }
        Err(error) if is_refusal(&error) => {
            tracing::warn!(%release, %error, "refused to keep");
            KeepOutcome::Refused
        }
        Err(error) => {
            tracing::info!(%release, %error, "could not keep; will retry");
            KeepOutcome::Failed
        }
    };
    archive.network.kept(release, outcome).await;
}

fn is_refusal(error: &FetchError) -> bool {
    let FetchError::Store(error) = error else { return false };
    matches!(
        **error,
        StoreError::Denied(_) | StoreError::Format { .. } | StoreError::InvalidList { .. }
    )
}

/// Fetches the missing ranges of one blob. Returns the verified bytes by peer.
pub(super) async fn fetch_wanted(
    archive: &Archive,
    release: Option<ReleaseId>,
    blob: BlobId,
    size: u64,
    progress: &watch::Sender<FetchProgress>,
) -> Result<Vec<(PeerId, u64)>, FetchError> {
    let mut fetch = start(archive, release, progress).await?;
    // Last, because another fetch may bring it while this one waits for a peer. Verifies the bytes
    // left by an interrupted fetch again.
    let missing = archive.in_store(move |store| wanted(store, blob, size)).await?;
    fetch.add(vec![missing], true).await;
    fetch.done().await.map_err(|failure| not_fetched(archive, failure))
}

/// Keeps room for what is missing of a release that the user trusts or has pinned, so that fetches
/// that begin together do not each take a part of the last room. What strangers claim is promised
/// nothing.
async fn promise(
    archive: &Archive,
    row: &ReleaseRow,
    missing: &[WantedBlob],
) -> Result<Option<Promise>, FetchError> {
    let (own, publisher, release) = (archive.publisher(), row.publisher, row.release);
    let bytes = |wanted: &WantedBlob| wanted.missing.iter().map(|(start, end)| end - start).sum();
    let missing: Vec<_> = missing.iter().map(|wanted| (wanted.blob, bytes(wanted))).collect();
    archive
        .in_store(move |store| {
            let is_trusted = publisher == own
                || store.follows().names(&publisher)
                || store.pins().contains(&Pin::Release(release));
            is_trusted.then(|| store.promise(&missing)).transpose()
        })
        .await
}

/// Why a fetch failed: for want of room, if that is what this node's own failure was.
fn not_fetched(archive: &Archive, failure: FetchFailure) -> FetchError {
    match archive.store.refusal().filter(|_| failure == FetchFailure::Local) {
        Some(refusal) => refusal.into(),
        None => FetchError::Peers(failure),
    }
}

async fn start(
    archive: &Archive,
    release: Option<ReleaseId>,
    progress: &watch::Sender<FetchProgress>,
) -> Result<FetchHandle, FetchError> {
    if archive.network.is_cut_off() {
        return Err(FetchError::Alone);
    }
    let unreached = archive.network.connected().await;
    if !unreached.is_empty() {
        return Err(FetchError::Unreached(unreached));
    }
    let fetch = archive.network.fetch(release, progress.clone()).await;
    fetch.ok_or(FetchError::Peers(FetchFailure::Local))
}

async fn read_list(
    archive: &Archive,
    row: &ReleaseRow,
) -> Result<Option<ArtifactList>, FetchError> {
    let (claim, release) = (row.artifacts, row.release);
    archive
        .in_store(move |store| match store.read_list(&claim) {
            // From here on it is neither wanted nor a file of any frontend.
            Err(error @ StoreError::InvalidList { .. }) => {
                store.refresh_state(&release)?;
                Err(error)
            }
            // The failed read has set the blob aside, so it is missing now.
            Err(StoreError::Corrupt { .. }) => Ok(None),
            other => other,
        })
        .await
}
