//! Read-only requests: `ls`, `search`, `follows`, `pins`, `status`, `peers`, `key`.

use std::collections::BTreeSet;

use perennial_control::{
    Failure, FollowRow, FullBy, KeyRow, Listed, Ls, PeerRow, PinRow, PinTarget, ReleaseRow, Search,
    Sink, StatusRow, Target,
};
use perennial_gateway::{ReleaseRows, TRUSTS_NONE};
use perennial_manifest::Holding;
use perennial_store::{BlobState, Loss, Pin, ReleaseFilter, Store, StoreError};

use super::{ControlService, failure, feed_notices};
use crate::archive::{FoundReleases, loss_text};

/// Lost files that one answer names, at most.
const NOTICES: usize = 20;

pub(super) async fn ls(
    service: &ControlService,
    request: Ls,
    sink: &Sink<ReleaseRow>,
) -> Result<Listed, Failure> {
    let filter = ReleaseFilter {
        publisher: service.publisher(request.publisher.as_ref())?,
        selector: request.selector,
        state: request.state,
        limit: request.limit.map_or(0, |limit| limit as usize),
        looked_at: 0,
    };
    let lost = lost_in_place(service).await;
    let mut found = service.archive.list(filter).await.map_err(failure)?;
    found.here.sort_by(|one, other| one.purl.cmp_for_lists(&other.purl));
    let listed: BTreeSet<_> = found.here.iter().map(|row| row.release).collect();
    let notices = lost.iter().filter(|loss| listed.contains(&loss.release)).map(loss_text);
    let notices = cut(notices.collect());
    Ok(Listed { notices, ..send_found(service, found, sink).await? })
}

/// The files in place that are lost; none if that cannot be told.
async fn lost_in_place(service: &ControlService) -> Vec<Loss> {
    service.archive.lost_in_place().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "could not look at the files added in place");
        Vec::new()
    })
}

/// The first of many losses, and where the others are named.
fn cut(mut losses: Vec<String>) -> Vec<String> {
    if losses.len() > NOTICES {
        let more = losses.len() - NOTICES;
        losses.truncate(NOTICES);
        losses.push(format!("{more} more files are lost; `perennial verify` names all"));
    }
    losses
}

pub(super) async fn search(
    service: &ControlService,
    request: Search,
    sink: &Sink<ReleaseRow>,
) -> Result<Listed, Failure> {
    let limit = request.limit.clamp(1, 10_000) as usize;
    let found = service.archive.search(request.text, limit).await.map_err(failure)?;
    send_found(service, found, sink).await
}

async fn send_found(
    service: &ControlService,
    found: FoundReleases,
    sink: &Sink<ReleaseRow>,
) -> Result<Listed, Failure> {
    let FoundReleases { here, elsewhere, more } = found;
    let rows = service.read(move |store| {
        let mut rows = rows(store, &here)?;
        rows.extend(
            self::rows(store, &elsewhere)?
                .into_iter()
                .map(|row| ReleaseRow { elsewhere: true, ..row }),
        );
        Ok(rows)
    });
    Ok(Listed { more, ..send(rows.await?, sink).await })
}

pub(super) async fn follows(
    service: &ControlService,
    sink: &Sink<FollowRow>,
) -> Result<Listed, Failure> {
    let found = service.read(move |store| {
        let follows = store.follows();
        let mut found = Vec::new();
        if follows.all {
            let stats = store.stats()?;
            found.push(FollowRow {
                publisher: Target::All,
                name: None,
                only: None,
                kind: None,
                releases: stats.releases,
                held_releases: stats.held,
                forked: false,
                successor: None,
                predecessor: None,
            });
        }
        for (publisher, name) in follows.publishers.clone() {
            let releases = store.releases_of(&publisher)?;
            found.push(FollowRow {
                publisher: Target::Publisher(publisher),
                name,
                only: follows.only_of(&publisher).map(<[_]>::to_vec),
                kind: store.publisher_kind(&publisher)?,
                releases: releases.known,
                held_releases: releases.held,
                forked: store.feed(&publisher)?.is_forked(),
                successor: follows.successor_of(&publisher).copied(),
                predecessor: follows.successors.get(&publisher).map(|came| came.after),
            });
        }
        Ok(found)
    });
    Ok(send(found.await?, sink).await)
}

pub(super) async fn pins(service: &ControlService, sink: &Sink<PinRow>) -> Result<Listed, Failure> {
    let found = service.read(move |store| {
        store.pins().into_iter().map(|pin| pin_row(store, pin)).collect::<Result<Vec<_>, _>>()
    });
    Ok(send(found.await?, sink).await)
}

pub(super) async fn status(service: &ControlService) -> Result<StatusRow, Failure> {
    let overview = service.archive.network().overview().borrow().clone();
    let publisher = service.archive.publisher();
    let daemon = service.daemon;
    let uptime_seconds = service.started.elapsed().as_secs();
    let http = service.http.get().map(ToString::to_string);
    let lost = lost_in_place(service).await;
    let (peer_id, own) = (service.peer_id.clone(), service.archive.publisher());
    let mut notices = Vec::new();
    if let Some(reason) = service.archive.store().rebuilt() {
        notices.push(format!("the index was rebuilt: {reason}"));
    }
    for unreached in overview.unreached() {
        notices.push(format!("not connected to {unreached}"));
    }
    if let Some(address) = &overview.twin {
        notices.push(format!(
            "another node uses this node's keys ({address}): nothing is signed while both run. \
             Stop one of them; a copy that is to live on needs keys of its own"
        ));
    }
    if http.is_some() && service.archive.store().follows().trusts_none() {
        notices.push(TRUSTS_NONE.to_owned());
    }
    let lost_objects = lost.iter().map(|loss| loss.blob).collect::<BTreeSet<_>>().len() as u64;
    notices.extend(cut(lost.iter().map(loss_text).collect()));
    let row = service.read(move |store| {
        let (stats, follows, usage) = (store.stats()?, store.follows(), store.usage()?);
        let unnamed = (!follows.names(&own)).then_some(&own);
        for id in follows.publishers.keys().chain(unnamed) {
            notices.extend(feed_notices::of(id, &store.feed(id)?, &follows, &own));
        }
        let (_, others) = store.forked();
        if others > 0 {
            notices.push(format!(
                "two histories were signed with the keys of {others} publishers that are not \
                 followed by name"
            ));
        }
        Ok(StatusRow {
            daemon,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds,
            data: store.dir().display().to_string(),
            free_bytes: usage.disk.map(|(free, _)| free),
            used_bytes: usage.used,
            quota_bytes: usage.quota,
            reserve_bytes: usage.reserve,
            room_bytes: usage.room,
            declined_bytes: usage.declined,
            disk_full: usage.declined.map(|_| match usage.is_limited_by_quota() {
                true => FullBy::Quota,
                false => FullBy::Disk,
            }),
            http,
            follows: follows.publishers.len() as u64,
            follows_all: follows.all,
            peer_id,
            addresses: overview.addresses,
            peers: overview.peers.len() as u64,
            releases: stats.releases,
            held_releases: stats.held,
            partial_releases: stats.partial,
            invalid_releases: stats.invalid,
            blobs: stats.blobs,
            stored_bytes: stats.stored_bytes,
            logical_bytes: stats.logical_bytes,
            publisher: Some(publisher),
            entries: stats.entries,
            quarantined: stats.quarantined,
            lost_objects,
            sync_sent_bytes: overview.sync_sent,
            sync_received_bytes: overview.sync_received,
            sent_bytes: overview.sent,
            received_bytes: overview.received,
            notices,
        })
    });
    row.await
}

pub(super) async fn peers(
    service: &ControlService,
    sink: &Sink<PeerRow>,
) -> Result<Listed, Failure> {
    let peers = service.archive.network().overview().borrow().peers.clone();
    let rows = peers.into_iter().map(|(peer, info)| PeerRow {
        peer_id: peer.to_string(),
        address: Some(info.address).filter(|address| !address.is_empty()),
        received_bytes: info.received,
        sent_bytes: info.sent,
        faults: info.faults,
    });
    Ok(send(rows.collect(), sink).await)
}

pub(super) async fn key(service: &ControlService) -> Result<KeyRow, Failure> {
    let (own, file) = (service.archive.publisher(), service.keys.publisher_path());
    let row = service.read(move |store| {
        let feed = store.feed(&own)?;
        let publisher = own;
        let kind = store.publisher_kind(&own)?.unwrap_or_default();
        Ok(KeyRow {
            publisher,
            kind,
            entries: feed.entries,
            forked: feed.is_forked(),
            file: file.display().to_string(),
            previous: None,
            previous_file: None,
            backup: None,
        })
    });
    row.await
}

/// Bytes that this user can still write to the file system of `dir`.
fn rows(
    store: &Store,
    found: &[perennial_store::ReleaseRow],
) -> Result<Vec<ReleaseRow>, StoreError> {
    let mut rows = ReleaseRows::with_names(store);
    found.iter().map(|row| rows.row(row)).collect()
}

/// Sends rows until all are sent or the client disconnects.
async fn send<I>(rows: Vec<I>, sink: &Sink<I>) -> Listed {
    let listed = Listed { rows: rows.len() as u64, ..Listed::default() };
    for row in rows {
        if !sink.item(row).await {
            break;
        }
    }
    listed
}

/// The row of a pin in lists.
pub(super) fn pin_row(store: &Store, pin: Pin) -> Result<PinRow, StoreError> {
    let target = match pin {
        Pin::Release(id) => PinTarget::Release(id),
        Pin::Blob(blob) => PinTarget::Blob(blob),
    };
    let unknown = PinRow {
        target,
        what: target.kind(),
        purl: None,
        publisher: None,
        publisher_name: None,
        issued_at: None,
        state: Holding::Known,
        bytes: None,
    };
    Ok(match pin {
        Pin::Release(id) => match store.known_release(&id)? {
            None => unknown,
            Some(row) => PinRow {
                publisher: Some(row.publisher),
                publisher_name: store.follows().publishers.get(&row.publisher).cloned().flatten(),
                issued_at: Some(row.issued_at),
                state: row.state,
                bytes: Some(row.artifacts.bytes),
                purl: Some(row.purl),
                ..unknown
            },
        },
        Pin::Blob(blob) => match store.blob_state(&blob)? {
            BlobState::Held { size } => {
                PinRow { state: Holding::Held, bytes: Some(size), ..unknown }
            }
            BlobState::Partial { .. } => PinRow { state: Holding::Partial, ..unknown },
            BlobState::Missing | BlobState::Denied => unknown,
        },
    })
}
