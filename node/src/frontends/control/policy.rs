//! Requests that change the policy or work on the whole store: follow, pin, audit, verify, gc,
//! rebuild-index, relocate.

use std::collections::BTreeSet;
use std::time::Duration;

use perennial_control::{
    AuditDone, AuditRow, CorruptRow, Failure, Follow, Forget, ForgetDone, Gc, GcDone, Pin, PinRow,
    RebuildDone, Relocate, RelocateDone, Sink, StoredObject, Target, Unfollow, Unfollowed,
    UnmovedRow, Unpin, VerifyDone,
};
use perennial_manifest::{Exposed, Origin};
use perennial_store::{GcOptions, Unmoved, Unread, Unreadable};
use tokio::sync::mpsc;

use super::{ControlService, failure, list, observer};
use crate::archive::{Audited, Finding, Found, loss_text};

/// Findings of an audit queued for a slow client, at most.
const FINDINGS: usize = 16;
/// Parts of a release that an audit could not read.
const STATEMENT: &str = "the statement";
const FILES: &str = "the list of files";
/// Why a blob fails verification.
const CHANGED: &str = "its bytes do not match its name; set aside";
/// Why an entry fails verification.
const UNREADABLE: &str = "a signed entry that can no longer be read; peers that have it send it \
                          again";

pub(super) async fn follow(service: &ControlService, request: Follow) -> Result<(), Failure> {
    let followed = match request.target {
        Target::All => service.archive.follow_all().await,
        Target::Publisher(publisher) => {
            service.archive.follow(publisher, request.name, request.only).await
        }
    };
    followed.map_err(failure)
}

pub(super) async fn unfollow(
    service: &ControlService,
    request: Unfollow,
) -> Result<Unfollowed, Failure> {
    let publisher = match request.target {
        Target::All => {
            service.archive.unfollow_all().await.map_err(failure)?;
            Target::All
        }
        Target::Publisher(named) => {
            let publisher = service.archive.publisher_named(&named).map_err(failure)?;
            service.archive.unfollow(publisher).await.map_err(failure)?;
            Target::Publisher(publisher)
        }
    };
    Ok(Unfollowed { publisher })
}

pub(super) async fn forget(
    service: &ControlService,
    request: Forget,
) -> Result<ForgetDone, Failure> {
    let publisher = service.archive.publisher_named(&request.publisher).map_err(failure)?;
    let forgotten = service.archive.forget(publisher).await.map_err(failure)?;
    Ok(ForgetDone { publisher, entries: forgotten.entries, kept: forgotten.kept })
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

pub(super) async fn audit(
    service: &ControlService,
    sink: &Sink<AuditRow>,
) -> Result<AuditDone, Failure> {
    let (found, mut findings) = mpsc::channel(FINDINGS);
    let forward = async {
        while let Some(Finding { entry, release, found }) = findings.recv().await {
            let (release, purl) = release.unzip();
            let (field, text, secrets, reason) = match found {
                Found::Secrets(Exposed { field, origin: Origin { text, withheld } }) => {
                    (field, text, withheld, None)
                }
                Found::UnreadEntry(why) => (STATEMENT.to_owned(), String::new(), vec![], Some(why)),
                Found::UnreadList(why) => (FILES.to_owned(), String::new(), vec![], Some(why)),
            };
            sink.item(AuditRow { entry, release, purl, field, text, secrets, reason }).await;
        }
    };
    let (audited, ()) = tokio::join!(service.archive.audit(found), forward);
    let Audited { entries, unread_entries, unread_lists, found } = audited.map_err(failure)?;
    Ok(AuditDone { entries, found, unread_entries, unread_lists })
}

pub(super) async fn verify(
    service: &ControlService,
    sink: &Sink<CorruptRow>,
) -> Result<VerifyDone, Failure> {
    let verified = service.archive.verify(observer(sink)).await.map_err(failure)?;
    let report = verified.report;
    let corrupt: BTreeSet<_> = report.corrupt.iter().copied().collect();
    let named: BTreeSet<_> = report.losses.iter().map(|loss| loss.blob).collect();
    let row = |blob, reason| CorruptRow {
        blob,
        reason,
        unreadable: false,
        lost: false,
        release: None,
        purl: None,
        file: None,
    };
    for loss in &report.losses {
        let lost = !corrupt.contains(&loss.blob);
        let reason = match (lost, &loss.file) {
            (true, _) => loss_text(loss),
            (false, Some(file)) => format!("{file} of {}: {CHANGED}", loss.purl),
            (false, None) => format!("the list of files of {}: {CHANGED}", loss.purl),
        };
        let named = CorruptRow {
            lost,
            release: Some(loss.release),
            purl: Some(loss.purl.clone()),
            file: loss.file.clone(),
            ..row(StoredObject::Blob(loss.blob), reason)
        };
        sink.item(named).await;
    }
    for blob in corrupt.difference(&named) {
        sink.item(row(StoredObject::Blob(*blob), CHANGED.to_owned())).await;
    }
    for id in &report.damaged_entries {
        sink.item(row(StoredObject::Entry(*id), UNREADABLE.to_owned())).await;
    }
    for Unreadable { what, reason } in &report.unreadable {
        let blob = match what {
            Unread::Blob(blob) => StoredObject::Blob(*blob),
            Unread::Entry(id) => StoredObject::Entry(*id),
            Unread::Listing => StoredObject::Listing,
        };
        sink.item(CorruptRow { unreadable: true, ..row(blob, reason.clone()) }).await;
    }
    let lost = named.difference(&corrupt).count() as u64;
    Ok(VerifyDone {
        checked: report.checked,
        bytes: report.bytes,
        corrupt: (corrupt.len() + report.damaged_entries.len()) as u64,
        lost_objects: lost,
        unread: report.unreadable.len() as u64,
        restored: report.restored.len() as u64,
        elapsed_ms: millis(verified.elapsed),
    })
}

pub(super) async fn relocate(
    service: &ControlService,
    request: Relocate,
    sink: &Sink<UnmovedRow>,
) -> Result<RelocateDone, Failure> {
    let relocated = service.archive.relocate(request.from, request.to, observer(sink)).await;
    let relocated = relocated.map_err(failure)?;
    for Unmoved { from, to, differs } in &relocated.unmoved {
        let (from, to) = (from.display().to_string(), to.display().to_string());
        sink.item(UnmovedRow { old: from, new: to, differs: *differs }).await;
    }
    Ok(RelocateDone {
        artifacts: relocated.files,
        bytes: relocated.bytes,
        unmoved: relocated.unmoved.len() as u64,
        restored: relocated.restored.len() as u64,
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
        invalid_releases: report.invalid,
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
