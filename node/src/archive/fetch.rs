//! Fetching from peers: a release's artifact list first, then the blobs that are not held.
//!
//! Every fetch of this node starts here, whether a frontend, a follow or a repair wants it. Equal
//! fetches share one: the second caller waits for the first one's outcome and sees its progress. A
//! fetch ends early only when its last caller leaves.

mod files;
mod flights;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perennial_manifest::{Artifact, ArtifactList, BlobId, Holding, ReleaseId};
use perennial_protocol::{FetchFailure, KeepOutcome, PeerId, WantedBlob};
use perennial_store::{BlobState, Lease, Loss, Reading, ReleaseRow, SMALL, Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinError;

use super::error::unreached_text;
use super::in_place::losses_text;
use super::{Archive, Observer, Unreached};
use crate::network::fetch_handle::{FetchHandle, FetchProgress};

pub(super) use flights::Flights;

/// Why bytes could not be fetched from peers.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The catalog has no such release.
    #[error("release {0} is not known on this node")]
    Unknown(ReleaseId),
    /// Peers could not deliver the bytes, or this node could not store them.
    #[error("{}", failure_text(.0))]
    Peers(FetchFailure),
    /// None of the given peers answered.
    #[error("no peer answered. {}", unreached_text(.0))]
    Unreached(Vec<Unreached>),
    /// Files of the release lay in place and are lost, and no peer sent them.
    #[error("{}; {why}", losses_text(.losses))]
    LostInPlace {
        /// The lost files.
        losses: Arc<[Loss]>,
        /// Why they were not fetched.
        why: Box<FetchError>,
    },
    /// No peer is connected, and none is expected.
    #[error("no peer is connected to fetch it from")]
    Alone,
    /// All bytes came, and some of them are lost or damaged again.
    #[error("bytes of release {0} were lost or damaged while the rest was fetched; ask again")]
    Damaged(ReleaseId),
    /// The store failed, or rejects one of the blobs.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// A thread of the fetch panicked, or was stopped with the runtime.
    #[error("the fetch was interrupted: {0}")]
    Interrupted(Arc<JoinError>),
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

fn failure_text(failure: &FetchFailure) -> &'static str {
    match failure {
        FetchFailure::NoHolder => "no reachable peer holds these bytes",
        FetchFailure::Stalled => "peers hold these bytes, but none of them sent all",
        FetchFailure::Local => "this node could not store what peers sent",
        FetchFailure::Busy => "this node has too many fetches under way; try again later",
    }
}

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

    /// Fetches one blob of a release. `size` is the size stated in the release's list.
    ///
    /// # Errors
    /// Only [`FetchError`].
    pub async fn fetch_blob(
        &self,
        release: ReleaseId,
        blob: BlobId,
        size: u64,
    ) -> Result<(), FetchError> {
        let archive = self.clone();
        let fetch = move |progress| async move {
            let _lease = archive.store.lease(vec![blob]);
            fetch_wanted(&archive, Some(release), blob, size, &progress).await.map(drop)
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
    matches!(**error, StoreError::Denied(_) | StoreError::Format { .. })
}

async fn fetch_release(
    archive: &Archive,
    release: ReleaseId,
    progress: &watch::Sender<FetchProgress>,
) -> Result<FetchedRelease, FetchError> {
    let Listed { row, list, lease, fetch } = fetch_list(archive, release, progress).await?;
    drop(lease);
    let mut blobs = Store::blobs_of(&list);
    blobs.push(row.artifacts.blob);
    let lease = archive.store.lease(blobs);
    let (artifacts, lost) = (list.clone(), row.clone());
    let missing = archive.in_store(move |store| {
        // Files in place are what the release is made of as long as their bytes are right.
        let blobs: BTreeSet<_> = Store::blobs_of(&artifacts).into_iter().collect();
        store.look_in_place(Some(&blobs), Reading::Doubtful(u64::MAX))?;
        let missing = missing(store, &artifacts)?;
        if !missing.is_empty() {
            // The release may have been held until it was damaged. From here on it is listed as
            // partial, however the fetch ends.
            store.refresh_state(&release)?;
        }
        let mut losses = if missing.is_empty() { Vec::new() } else { store.losses_of(&lost)? };
        losses.retain(|loss| loss.missed.is_some());
        Ok((missing, losses))
    });
    let (missing, losses) = missing.await?;
    let mut from = BTreeMap::new();
    if !missing.is_empty() || fetch.is_some() {
        let fetched = async {
            let mut fetch = match fetch {
                Some(fetch) => fetch,
                None if !losses.is_empty() && archive.network.is_alone() => {
                    return Err(FetchError::Alone);
                }
                None => start(archive, Some(release), progress).await?,
            };
            // Asked again: while this fetch waited for a peer, another one may have brought some.
            let missing = archive.in_store(move |store| {
                missing.into_iter().map(|blob| wanted(store, blob.blob, blob.size)).collect()
            });
            fetch.add(missing.await?, true).await;
            fetch.done().await.map_err(FetchError::Peers)
        };
        let fetched = fetched.await.map_err(|why| match losses.is_empty() {
            true => why,
            false => FetchError::LostInPlace { losses: losses.into(), why: Box::new(why) },
        })?;
        for (peer, bytes) in fetched {
            *from.entry(peer).or_insert(0) += bytes;
        }
    }
    let state = archive.in_store(move |store| store.refresh_state(&release)).await?;
    if state != Some(Holding::Held) {
        return Err(FetchError::Damaged(release));
    }
    archive.network.held(release).await;
    Ok(FetchedRelease { row, list, from, _lease: lease })
}

async fn fetch_some(
    archive: &Archive,
    release: ReleaseId,
    select: impl FnOnce(&ArtifactList) -> Vec<Artifact> + Send,
    progress: &watch::Sender<FetchProgress>,
) -> Result<FetchedRelease, FetchError> {
    let Listed { row, list, lease, fetch } = fetch_list(archive, release, progress).await?;
    drop(lease);
    let wanted = select(&list);
    let mut blobs: Vec<BlobId> = wanted.iter().map(|artifact| artifact.blake3).collect();
    blobs.push(row.artifacts.blob);
    let lease = archive.store.lease(blobs);
    let missing = archive.in_store(move |store| missing(store, &wanted)).await?;
    let mut from = BTreeMap::new();
    if !missing.is_empty() || fetch.is_some() {
        let mut fetch = match fetch {
            Some(fetch) => fetch,
            None => start(archive, Some(release), progress).await?,
        };
        fetch.add(missing, true).await;
        from.extend(fetch.done().await.map_err(FetchError::Peers)?);
    }
    archive.in_store(move |store| store.refresh_state(&release)).await?;
    Ok(FetchedRelease { row, list, from, _lease: lease })
}

/// A release whose artifact list is held.
struct Listed {
    row: ReleaseRow,
    list: ArtifactList,
    lease: Lease,
    /// Still open if the list had to be fetched: the same peers are asked for the blobs.
    fetch: Option<FetchHandle>,
}

async fn fetch_list(
    archive: &Archive,
    release: ReleaseId,
    progress: &watch::Sender<FetchProgress>,
) -> Result<Listed, FetchError> {
    let row = archive.in_store(move |store| store.release(&release)).await?;
    let row = row.ok_or(FetchError::Unknown(release))?;
    let claim = row.artifacts;
    let lease = archive.store.lease(vec![claim.blob]);
    if let Some(list) = read_list(archive, &row).await? {
        return Ok(Listed { row, list, lease, fetch: None });
    }
    let mut fetch = start(archive, Some(release), progress).await?;
    let missing = archive.in_store(move |store| wanted(store, claim.blob, claim.size)).await?;
    fetch.add(vec![missing], false).await;
    fetch.blob(claim.blob).await.map_err(FetchError::Peers)?;
    let list = read_list(archive, &row).await?;
    let list = list.ok_or(FetchError::Peers(FetchFailure::Local))?;
    Ok(Listed { row, list, lease, fetch: Some(fetch) })
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
    fetch.done().await.map_err(FetchError::Peers)
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
    let claim = row.artifacts;
    archive
        .in_store(move |store| match store.read_list(&claim) {
            // The failed read has set the blob aside, so it is missing now.
            Err(StoreError::Corrupt { .. }) => Ok(None),
            other => other,
        })
        .await
}

/// The blobs of a list that are not held, each once, with their missing ranges.
fn missing<'a>(
    store: &Store,
    list: impl IntoIterator<Item = &'a Artifact>,
) -> Result<Vec<WantedBlob>, StoreError> {
    let mut found = BTreeMap::new();
    for artifact in list {
        if found.contains_key(&artifact.blake3) {
            continue;
        }
        if artifact.size == 0 {
            // An empty blob needs no peer.
            drop(store.add_small(vec![Vec::new()])?);
        }
        match store.blob_state(&artifact.blake3)? {
            BlobState::Held { size } if size == artifact.size => {}
            BlobState::Denied => return Err(StoreError::Denied(artifact.blake3)),
            _ => {
                found.insert(artifact.blake3, wanted(store, artifact.blake3, artifact.size)?);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// The missing ranges of a blob. After an interrupted fetch of a large blob, the ranges that
/// arrived are not fetched again.
fn wanted(store: &Store, blob: BlobId, size: u64) -> Result<WantedBlob, StoreError> {
    let missing = if size == 0 || store.blob_size(&blob)? == Some(size) {
        // Nothing is missing: another fetch may have brought it a moment ago.
        Vec::new()
    } else if size > SMALL && store.has_partial(&blob, size) {
        let partial = store.partial(blob, size)?;
        if partial.is_complete() {
            store.complete(&partial)?;
        }
        partial.missing().into_iter().map(|range| (range.start, range.end)).collect()
    } else {
        vec![(0, size)]
    };
    Ok(WantedBlob { blob, size, missing })
}
