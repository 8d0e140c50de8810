//! Fetching releases: the artifact list first, then what of it is not here.
//!
//! One way for both who ask: the protocol, for releases of followed publishers, and the user, for `get`.

use std::collections::BTreeMap;

use perennial_manifest::{ArtifactList, ReleaseId};
use perennial_protocol::effect::{FetchFailure, Progress};
use perennial_protocol::input::{KeepOutcome, WantedBlob};
use perennial_protocol::peer::PeerId;
use perennial_store::{BlobState, Lease, ReleaseRow, SMALL, Store, StoreError};
use tokio::sync::watch;

use crate::blocking::blocking;
use crate::network::handle::{Core, Message, Ticket};

/// Why a release could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// No such entry here.
    #[error("release {0} is not known here")]
    Unknown(ReleaseId),
    /// Peers could not or would not.
    #[error("{}", failure_text(.0))]
    Peers(FetchFailure),
    /// The user refuses one of its blobs.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn failure_text(failure: &FetchFailure) -> &'static str {
    match failure {
        FetchFailure::NoHolder => "nobody who can be reached holds it",
        FetchFailure::Stalled => "holders were found, but none of them gave all bytes",
        FetchFailure::Local => "this node could not write it",
        FetchFailure::Busy => "this node fetches too much at once; try again later",
    }
}

/// A release that is held now.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) row: ReleaseRow,
    pub(crate) list: ArtifactList,
    /// Verified bytes by peer; empty where everything was here.
    pub(crate) from: BTreeMap<PeerId, u64>,
    /// Keeps what was fetched while the caller needs it.
    pub(crate) _lease: Lease,
}

/// Makes a release held. `progress` sees how it goes.
pub(crate) async fn fetch_release(
    store: &Store,
    core: &Core,
    release: ReleaseId,
    progress: impl Fn(watch::Receiver<Option<Progress>>),
) -> Result<Fetched, FetchError> {
    let Listed { row, list, lease, ticket } = fetch_list(store, core, release, &progress).await?;
    let claim = row.artifacts;
    drop(lease);
    let mut blobs = Store::blobs_of(&list);
    blobs.push(claim.blob);
    let lease = store.lease(blobs);
    let (reader, artifacts) = (store.clone(), list.clone());
    let missing = blocking(move || {
        let missing = missing(&reader, &artifacts)?;
        if !missing.is_empty() {
            // perhaps held until it was damaged: said to be partial from here on, however the fetch ends
            reader.refresh_state(&release)?;
        }
        Ok(missing)
    });
    let missing = missing.await?;
    let from = if missing.is_empty() && ticket.is_none() {
        Vec::new()
    } else {
        let mut open = match ticket {
            Some(open) => open,
            None => {
                let open = start(core, release).await?;
                progress(open.progress.clone());
                open
            }
        };
        open.add(missing, true).await;
        open.done().await.map_err(FetchError::Peers)?
    };
    let writer = store.clone();
    blocking(move || writer.refresh_state(&release)).await?;
    core.send(Message::Held(release)).await;
    let mut by_peer = BTreeMap::new();
    for (peer, bytes) in from {
        *by_peer.entry(peer).or_insert(0) += bytes;
    }
    Ok(Fetched { row, list, from: by_peer, _lease: lease })
}

/// A release whose artifact list is here.
pub(crate) struct Listed {
    pub(crate) row: ReleaseRow,
    pub(crate) list: ArtifactList,
    lease: Lease,
    /// Open where the list was fetched: more of the release can be asked for.
    ticket: Option<Ticket>,
}

/// Makes the artifact list of a release be here.
pub(crate) async fn fetch_list(
    store: &Store,
    core: &Core,
    release: ReleaseId,
    progress: &impl Fn(watch::Receiver<Option<Progress>>),
) -> Result<Listed, FetchError> {
    let reader = store.clone();
    let row =
        blocking(move || reader.release(&release)).await?.ok_or(FetchError::Unknown(release))?;
    let claim = row.artifacts;
    let lease = store.lease(vec![claim.blob]);
    if let Some(list) = read_list(store, &row).await? {
        return Ok(Listed { row, list, lease, ticket: None });
    }
    let mut open = start(core, release).await?;
    progress(open.progress.clone());
    let reader = store.clone();
    let missing = blocking(move || wanted(&reader, claim.blob, claim.size)).await?;
    open.add(vec![missing], false).await;
    open.blob(claim.blob).await.map_err(FetchError::Peers)?;
    let list = read_list(store, &row).await?.ok_or(FetchError::Peers(FetchFailure::Local))?;
    Ok(Listed { row, list, lease, ticket: Some(open) })
}

/// Makes one blob of a release held.
pub(crate) async fn fetch_blob(
    store: &Store,
    core: &Core,
    release: ReleaseId,
    blob: perennial_manifest::BlobId,
    size: u64,
) -> Result<(), FetchError> {
    let _lease = store.lease(vec![blob]);
    let reader = store.clone();
    let missing = blocking(move || wanted(&reader, blob, size)).await?;
    let mut open = start(core, release).await?;
    open.add(vec![missing], true).await;
    open.done().await.map_err(FetchError::Peers)?;
    Ok(())
}

async fn start(core: &Core, release: ReleaseId) -> Result<Ticket, FetchError> {
    core.fetch(Some(release)).await.ok_or(FetchError::Peers(FetchFailure::Local))
}

async fn read_list(store: &Store, row: &ReleaseRow) -> Result<Option<ArtifactList>, StoreError> {
    let (store, claim) = (store.clone(), row.artifacts);
    blocking(move || match store.read_list(&claim) {
        // set aside just now: one that is not here
        Err(StoreError::Corrupt { .. }) => Ok(None),
        other => other,
    })
    .await
}

/// The blobs of a list that are not here, each once, with what is missing of them.
fn missing(store: &Store, list: &ArtifactList) -> Result<Vec<WantedBlob>, StoreError> {
    let mut found = BTreeMap::new();
    for artifact in list {
        if found.contains_key(&artifact.blake3) {
            continue;
        }
        if artifact.size == 0 {
            // nobody needs to send nothing
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

/// What is missing of a blob; of a large one whose fetch was cut, only what did not arrive.
pub(crate) fn wanted(
    store: &Store,
    blob: perennial_manifest::BlobId,
    size: u64,
) -> Result<WantedBlob, StoreError> {
    let missing = if size == 0 {
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

/// Keeps a release of a followed publisher, and tells the protocol how that went.
pub(crate) async fn keep(store: Store, core: Core, release: ReleaseId) {
    let outcome = match fetch_release(&store, &core, release, |_| {}).await {
        Ok(fetched) => {
            tracing::info!(purl = %fetched.row.purl, %release, "held");
            KeepOutcome::Held
        }
        Err(FetchError::Store(error @ (StoreError::Denied(_) | StoreError::Format { .. }))) => {
            tracing::warn!(%release, %error, "not kept: refused");
            KeepOutcome::Refused
        }
        Err(error) => {
            tracing::info!(%release, %error, "not kept for now");
            KeepOutcome::Failed
        }
    };
    core.send(Message::Kept { release, outcome }).await;
}
