//! Requests that only look: ls, search, follows, pins, status, peers, key.

use std::collections::BTreeMap;

use perennial_control::{
    Done, Failure, FollowRow, Item, KeyRow, Ls, PeerRow, PinRow, ReleaseRow, Sink, StatusRow,
};
use perennial_manifest::{Holding, Selector};
use perennial_store::{BlobState, Pin, ReleaseFilter, Store, StoreError};

use super::{ControlService, usage};

/// Rows of one publisher are many: what the publisher says it is, is looked up once.
fn release_rows(
    store: &Store,
    found: &[perennial_store::ReleaseRow],
) -> Result<Vec<ReleaseRow>, StoreError> {
    let mut kinds = BTreeMap::new();
    found
        .iter()
        .map(|row| {
            let kind = match kinds.get(&row.publisher) {
                Some(kind) => *kind,
                None => {
                    let kind = store.publisher_kind(&row.publisher)?.unwrap_or_default();
                    *kinds.entry(row.publisher).or_insert(kind)
                }
            };
            Ok(ReleaseRow {
                release: row.release.to_string(),
                purl: row.purl.to_string(),
                publisher: row.publisher.to_string(),
                kind,
                artifacts: u64::from(row.artifacts.count),
                bytes: row.artifacts.bytes,
                held_bytes: row.held_bytes,
                state: row.state,
            })
        })
        .collect()
}

impl ControlService {
    async fn send_rows(found: Vec<ReleaseRow>, more: bool, sink: &Sink) -> Result<Done, Failure> {
        let rows = found.len() as u64;
        for row in found {
            if !sink.item(Item::Release(row)).await {
                break;
            }
        }
        Ok(Done::Listed { rows, more })
    }

    pub(super) async fn ls(&self, request: Ls, sink: &Sink) -> Result<Done, Failure> {
        let selector: Option<Selector> =
            request.selector.as_deref().map(str::parse).transpose().map_err(usage)?;
        let publisher = self.publisher(request.publisher.as_deref())?;
        let limit = request.limit.map_or(0, |limit| limit as usize);
        let found = self.read(move |store| {
            // one more than asked tells whether there are more
            let filter = ReleaseFilter {
                publisher,
                selector,
                state: request.state,
                limit: if limit == 0 { 0 } else { limit + 1 },
            };
            let found = store.releases(&filter)?;
            let more = limit != 0 && found.len() > limit;
            let shown = if more { &found[..limit] } else { &found[..] };
            Ok((release_rows(store, shown)?, more))
        });
        let (found, more) = found.await?;
        Self::send_rows(found, more, sink).await
    }

    pub(super) async fn search(
        &self,
        text: String,
        limit: u32,
        sink: &Sink,
    ) -> Result<Done, Failure> {
        let limit = limit.clamp(1, 10_000) as usize;
        let found = self.read(move |store| {
            let found = store.search(&text, limit + 1)?;
            let more = found.len() > limit;
            Ok((release_rows(store, &found[..found.len().min(limit)])?, more))
        });
        let (found, more) = found.await?;
        Self::send_rows(found, more, sink).await
    }

    pub(super) async fn follows(&self, sink: &Sink) -> Result<Done, Failure> {
        let found = self.read(move |store| {
            let follows = store.follows();
            let mut found = Vec::new();
            if follows.all {
                let stats = store.stats()?;
                let all = "all".to_owned();
                found.push(FollowRow {
                    publisher: all,
                    name: None,
                    kind: None,
                    releases: stats.releases,
                    held: stats.held,
                    forked: false,
                });
            }
            for (publisher, name) in follows.publishers {
                let rows = store.releases(&ReleaseFilter {
                    publisher: Some(publisher),
                    ..ReleaseFilter::default()
                })?;
                let held = rows.iter().filter(|row| row.state == Holding::Held).count() as u64;
                let known = store.publisher_kind(&publisher)?;
                found.push(FollowRow {
                    publisher: publisher.to_string(),
                    name,
                    kind: known,
                    releases: rows.len() as u64,
                    held,
                    forked: store.feed(&publisher)?.is_forked(),
                });
            }
            Ok(found)
        });
        let found = found.await?;
        let rows = found.len() as u64;
        for row in found {
            if !sink.item(Item::Follow(row)).await {
                break;
            }
        }
        Ok(Done::Listed { rows, more: false })
    }

    pub(super) async fn pins(&self, sink: &Sink) -> Result<Done, Failure> {
        let found = self.read(move |store| {
            store.pins().into_iter().map(|pin| pin_row(store, pin)).collect::<Result<Vec<_>, _>>()
        });
        let found = found.await?;
        let rows = found.len() as u64;
        for row in found {
            if !sink.item(Item::Pin(row)).await {
                break;
            }
        }
        Ok(Done::Listed { rows, more: false })
    }

    pub(super) async fn status(&self) -> Result<Done, Failure> {
        let overview = self.archive.network().overview().borrow().clone();
        let publisher = self.archive.publisher();
        let (peer_id, mut notices) = (self.peer_id.clone(), Vec::new());
        if let Some(reason) = self.archive.store().rebuilt() {
            notices.push(format!("the index was made again: {reason}"));
        }
        let row = self.read(move |store| {
            let stats = store.stats()?;
            for (id, feed) in store.publishers()? {
                if feed.is_forked() {
                    notices.push(format!(
                        "{id} signed two histories; its tags are frozen until it merges them"
                    ));
                }
            }
            Ok(StatusRow {
                peer_id,
                addresses: overview.addresses,
                peers: overview.peers.len() as u64,
                releases: stats.releases,
                held: stats.held,
                blobs: stats.blobs,
                stored_bytes: stats.stored_bytes,
                logical_bytes: stats.logical_bytes,
                publisher: Some(publisher.to_string()),
                entries: stats.entries,
                quarantined: stats.quarantined,
                sync_sent_bytes: overview.sync_sent,
                sync_received_bytes: overview.sync_received,
                sent_bytes: overview.peers.values().map(|peer| peer.sent).sum(),
                received_bytes: overview.peers.values().map(|peer| peer.received).sum(),
                notices,
            })
        });
        row.await.map(Done::Status)
    }

    pub(super) async fn peers(&self, sink: &Sink) -> Result<Done, Failure> {
        let peers = self.archive.network().overview().borrow().peers.clone();
        let rows = peers.len() as u64;
        for (peer, info) in peers {
            let row = PeerRow {
                peer_id: peer.to_string(),
                address: Some(info.address).filter(|address| !address.is_empty()),
                received_bytes: info.received,
                sent_bytes: info.sent,
                faults: info.faults,
            };
            if !sink.item(Item::Peer(row)).await {
                break;
            }
        }
        Ok(Done::Listed { rows, more: false })
    }

    pub(super) async fn key(&self) -> Result<Done, Failure> {
        let (own, file) = (self.archive.publisher(), self.key_file.display().to_string());
        let row = self.read(move |store| {
            let feed = store.feed(&own)?;
            let publisher = own.to_string();
            let kind = store.publisher_kind(&own)?.unwrap_or_default();
            Ok(KeyRow { publisher, kind, entries: feed.entries, forked: feed.is_forked(), file })
        });
        row.await.map(Done::Key)
    }
}

/// A pin as lists show it.
pub(super) fn pin_row(store: &Store, pin: Pin) -> Result<PinRow, StoreError> {
    Ok(match pin {
        Pin::Release(id) => {
            let row = store.release(&id)?;
            PinRow {
                target: id.to_string(),
                what: "release".into(),
                purl: row.as_ref().map(|row| row.purl.to_string()),
                state: row.as_ref().map_or(Holding::Known, |row| row.state),
                bytes: row.map(|row| row.artifacts.bytes),
            }
        }
        Pin::Blob(blob) => {
            let (state, bytes) = match store.blob_state(&blob)? {
                BlobState::Held { size } => (Holding::Held, Some(size)),
                BlobState::Partial { .. } => (Holding::Partial, None),
                BlobState::Missing | BlobState::Denied => (Holding::Known, None),
            };
            PinRow { target: blob.to_string(), what: "blob".into(), purl: None, state, bytes }
        }
    })
}
