//! Blobs whose bytes lie in files of the user: which of them are still there, and which releases
//! lost a file.
//!
//! A release is listed as held only as far as its files were last seen. Every look here brings the
//! catalog up to date, in both directions: a file that is put back is found, too.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use perennial_manifest::{ArtifactPath, BlobId, Holding, Purl, ReleaseId};

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::large::{Missed, Reference, Sight, Stamp, open};
use crate::store::{Damaged, Store};

/// A file of a release that is not here any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The release.
    pub release: ReleaseId,
    /// Its package URL.
    pub purl: Purl,
    /// The file; none for the artifact list.
    pub file: Option<ArtifactPath>,
    /// The missing blob.
    pub blob: BlobId,
    /// Why, if its bytes lay in a file of the user.
    pub missed: Option<Missed>,
}

/// The files that a look at referenced files reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Those that look different than before, as long as they have at most this many bytes in sum.
    Doubtful(u64),
    /// All that look different than before, and those whose bytes were missed before.
    Again,
}

/// What a look at referenced files found to have changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Releases that are held again.
    pub restored: Vec<ReleaseId>,
    /// Releases that are no longer held.
    pub lost: Vec<ReleaseId>,
}

/// What came of telling the store where referenced files lie now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relocated {
    /// Files found at their new place, with the right bytes.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files that lay below the old path and are not at the new one. They are referenced as
    /// before.
    pub unmoved: Vec<Unmoved>,
    /// Releases that are held again.
    pub restored: Vec<ReleaseId>,
}

/// A referenced file that is not at its new place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmoved {
    /// Where it lay.
    pub from: PathBuf,
    /// Where it was looked for.
    pub to: PathBuf,
    /// A file is there, with other bytes.
    pub differs: bool,
}

impl Store {
    /// Looks at the files that blobs are referenced in, of all blobs or of some. Brings the catalog
    /// up to date, and tells the subscribers of [`Store::damage`] of losses.
    ///
    /// # Errors
    /// Failures of the disk and the index. A file of the user that cannot be read is not an error;
    /// its blob is lost.
    pub fn look_in_place(
        &self,
        only: Option<&BTreeSet<BlobId>>,
        reading: Reading,
    ) -> Result<Changes, StoreError> {
        let large = self.0.blobs.large();
        let mut left = match reading {
            Reading::Doubtful(bytes) => bytes,
            Reading::Again => u64::MAX,
        };
        let references = match only {
            None => large.references()?,
            Some(blobs) => {
                let of = |blob: &BlobId| Some((*blob, large.reference(blob)?));
                blobs.iter().filter_map(of).collect()
            }
        };
        let mut changed = BTreeSet::new();
        for (blob, reference) in references {
            let file = match reference.sight() {
                Sight::Same(_) if !reference.was_missed() => continue,
                Sight::Lost if reading == Reading::Again => reference.again(),
                Sight::Lost => None,
                Sight::Same(file) | Sight::Doubtful(file) if reference.size() <= left => {
                    left -= reference.size();
                    Some(file)
                }
                Sight::Same(_) | Sight::Doubtful(_) => continue,
            };
            if let Some(stamp) = file.and_then(|file| right(&file, &blob)) {
                large.note_found(&blob, &reference, stamp);
                if reference.was_missed() {
                    changed.insert(blob);
                }
            } else if !reference.is_noted() && large.note_missed(&blob, &reference).is_ok() {
                changed.insert(blob);
            }
        }
        self.recount(&changed)
    }

    /// Looks for the files referenced below `from` at the same paths below `to`, and refers to
    /// those whose bytes are right. `progress` is called with the number of bytes read so far.
    ///
    /// # Errors
    /// Failures of the disk and the index. A file that is not found is not an error.
    pub fn relocate(
        &self,
        from: &[PathBuf],
        to: &Path,
        progress: &dyn Fn(u64),
    ) -> Result<Relocated, StoreError> {
        let large = self.0.blobs.large();
        let (mut report, mut moving, mut read) = (Relocated::default(), Vec::new(), 0);
        for (blob, reference) in large.references()? {
            let below = from.iter().find_map(|from| reference.path().strip_prefix(from).ok());
            let Some(below) = below else { continue };
            // Joining nothing would add a slash.
            let at = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
            moving.push((blob, reference, at));
        }
        // Their states before the first file moves: a count that runs beside this one may find them
        // whole before it does.
        let before = self.naming(&moving.iter().map(|(blob, ..)| *blob).collect())?;
        for (blob, reference, at) in moving {
            let there = open(&at).ok().flatten();
            let differs = there.is_some();
            let there = there.filter(|(_, meta)| meta.len() == reference.size());
            let found = there.and_then(|(file, _)| right(&file, &blob));
            read += reference.size();
            progress(read);
            match found {
                Some(stamp) => {
                    let moved = Reference::new(&at, stamp)?;
                    large.note(&blob, &moved)?;
                    report.files += 1;
                    report.bytes += reference.size();
                }
                None => {
                    let from = reference.path().to_owned();
                    report.unmoved.push(Unmoved { from, to: at, differs });
                }
            }
        }
        report.restored = self.compare(before)?.restored;
        Ok(report)
    }

    /// Recounts the releases that name one of these blobs.
    fn recount(&self, blobs: &BTreeSet<BlobId>) -> Result<Changes, StoreError> {
        let changes = self.compare(self.naming(blobs)?)?;
        if !changes.lost.is_empty() {
            let blobs = blobs.iter().copied().collect();
            self.tell_damage(Damaged { blobs, releases: changes.lost.clone() });
        }
        Ok(changes)
    }

    /// Recounts releases, and compares them with their rows of before.
    fn compare(&self, before: Vec<ReleaseRow>) -> Result<Changes, StoreError> {
        let mut changes = Changes::default();
        self.refresh_rows(&before)?;
        for row in before {
            let now = self.known_release(&row.release)?.map_or(row.state, |row| row.state);
            match (row.state, now) {
                (Holding::Held, Holding::Partial | Holding::Known | Holding::Invalid) => {
                    changes.lost.push(row.release);
                }
                (Holding::Partial | Holding::Known, Holding::Held) => {
                    changes.restored.push(row.release);
                }
                _ => {}
            }
        }
        Ok(changes)
    }

    /// The files that lay in files of the user and are lost, as far as they were looked at.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn lost_in_place(&self) -> Result<Vec<Loss>, StoreError> {
        let mut losses = Vec::new();
        // Without any reference, no list needs to be read.
        if self.0.blobs.large().references()?.iter().any(|(_, reference)| reference.was_missed()) {
            for row in self.known_releases(&ReleaseFilter::default())? {
                if row.state == Holding::Partial {
                    let of = self.losses_of(&row)?;
                    losses.extend(of.into_iter().filter(|loss| loss.missed.is_some()));
                }
            }
        }
        Ok(losses)
    }

    /// The files of one release that are not here.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn losses_of(&self, row: &ReleaseRow) -> Result<Vec<Loss>, StoreError> {
        let list = match self.read_list(&row.artifacts) {
            Ok(Some(list)) => list,
            Ok(None) | Err(StoreError::Corrupt { .. } | StoreError::Denied(_)) => {
                return Ok(vec![self.loss(row, None, row.artifacts.blob)]);
            }
            Err(error) => return Err(error),
        };
        let mut losses = Vec::new();
        for artifact in &list {
            if self.0.blobs.size(&artifact.blake3)? != Some(artifact.size) {
                losses.push(self.loss(row, Some(artifact.path.clone()), artifact.blake3));
            }
        }
        Ok(losses)
    }

    pub(crate) fn loss(&self, row: &ReleaseRow, file: Option<ArtifactPath>, blob: BlobId) -> Loss {
        let (release, purl) = (row.release, row.purl.clone());
        let missed = self.0.blobs.large().reference(&blob).map(|reference| reference.missed());
        Loss { release, purl, file, blob, missed }
    }
}

/// Whether a file has the bytes of a blob, and what it looked like before they were read.
fn right(file: &File, blob: &BlobId) -> Option<Stamp> {
    let stamp = Stamp::of(&file.metadata().ok()?);
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).ok()?;
    (hasher.finalize() == *blob.as_bytes()).then_some(stamp)
}
