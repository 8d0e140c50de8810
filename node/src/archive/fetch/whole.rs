//! The steps of a fetch of a release: its list, what is missing of it, its bytes.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{Artifact, ArtifactList, BlobId, Holding, ReleaseId};
use perennial_protocol::FetchFailure;
use perennial_store::{Lease, Reading, ReleaseRow, Store};
use tokio::sync::watch;

use super::missing::{missing, wanted};
use super::{FetchError, FetchedRelease, not_fetched, promise, read_list, start};
use crate::archive::Archive;
use crate::network::fetch_handle::{FetchHandle, FetchProgress};

pub(super) async fn fetch_release(
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
        let _room = promise(archive, &row, &missing).await?;
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
            fetch.done().await.map_err(|failure| not_fetched(archive, failure))
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

pub(super) async fn fetch_some(
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
        let _room = promise(archive, &row, &missing).await?;
        fetch.add(missing, true).await;
        from.extend(fetch.done().await.map_err(|failure| not_fetched(archive, failure))?);
    }
    archive.in_store(move |store| store.refresh_state(&release)).await?;
    Ok(FetchedRelease { row, list, from, _lease: lease })
}

/// A release whose artifact list is held.
pub(super) struct Listed {
    pub(super) row: ReleaseRow,
    pub(super) list: ArtifactList,
    pub(super) lease: Lease,
    /// Still open if the list had to be fetched: the same peers are asked for the blobs.
    pub(super) fetch: Option<FetchHandle>,
}

pub(super) async fn fetch_list(
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
    fetch.blob(claim.blob).await.map_err(|failure| not_fetched(archive, failure))?;
    let list = read_list(archive, &row).await?;
    let list = list.ok_or(FetchError::Peers(FetchFailure::Local))?;
    Ok(Listed { row, list, lease, fetch: Some(fetch) })
}
