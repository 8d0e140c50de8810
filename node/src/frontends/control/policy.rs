//! Requests that change what is kept, or work on the whole store: follow, pin, verify, gc, rebuild-index.

use std::time::Duration;

use perennial_control::{
    CorruptRow, Done, Failure, Follow, Gc, GcDone, Item, RebuildDone, Sink, Target, VerifyDone,
};
use perennial_manifest::{PublisherId, Selector};
use perennial_store::GcOptions;

use super::{ControlService, failure, list, observer, usage};
use crate::archive::ArchiveError;

impl ControlService {
    /// The publisher that a request names, by its DID or its local name.
    pub(super) fn publisher(&self, text: Option<&str>) -> Result<Option<PublisherId>, Failure> {
        text.map(|text| self.archive.publisher_named(text)).transpose().map_err(failure)
    }

    pub(super) async fn follow(&self, request: Follow) -> Result<Done, Failure> {
        let followed = match request.target {
            Target::All => self.archive.follow_all().await,
            Target::Publisher(publisher) => {
                self.archive.follow(publisher.parse().map_err(usage)?, request.name).await
            }
        };
        followed.map(|()| Done::Ok).map_err(failure)
    }

    pub(super) async fn unfollow(&self, target: Target) -> Result<Done, Failure> {
        let unfollowed = match target {
            Target::All => self.archive.unfollow_all().await,
            Target::Publisher(text) => match self.archive.publisher_named(&text) {
                Ok(publisher) => self.archive.unfollow(publisher).await,
                Err(_) => Err(ArchiveError::NotFollowed(text)),
            },
        };
        unfollowed.map(|()| Done::Ok).map_err(failure)
    }

    pub(super) async fn pin(
        &self,
        selector: &str,
        publisher: Option<&str>,
        pinned: bool,
        sink: &Sink,
    ) -> Result<Done, Failure> {
        let selector: Selector = selector.parse().map_err(usage)?;
        let (only, observer) = (self.publisher(publisher)?, observer(sink));
        let target = if pinned {
            self.archive.pin(&selector, only, &*observer).await
        } else {
            self.archive.unpin(&selector, only, &*observer).await
        };
        let target = target.map_err(failure)?;
        let row = self.read(move |store| list::pin_row(store, target.into()));
        row.await.map(Done::Pin)
    }

    pub(super) async fn verify(&self, sink: Sink) -> Result<Done, Failure> {
        let verified = self.archive.verify(observer(&sink)).await.map_err(failure)?;
        let report = verified.report;
        let changed = "its bytes do not match its name; set aside";
        let missing = "a release that was held names it, and it is not here";
        let unreadable =
            "a signed statement that no longer reads back; a peer that has it sends it again";
        let rows = report
            .corrupt
            .iter()
            .map(|blob| (blob.to_string(), changed))
            .chain(report.missing.iter().map(|blob| (blob.to_string(), missing)))
            .chain(report.damaged_entries.iter().map(|id| (format!("entry:{id}"), unreadable)));
        let mut corrupt = 0;
        for (blob, reason) in rows {
            corrupt += 1;
            sink.item(Item::Corrupt(CorruptRow { blob, reason: reason.to_owned() })).await;
        }
        Ok(Done::Verify(VerifyDone {
            checked: report.checked,
            bytes: report.bytes,
            corrupt,
            elapsed_ms: millis(verified.elapsed),
        }))
    }

    pub(super) async fn gc(&self, request: Gc) -> Result<Done, Failure> {
        let grace = request.grace_seconds.map_or(self.grace, Duration::from_secs);
        let options = GcOptions { grace, dry_run: request.dry_run };
        let report = self.archive.gc(options).await.map_err(failure)?;
        Ok(Done::Gc(GcDone {
            dry_run: request.dry_run,
            blobs: report.removed,
            bytes: report.freed_bytes,
            kept: report.kept,
            in_grace: 0,
        }))
    }

    pub(super) async fn rebuild_index(&self) -> Result<Done, Failure> {
        let rebuilt = self.archive.rebuild_index().await.map_err(failure)?;
        Ok(Done::Rebuild(RebuildDone {
            entries: rebuilt.entries,
            releases: rebuilt.releases,
            elapsed_ms: millis(rebuilt.elapsed),
        }))
    }
}

fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
