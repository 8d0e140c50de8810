//! Garbage collection: blobs that nothing needs are deleted once they have been idle for a while.
//!
//! Owns the mark: pins, releases of followed publishers, leases. Promises that an error while
//! marking deletes nothing; that the blobs of an add or a fetch in progress stay (by its lease; for
//! the grace period also without one, so that a later process can continue what an ended one left);
//! that the blobs of an unpinned or unfollowed release stay for the grace period, whatever their
//! size; and that a killed collection leaves nothing half-deleted, because the next one marks
//! again. Entries are never collected.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use perennial_manifest::{ArtifactList, BlobId, Holding, ReleaseId};

use crate::catalog::ReleaseFilter;
use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::partial::{self, Partial};
use crate::state::Pin;
use crate::store::{Store, before};

/// Removes downloads and uploads last written to before a time (Unix seconds). Returns how many.
pub(crate) fn clear_incoming(dir: &Path, before: u64) -> Result<u64, StoreError> {
    let mut removed = 0;
    for file in fs::read_dir(dir).at(dir)? {
        let path = file.at(dir)?.path();
        // A file that has vanished meanwhile became a blob.
        let Ok(modified) = fs::metadata(&path).and_then(|meta| meta.modified()) else { continue };
        if modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() < before {
            durable::remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// How long an unneeded blob is spared by default.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 3600);

/// The options of a collection.
#[derive(Debug, Clone, Copy)]
pub struct GcOptions {
    /// Spare blobs and fetches that were touched, unpinned or unfollowed within this time. Zero
    /// spares none.
    pub grace: Duration,
    /// Report what would be removed, and remove nothing.
    pub dry_run: bool,
}

/// The outcome of a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blobs that stay.
    pub kept: u64,
    /// Blobs among `kept` that nothing needs and that only the grace period spares.
    pub in_grace: u64,
    /// Blobs removed.
    pub removed: u64,
    /// Unfinished fetches, downloads and uploads removed.
    pub partial_removed: u64,
    /// Bytes freed on disk.
    pub freed_bytes: u64,
    /// Pinned and followed releases that keep nothing but their list, which does not fit them.
    pub invalid: u64,
}

impl Store {
    /// Removes every blob that nothing needs.
    ///
    /// # Errors
    /// An entry or list that cannot be read, because it may name blobs that must stay; then nothing
    /// is removed. Failures of the disk, after which the next collection finishes the work.
    pub fn gc(&self, options: GcOptions) -> Result<GcReport, StoreError> {
        self.collect(options, None)
    }

    /// Removes those of some blobs that nothing needs, however young they are.
    ///
    /// # Errors
    /// As for [`Store::gc`].
    pub fn evict(&self, some: &HashSet<BlobId>) -> Result<GcReport, StoreError> {
        self.collect(GcOptions { grace: DEFAULT_GRACE, dry_run: false }, Some(some))
    }

    fn collect(
        &self,
        options: GcOptions,
        only: Option<&HashSet<BlobId>>,
    ) -> Result<GcReport, StoreError> {
        let inner = self.inner();
        if self.is_read_only() && !options.dry_run {
            return Err(StoreError::ReadOnly { path: self.dir().to_owned() });
        }
        if !options.dry_run {
            // The index is written before anything goes.
            inner.blobs.space().make_way();
        }
        // Held from the mark to the last deletion, so that no add or fetch finds bytes that are
        // about to be deleted.
        let _gate = inner.blobs.gate().write().unwrap_or_else(PoisonError::into_inner);
        let (marked, invalid) = self.mark()?;
        let before = before(options.grace);
        let recent = if options.grace.is_zero() {
            HashSet::new()
        } else {
            self.mark_pins(inner.state.let_go_since(before))?.0
        };
        let denied = inner.state.denied();
        // By a digest. What is denied by name or publisher is no longer marked for being followed.
        let is_denied = |blob: &BlobId| {
            let sha256 = match denied.has_sha256() {
                true => inner.blobs.noted_sha256(blob).ok().flatten(),
                false => None,
            };
            denied.of_bytes(blob, sha256.as_ref()).is_some()
        };
        let goes = |blob: &BlobId| {
            only.is_none_or(|only| only.contains(blob))
                && (is_denied(blob)
                    || (!marked.contains(blob) && !inner.blobs.leases().covers(blob)))
        };
        let is_old = |blob: &BlobId, touched: u64| {
            let young = touched >= before && only.is_none();
            options.grace.is_zero() || (!young && !recent.contains(blob))
        };
        let mut report = GcReport { invalid: invalid.len() as u64, ..GcReport::default() };
        let mut large = Vec::new();
        inner.blobs.each_large(&mut |blob, info| {
            let unneeded = goes(&blob);
            let old = is_old(&blob, info.touched);
            if unneeded && (old || is_denied(&blob)) {
                large.push((blob, info.disk_bytes));
            } else {
                report.kept += 1;
                report.in_grace += u64::from(unneeded);
            }
            Ok(())
        })?;
        // Each once, with its youngest record: a blob that was fetched again has several.
        let mut unneeded = HashMap::new();
        inner.blobs.packs().each_blob(&mut |blob, len, written| {
            if goes(&blob) {
                let newest: &mut (u32, u64) = unneeded.entry(blob).or_insert((len, written));
                newest.1 = newest.1.max(written);
            } else {
                report.kept += 1;
            }
        })?;
        let mut small = HashSet::new();
        for (blob, (len, written)) in unneeded {
            if is_old(&blob, written) || is_denied(&blob) {
                report.freed_bytes += u64::from(len);
                small.insert(blob);
            } else {
                report.kept += 1;
                report.in_grace += 1;
            }
        }
        report.removed = (large.len() + small.len()) as u64;
        report.freed_bytes += large.iter().map(|(_, bytes)| bytes).sum::<u64>();
        if options.dry_run {
            return Ok(report);
        }
        // The index first: a process killed in between lists a release as less than it is, never as
        // more.
        let mut losing = Vec::new();
        for row in self.known_releases(&ReleaseFilter::default())? {
            if row.state > Holding::Known
                && !marked.contains(&row.artifacts.blob)
                && !recent.contains(&row.artifacts.blob)
            {
                losing.push(row);
            }
        }
        if report.removed > 0 {
            inner.write(|catalog| {
                inner.removals.fetch_add(1, Ordering::SeqCst);
                catalog.set_known(&losing)
            })?;
        }
        for (blob, _) in &large {
            // Asked again: an add may have found it here since.
            if goes(blob) {
                inner.blobs.large().remove(blob)?;
            }
        }
        if !small.is_empty() {
            inner.blobs.compact(&|blob| small.contains(blob) && goes(blob))?;
        }
        for (blob, bytes) in inner.blobs.leftovers()? {
            if goes(&blob) {
                inner.blobs.large().remove(&blob)?;
                inner.blobs.large().remove_damaged(&blob)?;
                report.freed_bytes += bytes;
            }
        }
        if report.removed > 0 {
            self.refresh_rows(&losing)?;
        }
        if only.is_none() {
            report.partial_removed = self.clear_fetches(before, &marked)?
                + clear_incoming(&inner.layout.incoming(), before)?;
            inner.state.forget_let_go(before)?;
        }
        inner.blobs.space().walk()?;
        inner.blobs.space().restore();
        Ok(report)
    }

    /// Removes fetches that were last written to before a time, of blobs that are not `marked` or
    /// are held by now. Returns how many.
    pub(crate) fn clear_fetches(
        &self,
        before: u64,
        marked: &HashSet<BlobId>,
    ) -> Result<u64, StoreError> {
        let (inner, mut removed) = (self.inner(), 0);
        for (blob, touched) in partial::list(inner.blobs.partial_dir())? {
            // One under a false size is of no use once the true one has come.
            let wanted = marked.contains(&blob) && !inner.blobs.has(&blob)?;
            if touched < before && !wanted && inner.blobs.fetching(&blob).is_none() {
                Partial::discard(inner.blobs.partial_dir(), &blob)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// All blobs that something needs, and the releases that are invalid. Any doubt is an error: an
    /// unreadable list may name blobs that must stay. A list that does not fit its release is no
    /// doubt: that release has no files.
    pub(crate) fn mark(&self) -> Result<(HashSet<BlobId>, HashSet<ReleaseId>), StoreError> {
        let (mut marked, mut invalid) = self.mark_pins(self.pins())?;
        let follows = self.follows();
        for row in self.known_releases(&ReleaseFilter::default())? {
            let keeps = follows.keeps(&row.publisher, row.purl.as_str());
            if keeps && self.denial_of_release(&row).is_none() {
                self.mark_release(&row.release, row.state, (&mut marked, &mut invalid))?;
            }
        }
        Ok((marked, invalid))
    }

    fn mark_pins(
        &self,
        pins: impl IntoIterator<Item = Pin>,
    ) -> Result<(HashSet<BlobId>, HashSet<ReleaseId>), StoreError> {
        let (mut marked, mut invalid) = (HashSet::new(), HashSet::new());
        for pin in pins {
            match pin {
                Pin::Blob(blob) => {
                    marked.insert(blob);
                }
                Pin::Release(release) => {
                    let state =
                        self.known_release(&release)?.map_or(Holding::Known, |row| row.state);
                    self.mark_release(&release, state, (&mut marked, &mut invalid))?;
                }
            }
        }
        Ok((marked, invalid))
    }

    fn mark_release(
        &self,
        release: &ReleaseId,
        state: Holding,
        (marked, invalid): (&mut HashSet<BlobId>, &mut HashSet<ReleaseId>),
    ) -> Result<(), StoreError> {
        let Some(signed) = self.entry(&release.entry())? else { return Ok(()) };
        let Some((_, body)) = signed.release() else { return Ok(()) };
        marked.insert(body.artifacts.blob);
        marked.extend(&body.license_texts);
        if state == Holding::Invalid {
            invalid.insert(*release);
            return Ok(());
        }
        // A list that never arrived names nothing that is here. One that is here, or was and is
        // damaged, does.
        if self.inner().blobs.is_quarantined(&body.artifacts.blob)? {
            return Err(StoreError::Corrupt { blob: body.artifacts.blob });
        }
        match self.read_list(&body.artifacts) {
            Ok(list) => {
                marked.extend(list.iter().flat_map(|list| list.iter().map(|file| file.blake3)));
            }
            Err(StoreError::InvalidList { .. }) => {
                invalid.insert(*release);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The blobs of an artifact list, for leases.
    #[must_use]
    pub fn blobs_of(list: &ArtifactList) -> Vec<BlobId> {
        list.iter().map(|artifact| artifact.blake3).collect()
    }
}
