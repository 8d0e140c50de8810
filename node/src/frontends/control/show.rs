//! The `show` request: one release in full, and the nodes that hold it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perennial_control::{ArtifactRow, Failure, HolderRow, Show, ShowDone, Shown, Sink};
use perennial_gateway::{ReleaseRows, artifact_row};
use perennial_manifest::{ArtifactList, BlobId, Holding, PublisherId, ReleaseId, Selector};
use perennial_protocol::{Holder, MAX_HAVE_BLOBS};
use perennial_store::{ReleaseFilter, ReleaseRow, Store, StoreError};

use super::{ControlService, failure, observer};

/// Releases of one name whose lists are fetched to compare them, at most.
const COMPARED: usize = 8;

pub(super) async fn show(
    service: &ControlService,
    request: Show,
    sink: &Sink<ArtifactRow>,
) -> Result<ShowDone, Failure> {
    let only = service.publisher(request.publisher.as_ref())?;
    let resolved = service.archive.look(&request.selector, only, &*observer(sink)).await;
    let agreeing = resolved.map_err(failure)?;
    let (release, own) = (agreeing[0].release, service.archive.publisher());
    let brought = service.archive.bring_list(release).await;
    let same_name = service.read(move |store| same_name(store, &release, &own)).await?;
    service.archive.compare(&same_name).await.map_err(failure)?;
    let missing_list = brought.err().map(|error| error.to_string());
    let shown = service.read(move |store| {
        let (shown, list) = describe(store, &agreeing, &own)?;
        Ok((Shown { missing_list, ..shown }, list.map(Arc::new)))
    });
    let (mut shown, list) = shown.await?;
    if matches!(shown.row.state, Holding::Held | Holding::Partial) {
        shown.holders.push(HolderRow {
            peer: service.peer_id.clone(),
            this_node: true,
            state: shown.row.state,
            held_bytes: Some(shown.row.held_bytes),
        });
    }
    if let Some(list) = list.clone() {
        let sink = sink.clone();
        service.read(move |store| send(store, &list, &sink)).await?;
    }
    service.archive.network().connected().await;
    let files = list.as_deref().map(Files::of).unwrap_or_default();
    let sizes = files.sizes.clone().into_iter().collect();
    let others = service.archive.network().census(release, sizes).await;
    let whole = shown.row.bytes;
    shown.holders.extend(others.iter().map(|holder| files.row(whole, holder)));
    Ok(ShowDone { shown, listed: list.is_some() })
}

/// Sends the files of a list, until the client disconnects.
fn send(store: &Store, list: &ArtifactList, sink: &Sink<ArtifactRow>) -> Result<(), StoreError> {
    for artifact in list.iter() {
        if !sink.item_blocking(artifact_row(store, artifact)?) {
            break;
        }
    }
    Ok(())
}

/// The distinct blobs of a release's files: the size of each, and the number of files with its
/// bytes.
#[derive(Default)]
struct Files {
    sizes: BTreeMap<BlobId, u64>,
    times: BTreeMap<BlobId, u64>,
}

impl Files {
    fn of(list: &ArtifactList) -> Files {
        let mut files = Files::default();
        for artifact in list.iter() {
            files.sizes.insert(artifact.blake3, artifact.size);
            *files.times.entry(artifact.blake3).or_default() += 1;
        }
        files
    }

    fn row(&self, all: u64, holder: &Holder) -> HolderRow {
        let whole = holder.holding == Holding::Held;
        // Peers are asked only about the first blobs; of longer lists, how much they hold is
        // unknown.
        let told = !self.sizes.is_empty() && self.sizes.len() <= MAX_HAVE_BLOBS;
        let held: BTreeSet<BlobId> = holder.blobs.iter().copied().collect();
        let bytes = |blob: &BlobId| match (self.sizes.get(blob), self.times.get(blob)) {
            (Some(size), Some(times)) => size.saturating_mul(*times),
            _ => 0,
        };
        HolderRow {
            peer: holder.peer.to_string(),
            this_node: false,
            state: if whole { Holding::Held } else { Holding::Partial },
            held_bytes: if whole {
                Some(all)
            } else {
                told.then(|| held.iter().map(bytes).fold(0, u64::saturating_add))
            },
        }
    }
}

/// Releases of other trusted publishers under the name of one, which may turn out to agree with it;
/// and that one.
fn same_name(
    store: &Store,
    release: &ReleaseId,
    own: &PublisherId,
) -> Result<Vec<ReleaseId>, StoreError> {
    let Some(row) = store.release(release)? else { return Ok(Vec::new()) };
    let this = store.candidate(&row)?;
    let mut compared = Vec::new();
    for other in others(store, &row)? {
        let other = store.candidate(&other)?;
        let is_open = this.may_agree_with(&other) && !this.agrees_with(&other);
        if is_open && store.trusts(own, &other.publisher) && compared.len() < COMPARED {
            compared.push(other.release);
        }
    }
    if !compared.is_empty() {
        compared.push(*release);
    }
    Ok(compared)
}

/// The releases of other publishers under the name of one.
fn others(store: &Store, row: &ReleaseRow) -> Result<Vec<ReleaseRow>, StoreError> {
    let filter = ReleaseFilter {
        selector: Some(Selector::Purl(row.purl.clone())),
        ..ReleaseFilter::default()
    };
    let mut others = store.releases(&filter)?;
    others.retain(|other| other.purl == row.purl && other.publisher != row.publisher);
    Ok(others)
}

/// The release, and its artifact list, if that is held and fits it.
fn describe(
    store: &Store,
    agreeing: &[perennial_manifest::Candidate],
    own: &PublisherId,
) -> Result<(Shown, Option<ArtifactList>), StoreError> {
    let release = agreeing[0].release;
    let unknown = || StoreError::UnknownRelease(release);
    let row = store.release(&release)?.ok_or_else(unknown)?;
    let entry = store.entry(&release.entry())?.ok_or_else(unknown)?;
    let (_, body) = entry.release().ok_or_else(unknown)?;
    let follows = store.follows();
    let this = store.candidate(&row)?;
    let (mut agree, mut disagree) = (Vec::new(), Vec::new());
    for other in others(store, &row)? {
        let other = store.candidate(&other)?;
        if this.agrees_with(&other) {
            agree.push(other.publisher);
        } else if !this.may_agree_with(&other) {
            disagree.push(other.publisher);
        }
    }
    let (files, invalid) = match store.read_list(&row.artifacts) {
        Err(StoreError::InvalidList { list, reason }) => (None, Some(format!("{list}: {reason}"))),
        other => (other?, None),
    };
    let shown = Shown {
        followed: follows.names(&row.publisher) || row.publisher == *own,
        forked: store.feed(&row.publisher)?.is_forked(),
        license: body.license.clone(),
        list: row.artifacts.blob,
        source: body.source.as_ref().map(|source| source.vcs.clone()),
        notes: body.notes.clone(),
        agreeing: agree,
        disagreeing: disagree,
        holders: Vec::new(),
        invalid,
        missing_list: None,
        row: ReleaseRows::with_names(store).row(&row)?,
    };
    Ok((shown, files))
}
