//! Verification: reads everything back and compares it with its name.

use std::collections::BTreeSet;

use perennial_manifest::{BlobId, EntryId, Holding, ReleaseId};

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::large::Reference;
use crate::pack::Kind;
use crate::state::Pin;
use crate::store::{Damaged, Loss, Reading, Store};

/// The findings of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blobs that match their name.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blobs that do not match their name, found now or before. They were set aside, and are
    /// fetched again where a followed release names them.
    pub corrupt: Vec<BlobId>,
    /// Files that are missing or damaged of releases that were held until now, or are pinned; and
    /// those that lay in files of the user and are lost.
    pub losses: Vec<Loss>,
    /// Releases that are held again, because a file of the user has its bytes again.
    pub restored: Vec<ReleaseId>,
    /// Signed entries whose record is damaged. They count as missing from now on, so that peers
    /// send them again.
    pub damaged_entries: Vec<EntryId>,
    /// What the disk did not give, with its error. That proves no damage, so nothing of it was set
    /// aside or marked.
    pub unreadable: BTreeSet<Unreadable>,
}

/// Something stored that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    /// The blob, the entry, or what was being listed.
    pub what: Unread,
    /// The error, which names the file.
    pub reason: String,
}

/// What could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unread {
    /// A blob.
    Blob(BlobId),
    /// A signed entry.
    Entry(EntryId),
    /// A directory, a pack or the index: what it has is not known.
    Listing,
}

impl VerifyReport {
    /// Notes an error of the disk and goes on.
    fn note<T>(&mut self, what: Unread, outcome: Result<T, StoreError>) -> Option<T> {
        match outcome {
            Ok(found) => Some(found),
            Err(error) => {
                // One row for a blob, however many releases name it; one for each listing that
                // fails in its own way.
                self.unreadable.insert(Unreadable { what, reason: error.to_string() });
                None
            }
        }
    }
}

impl Store {
    /// Reads every blob and every signed entry, and compares each with its name; of blobs
    /// referenced in place also those that were lost before. `progress` is called with the bytes
    /// done and the bytes in total. Subscribers of [`Store::damage`] are told of all findings in
    /// one message.
    ///
    /// Neither damage nor an error of the disk ends it: the report has both, and what could be read
    /// was verified.
    #[must_use]
    pub fn verify(&self, progress: &dyn Fn(u64, u64)) -> VerifyReport {
        let mut report = VerifyReport::default();
        let held = report.note(Unread::Listing, self.held()).unwrap_or_default();
        let looked = self.look_in_place(None, Reading::Again);
        report.restored = report.note(Unread::Listing, looked).unwrap_or_default().restored;
        let blobs = self.list_blobs(&mut report);
        let all: u64 = blobs.iter().map(|(_, size)| size).sum();
        let mut done = 0;
        for (blob, size) in blobs {
            let reference = self.inner().blobs.large().reference(&blob);
            let before = reference.as_ref().and_then(Reference::doubtful);
            match (self.inner().blobs.check(&blob), reference) {
                (Ok(_), reference) => {
                    report.checked += 1;
                    report.bytes += size;
                    if let (Some(reference), Some(stamp)) = (reference, before) {
                        self.inner().blobs.large().note_found(&blob, &reference, stamp);
                    }
                }
                // Reported with the releases that lost it.
                (Err(StoreError::Corrupt { .. }), Some(_)) => {}
                (Err(StoreError::Corrupt { blob }), None) => report.corrupt.push(blob),
                // Collected meanwhile.
                (Err(StoreError::NotHeld(_)), _) => {}
                (other, _) => drop(report.note(Unread::Blob(blob), other)),
            }
            done += size;
            progress(done, all);
        }
        // Found earlier by a reader and still damaged: reported until it is whole.
        let leftovers = self.inner().blobs.leftovers();
        for blob in report.note(Unread::Listing, leftovers).unwrap_or_default().into_keys() {
            let set_aside = self.inner().blobs.is_quarantined(&blob);
            let set_aside = report.note(Unread::Blob(blob), set_aside).unwrap_or_default();
            if set_aside && !report.corrupt.contains(&blob) {
                report.corrupt.push(blob);
            }
        }
        // A held release that is damaged becomes partial, and wanted again where it is followed.
        report.note(Unread::Listing, self.refresh_rows(&held));
        let held: BTreeSet<_> = held.iter().map(|row| row.release).collect();
        self.find_losses(&held, &mut report);
        let told = self.tell_lost(&held, &report);
        report.note(Unread::Listing, told);
        self.find_damaged_entries(&mut report);
        report
    }

    /// All blobs with their lengths, as far as the disk gives them.
    fn list_blobs(&self, report: &mut VerifyReport) -> Vec<(BlobId, u64)> {
        let (bytes, mut blobs) = (&self.inner().blobs, Vec::new());
        let small = bytes.packs().each(Kind::Blob, &mut |key, len| {
            blobs.push((BlobId::from_bytes(key), u64::from(len)));
            Ok(())
        });
        report.note(Unread::Listing, small);
        let mut large = Vec::new();
        let listed = bytes.large().each("obao", &mut |blob| {
            large.push(blob);
            Ok(())
        });
        report.note(Unread::Listing, listed);
        for blob in large {
            let info = bytes.large().info(&blob);
            let info = report.note(Unread::Blob(blob), info).flatten();
            blobs.extend(info.map(|info| (blob, info.size)));
        }
        blobs
    }

    /// Tells subscribers of the damage, and of the releases that were held before it was found.
    fn tell_lost(
        &self,
        held: &BTreeSet<ReleaseId>,
        report: &VerifyReport,
    ) -> Result<(), StoreError> {
        // By rows: a release whose entry is damaged has one too.
        let still: BTreeSet<_> = self.held()?.into_iter().map(|row| row.release).collect();
        let releases: Vec<_> = held.difference(&still).copied().collect();
        let lost = report.losses.iter().filter(|loss| held.contains(&loss.release));
        let blobs: BTreeSet<_> =
            report.corrupt.iter().copied().chain(lost.map(|loss| loss.blob)).collect();
        if !(blobs.is_empty() && releases.is_empty()) {
            self.tell_damage(Damaged { blobs: blobs.into_iter().collect(), releases });
        }
        Ok(())
    }

    fn held(&self) -> Result<Vec<ReleaseRow>, StoreError> {
        self.known_releases(&ReleaseFilter {
            state: Some(Holding::Held),
            ..ReleaseFilter::default()
        })
    }

    fn find_damaged_entries(&self, report: &mut VerifyReport) {
        let mut ids = BTreeSet::new();
        let listed = self.inner().blobs.packs().each(Kind::Entry, &mut |key, _| {
            ids.insert(EntryId::from_bytes(key));
            Ok(())
        });
        report.note(Unread::Listing, listed);
        for id in ids {
            match self.entry(&id) {
                Err(StoreError::DamagedEntry(id)) => report.damaged_entries.push(id),
                other => drop(report.note(Unread::Entry(id), other)),
            }
        }
    }

    /// The files that are missing of pinned releases and of those that were held, and all that lay
    /// in files of the user and are lost. A denied blob is missing on purpose.
    fn find_losses(&self, held: &BTreeSet<ReleaseId>, report: &mut VerifyReport) {
        let pins = self.pins();
        let rows = report.note(Unread::Listing, self.known_releases(&ReleaseFilter::default()));
        for row in rows.unwrap_or_default() {
            if self.denial_of_release(&row).is_some() {
                continue;
            }
            let was_held = held.contains(&row.release);
            let kept = was_held || pins.contains(&Pin::Release(row.release));
            // The index may not have been brought up to date.
            if (row.state == Holding::Held && !was_held)
                || (row.state == Holding::Known && !kept)
                || row.state == Holding::Invalid
            {
                continue;
            }
            let mut found = Vec::new();
            match self.read_list(&row.artifacts) {
                Ok(Some(list)) => {
                    for artifact in &list {
                        if self.refuse_artifact(artifact).is_err() {
                            continue;
                        }
                        let size = self.inner().blobs.size(&artifact.blake3);
                        let size = report.note(Unread::Blob(artifact.blake3), size);
                        if size.is_some_and(|size| size != Some(artifact.size)) {
                            let path = artifact.path.clone();
                            found.push(self.loss(&row, Some(path), artifact.blake3));
                        }
                    }
                }
                // Nothing of it was lost: its publisher signed what never was.
                Err(StoreError::InvalidList { .. }) => {}
                Ok(None) | Err(StoreError::Corrupt { .. } | StoreError::Denied(_)) => {
                    found.push(self.loss(&row, None, row.artifacts.blob));
                }
                other => drop(report.note(Unread::Blob(row.artifacts.blob), other)),
            }
            report.losses.extend(found.into_iter().filter(|loss| {
                (kept || loss.missed.is_some())
                    && !matches!(self.denial_of_blob(&loss.blob), Ok(Some(_)))
            }));
        }
    }
}
