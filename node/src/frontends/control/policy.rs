//! Requests that change what is kept: follow, pin, verify, gc, rebuild-index.

use std::time::{Duration, Instant};

use perennial_control::{
    CorruptRow, Done, ErrorCode, Failure, Follow, Gc, GcDone, Item, Progress, RebuildDone, Sink,
    Stage, Target, VerifyDone,
};
use perennial_manifest::Selector;
use perennial_protocol::input::Follows as ProtocolFollows;
use perennial_store::{Follows, GcOptions, Pin, Store, StoreError};

use super::{Services, list};
use crate::archive::repair::{held, lost};
use crate::blocking::blocking;
use crate::failure::{failed, usage};
use crate::network::handle::Message;

/// What the protocol is told of the user's follows; our own feed is always of interest.
pub(crate) fn for_protocol(
    follows: &Follows,
    own: perennial_manifest::PublisherId,
) -> ProtocolFollows {
    if follows.all {
        return ProtocolFollows::All;
    }
    ProtocolFollows::Publishers(follows.publishers.keys().copied().chain([own]).collect())
}

impl Services {
    async fn change_follows(
        &self,
        change: impl FnOnce(&mut Follows) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Failure> {
        let store = self.store.clone();
        let changed = blocking(move || {
            let mut follows = store.follows();
            change(&mut follows)?;
            store.set_follows(&follows)?;
            Ok(follows)
        });
        let follows = changed.await.map_err(failed)?;
        self.core.send(Message::Follows(for_protocol(&follows, self.signer.publisher()))).await;
        Ok(())
    }

    pub(super) async fn follow(&self, request: Follow) -> Result<Done, Failure> {
        match request.target {
            Target::All => {
                self.change_follows(|follows| {
                    follows.all = true;
                    Ok(())
                })
                .await?;
            }
            Target::Publisher(publisher) => {
                let publisher = publisher.parse().map_err(usage)?;
                if request.name.as_ref().is_some_and(|name| {
                    name.is_empty() || name.len() > 100 || name.chars().any(char::is_control)
                }) {
                    return Err(usage(
                        "a name for a publisher has 1 to 100 bytes and no control characters",
                    ));
                }
                self.change_follows(move |follows| {
                    let name = follows.publishers.entry(publisher).or_default();
                    if request.name.is_some() {
                        *name = request.name;
                    }
                    Ok(())
                })
                .await?;
            }
        }
        Ok(Done::Ok)
    }

    pub(super) async fn unfollow(&self, target: Target) -> Result<Done, Failure> {
        let not_followed =
            |what: &str| Failure::new(ErrorCode::NotFound, format!("{what} is not followed"));
        let follows = self.store.follows();
        match target {
            Target::All if !follows.all => return Err(not_followed("everybody")),
            Target::All => {
                self.change_follows(|follows| {
                    follows.all = false;
                    Ok(())
                })
                .await?;
            }
            Target::Publisher(text) => {
                let by_name = follows
                    .publishers
                    .iter()
                    .find(|(_, name)| name.as_deref() == Some(&text))
                    .map(|(id, _)| *id);
                let publisher = match by_name {
                    Some(publisher) => publisher,
                    None => text.parse().map_err(|_| not_followed(&text))?,
                };
                if !follows.names(&publisher) {
                    return Err(not_followed(&text));
                }
                self.change_follows(move |follows| {
                    follows.publishers.remove(&publisher);
                    Ok(())
                })
                .await?;
            }
        }
        Ok(Done::Ok)
    }

    pub(super) async fn pin(
        &self,
        selector: &str,
        publisher: Option<&str>,
        pinned: bool,
        sink: &Sink,
    ) -> Result<Done, Failure> {
        let selector: Selector = selector.parse().map_err(usage)?;
        let pin = match &selector {
            Selector::Blob(blob) => Pin::Blob(*blob),
            Selector::Sha256(digest) => {
                let (store, digest) = (self.store.clone(), *digest);
                let blob = blocking(move || store.blob_of_sha256(&digest)).await.map_err(failed)?;
                Pin::Blob(blob.ok_or_else(|| {
                    Failure::new(ErrorCode::NotFound, format!("{digest} is not held here"))
                })?)
            }
            Selector::Release(id) => Pin::Release(*id),
            _ => Pin::Release(self.resolve(&selector, publisher, pinned, sink).await?[0].release),
        };
        let store = self.store.clone();
        let changed =
            blocking(move || Ok((store.set_pin(pin, pinned)?, list::pin_row(&store, pin)?)));
        let (changed, row) = changed.await.map_err(failed)?;
        if !changed && !pinned {
            return Err(Failure::new(ErrorCode::NotFound, format!("{selector} is not pinned")));
        }
        Ok(Done::Pin(row))
    }

    pub(super) async fn verify(&self, sink: Sink) -> Result<Done, Failure> {
        let (store, started) = (self.store.clone(), Instant::now());
        let verified = tokio::task::spawn_blocking(move || {
            let before = held(&store)?;
            let report = store.verify(&|bytes, total| {
                let mut progress = Progress::of(Stage::Verifying);
                (progress.bytes, progress.total_bytes) = (bytes, Some(total));
                sink.progress(progress);
            })?;
            for blob in &report.corrupt {
                let reason = "its bytes do not match its name; set aside".to_owned();
                sink.item_blocking(Item::Corrupt(CorruptRow { blob: blob.to_string(), reason }));
            }
            for blob in &report.missing {
                let reason = "a release that was held names it, and it is not here".to_owned();
                sink.item_blocking(Item::Corrupt(CorruptRow { blob: blob.to_string(), reason }));
            }
            for entry in &report.damaged_entries {
                let reason =
                    "a signed statement that no longer reads back; a peer that has it sends it again"
                        .to_owned();
                sink.item_blocking(Item::Corrupt(CorruptRow {
                    blob: format!("entry:{entry}"),
                    reason,
                }));
            }
            Ok::<_, StoreError>((report, &before - &held(&store)?))
        });
        let (report, gone) = verified.await.map_err(failed)?.map_err(failed)?;
        lost(&self.core, gone).await;
        Ok(Done::Verify(VerifyDone {
            checked: report.checked,
            bytes: report.bytes,
            corrupt: (report.corrupt.len() + report.missing.len() + report.damaged_entries.len())
                as u64,
            elapsed_ms: millis(started),
        }))
    }

    pub(super) async fn gc(&self, request: Gc) -> Result<Done, Failure> {
        let grace = request.grace_seconds.map_or(self.grace, Duration::from_secs);
        let (store, dry_run) = (self.store.clone(), request.dry_run);
        let collected = blocking(move || {
            let before = held(&store)?;
            let report = store.gc(GcOptions { grace, dry_run })?;
            Ok((report, &before - &held(&store)?))
        });
        let (report, dropped) = collected.await.map_err(failed)?;
        for release in dropped {
            self.core.send(Message::Dropped(release)).await;
        }
        Ok(Done::Gc(GcDone {
            dry_run,
            blobs: report.removed,
            bytes: report.freed_bytes,
            kept: report.kept,
            in_grace: 0,
        }))
    }

    pub(super) async fn rebuild_index(&self) -> Result<Done, Failure> {
        let (store, started) = (self.store.clone(), Instant::now());
        let rebuilt = blocking(move || {
            let entries = store.rebuild_index()?;
            Ok((entries, releases(&store)?))
        });
        let (entries, releases) = rebuilt.await.map_err(failed)?;
        Ok(Done::Rebuild(RebuildDone { entries, releases, elapsed_ms: millis(started) }))
    }
}

fn releases(store: &Store) -> Result<u64, StoreError> {
    Ok(store.stats()?.releases)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
