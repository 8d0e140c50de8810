//! Verification: reads everything back and compares it with its name.

use std::collections::BTreeSet;

use perennial_manifest::{ArtifactListRef, BlobId, EntryId};

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::pack::Kind;
use crate::store::{Damaged, Store};
use perennial_manifest::Holding;

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
    /// Blobs that a held release names and that are missing.
    pub missing: Vec<BlobId>,
    /// Signed entries whose record is damaged. They count as missing from now on, so that peers
    /// send them again.
    pub damaged_entries: Vec<EntryId>,
}

impl Store {
    /// Reads every blob and every signed entry, and compares each with its name. `progress` is
    /// called with the bytes done and the bytes in total. Subscribers of [`Store::damage`] are told
    /// of all findings in one message.
    ///
    /// # Errors
    /// Failures of the disk and the index. Damage is not an error; the report has it.
    pub fn verify(&self, progress: &dyn Fn(u64, u64)) -> Result<VerifyReport, StoreError> {
        let mut blobs = Vec::new();
        self.inner().blobs.each(&mut |blob, size| {
            blobs.push((blob, size));
            Ok(())
        })?;
        let all: u64 = blobs.iter().map(|(_, size)| size).sum();
        let mut report = VerifyReport::default();
        for (blob, size) in blobs {
            match self.inner().blobs.check(&blob) {
                Ok(_) => report.checked += 1,
                Err(StoreError::Corrupt { blob }) => report.corrupt.push(blob),
                // Collected meanwhile.
                Err(StoreError::NotHeld(_)) => {}
                Err(error) => return Err(error),
            }
            report.bytes += size;
            progress(report.bytes, all);
        }
        // Found earlier by a reader and still damaged: reported until it is whole.
        for blob in self.inner().blobs.leftovers()?.into_keys() {
            if !report.corrupt.contains(&blob) && self.inner().blobs.is_quarantined(&blob)? {
                report.corrupt.push(blob);
            }
        }
        let held = self.held()?;
        for row in &held {
            self.find_missing(&row.artifacts, &mut report.missing)?;
        }
        // A held release that is damaged becomes partial, and wanted again where it is followed.
        self.refresh_rows(&held)?;
        // A denied blob is missing on purpose.
        report
            .missing
            .retain(|blob| !report.corrupt.contains(blob) && !self.inner().state.is_denied(blob));
        self.tell_lost(&held, &report)?;
        report.damaged_entries = self.find_damaged_entries()?;
        Ok(report)
    }

    /// Tells subscribers of the damage, and of the releases that were held before it was found.
    fn tell_lost(&self, held: &[ReleaseRow], report: &VerifyReport) -> Result<(), StoreError> {
        // By rows: a release whose entry is damaged has one too.
        let still: BTreeSet<_> = self.held()?.into_iter().map(|row| row.release).collect();
        let lost = held.iter().map(|row| row.release).filter(|release| !still.contains(release));
        let releases: Vec<_> = lost.collect();
        let blobs = [&report.corrupt[..], &report.missing].concat();
        if !(blobs.is_empty() && releases.is_empty()) {
            self.tell_damage(Damaged { blobs, releases });
        }
        Ok(())
    }

    fn held(&self) -> Result<Vec<ReleaseRow>, StoreError> {
        self.releases(&ReleaseFilter { state: Some(Holding::Held), ..ReleaseFilter::default() })
    }

    fn find_damaged_entries(&self) -> Result<Vec<EntryId>, StoreError> {
        let mut ids = BTreeSet::new();
        self.inner().blobs.packs().each(Kind::Entry, &mut |key, _| {
            ids.insert(EntryId::from_bytes(key));
            Ok(())
        })?;
        let mut damaged = Vec::new();
        for id in ids {
            match self.entry(&id) {
                Ok(_) => {}
                Err(StoreError::DamagedEntry(id)) => damaged.push(id),
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    fn find_missing(
        &self,
        claim: &ArtifactListRef,
        missing: &mut Vec<BlobId>,
    ) -> Result<(), StoreError> {
        let Some(list) = self.read_list(claim)? else {
            missing.push(claim.blob);
            return Ok(());
        };
        for artifact in &list {
            if self.inner().blobs.size(&artifact.blake3)?.is_none() {
                missing.push(artifact.blake3);
            }
        }
        Ok(())
    }
}
