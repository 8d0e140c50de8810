//! Requests that change the policy or work on the whole store: follow, pin, verify, gc,
//! rebuild-index.

use std::time::Duration;

use perennial_control::{
    CorruptRow, Failure, Follow, Gc, GcDone, Pin, PinRow, RebuildDone, Sink, StoredObject, Target,
    Unfollow, Unpin, VerifyDone,
};
use perennial_store::{GcOptions, Unread, Unreadable};

use super::{ControlService, failure, list, observer};

pub(super) async fn follow(service: &ControlService, request: Follow) -> Result<(), Failure> {
    let followed = match request.target {
        Target::All => service.archive.follow_all().await,
        Target::Publisher(publisher) => service.archive.follow(publisher, request.name).await,
    };
    followed.map_err(failure)
}

pub(super) async fn unfollow(service: &ControlService, request: Unfollow) -> Result<(), Failure> {
    let unfollowed = match request.target {
        Target::All => service.archive.unfollow_all().await,
        Target::Publisher(named) => {
            let publisher = service.archive.publisher_named(&named).map_err(failure)?;
            service.archive.unfollow(publisher).await
        }
    };
    unfollowed.map_err(failure)
}

pub(super) async fn pin(
    service: &ControlService,
    request: Pin,
    sink: &Sink,
) -> Result<PinRow, Failure> {
    let only = service.publisher(request.publisher.as_ref())?;
    let pinned = service.archive.pin(&request.selector, only, &*observer(sink)).await;
    let target = pinned.map_err(failure)?;
    service.read(move |store| list::pin_row(store, target)).await
}

pub(super) async fn unpin(
    service: &ControlService,
    request: Unpin,
    sink: &Sink,
) -> Result<PinRow, Failure> {
    let only = service.publisher(request.publisher.as_ref())?;
    let unpinned = service.archive.unpin(&request.selector, only, &*observer(sink)).await;
    let target = unpinned.map_err(failure)?;
    service.read(move |store| list::pin_row(store, target)).await
}

pub(super) async fn verify(
    service: &ControlService,
    sink: &Sink<CorruptRow>,
) -> Result<VerifyDone, Failure> {
    let verified = service.archive.verify(observer(sink)).await.map_err(failure)?;
    let report = verified.report;
    let changed = "its bytes do not match its name; set aside";
    let missing = "part of a held release, but no longer here";
    let unreadable = "a signed entry that can no longer be read; peers that have it send it again";
    let rows = (report.corrupt.iter().map(|blob| (StoredObject::Blob(*blob), changed)))
        .chain(report.missing.iter().map(|blob| (StoredObject::Blob(*blob), missing)))
        .chain(report.damaged_entries.iter().map(|id| (StoredObject::Entry(*id), unreadable)));
    let mut corrupt = 0;
    for (blob, reason) in rows {
        corrupt += 1;
        sink.item(CorruptRow { blob, reason: reason.to_owned(), unreadable: false }).await;
    }
    for Unreadable { what, reason } in &report.unreadable {
        let blob = match what {
            Unread::Blob(blob) => StoredObject::Blob(*blob),
            Unread::Entry(id) => StoredObject::Entry(*id),
            Unread::Listing => StoredObject::Listing,
        };
        sink.item(CorruptRow { blob, reason: reason.clone(), unreadable: true }).await;
    }
    Ok(VerifyDone {
        checked: report.checked,
        bytes: report.bytes,
        corrupt,
        unreadable: report.unreadable.len() as u64,
        elapsed_ms: millis(verified.elapsed),
    })
}

pub(super) async fn gc(service: &ControlService, request: Gc) -> Result<GcDone, Failure> {
    let grace = request.grace_seconds.map_or(service.grace, Duration::from_secs);
    let options = GcOptions { grace, dry_run: request.dry_run };
    let report = service.archive.gc(options).await.map_err(failure)?;
    Ok(GcDone {
        dry_run: request.dry_run,
        blobs: report.removed,
        bytes: report.freed_bytes,
        kept: report.kept,
        in_grace: report.in_grace,
    })
}

pub(super) async fn rebuild_index(service: &ControlService) -> Result<RebuildDone, Failure> {
    let rebuilt = service.archive.rebuild_index().await.map_err(failure)?;
    Ok(RebuildDone {
        entries: rebuilt.entries,
        releases: rebuilt.releases,
        elapsed_ms: millis(rebuilt.elapsed),
    })
}

fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
