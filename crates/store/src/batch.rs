//! Adding many blobs behind one fsync.
//!
//! Owns the order of an add: bytes, fsync, rename, fsync of the directories. Promises that nothing counts as added before
//! [`Batch::commit`] returned, that the same bytes cost once, and that what a batch touched is not collected while it lives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use perennial_manifest::{BlobId, Sha256Digest};

use crate::blobs::Blobs;
use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::hashing;
use crate::large::{Reference, SMALL, open, trailer};
use crate::lease::Lease;
use crate::pack::Record;

/// Where the bytes of an added file are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Copied into the store.
    Copy,
    /// Left where they lie and referenced, for seeding mirrors. Small files are copied all the same.
    InPlace,
}

/// A blob that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Its name in the swarm.
    pub blob: BlobId,
    /// Its name elsewhere.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether its bytes were not here before.
    pub new: bool,
}

/// An add under way.
#[derive(Debug)]
pub struct Batch<'a> {
    blobs: &'a Blobs,
    lease: Lease,
    dirs: BTreeSet<PathBuf>,
    /// Blobs whose damaged bytes are kept aside until the good ones last.
    healed: Vec<BlobId>,
    /// What the user refuses, as it was when the add began; the next collection takes what was denied since.
    denied: BTreeMap<BlobId, String>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(blobs: &'a Blobs, lease: Lease, denied: BTreeMap<BlobId, String>) -> Self {
        Self { blobs, lease, dirs: BTreeSet::new(), healed: Vec::new(), denied }
    }

    fn refuse_denied(&self, blob: BlobId) -> Result<(), StoreError> {
        if self.denied.contains_key(&blob) { Err(StoreError::Denied(blob)) } else { Ok(()) }
    }

    /// Adds a regular file; a link is refused. `progress` hears of the bytes as they are read.
    pub fn add_file(
        &mut self,
        path: &Path,
        placement: Placement,
        progress: &dyn Fn(u64),
    ) -> Result<Added, StoreError> {
        let mut file = open(path)?.ok_or_else(|| StoreError::NotAFile(path.to_owned()))?;
        let size = file.metadata().at(path)?.len();
        if size <= SMALL {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            // one more than was there a moment ago shows a file that grows
            Read::by_ref(&mut file).take(SMALL + 1).read_to_end(&mut bytes).at(path)?;
            if bytes.len() as u64 != size {
                return Err(StoreError::Changed(path.to_owned()));
            }
            progress(size);
            return self.add_bytes(bytes);
        }
        let reference = Reference::new(path, &file)?;
        let added = match placement {
            Placement::Copy => self.copy_large(path, &file, size, progress)?,
            Placement::InPlace => self.refer_large(path, &file, size, &reference, progress)?,
        };
        if Reference::new(path, &file)? != reference {
            return Err(StoreError::Changed(path.to_owned()));
        }
        Ok(added)
    }

    /// Adds bytes that are in memory.
    pub fn add_bytes(&mut self, bytes: Vec<u8>) -> Result<Added, StoreError> {
        let size = bytes.len() as u64;
        if size > SMALL {
            let outboard =
                tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
            let copy = tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
            let mut writer = copy.as_file();
            let pass =
                hashing::pass(&bytes[..], size, Some(&mut writer), &|_| {}).at(copy.path())?;
            return self.publish(pass, size, Some(copy), &outboard, None);
        }
        let (blob, sha256) = hashing::names_of(&bytes);
        self.refuse_denied(blob)?;
        let _gate = self.blobs.gate().read().unwrap_or_else(PoisonError::into_inner);
        self.lease.add(blob);
        // read, not only looked up: a damaged record is replaced by the good bytes at hand
        let new = match self.blobs.small(&blob) {
            Ok(found) => found.is_none() && !self.blobs.has(&blob)?,
            Err(StoreError::Corrupt { .. }) => true,
            Err(error) => return Err(error),
        };
        if new {
            self.blobs.packs().append(&Record::blob(blob, sha256, bytes))?;
            self.healed.extend(self.blobs.large().is_damaged(&blob).then_some(blob));
        } else {
            self.blobs.touch(&blob)?;
        }
        Ok(Added { blob, sha256, size, new })
    }

    /// Takes over a file that lies in [`crate::Store::incoming`]: it becomes the blob and is not copied. It stays where it is
    /// if this fails.
    pub fn take_file(&mut self, path: &Path, progress: &dyn Fn(u64)) -> Result<Added, StoreError> {
        let mut file = open(path)?.ok_or_else(|| StoreError::NotAFile(path.to_owned()))?;
        let size = file.metadata().at(path)?.len();
        let added = if size <= SMALL {
            let mut bytes = Vec::new();
            Read::by_ref(&mut file).take(SMALL + 1).read_to_end(&mut bytes).at(path)?;
            progress(size);
            self.add_bytes(bytes)?
        } else {
            let outboard =
                tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
            let pass = hashing::pass(&file, size, None, progress)
                .map_err(|e| changed_or(path, path, e))?;
            let name = tempfile::TempPath::try_from_path(path).at(path)?;
            let mut taken = tempfile::NamedTempFile::from_parts(file, name);
            taken.disable_cleanup(true);
            self.publish(pass, size, Some(taken), &outboard, None)?
        };
        // where the same bytes were here already
        durable::remove_file(path)?;
        Ok(added)
    }

    fn copy_large(
        &mut self,
        path: &Path,
        file: &File,
        size: u64,
        progress: &dyn Fn(u64),
    ) -> Result<Added, StoreError> {
        let tmp = self.blobs.tmp();
        let copy = tempfile::NamedTempFile::new_in(tmp).at(tmp)?;
        let outboard = tempfile::NamedTempFile::new_in(tmp).at(tmp)?;
        let mut writer = copy.as_file();
        let pass = hashing::pass(file, size, Some(&mut writer), progress)
            .map_err(|e| changed_or(path, copy.path(), e))?;
        self.publish(pass, size, Some(copy), &outboard, None)
    }

    fn refer_large(
        &mut self,
        path: &Path,
        file: &File,
        size: u64,
        reference: &Reference,
        progress: &dyn Fn(u64),
    ) -> Result<Added, StoreError> {
        let outboard = tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
        let pass =
            hashing::pass(file, size, None, progress).map_err(|e| changed_or(path, path, e))?;
        self.publish(pass, size, None, &outboard, Some(reference))
    }

    /// Fsyncs the files of a large blob and puts them in their place.
    fn publish(
        &mut self,
        pass: hashing::Pass,
        size: u64,
        copy: Option<tempfile::NamedTempFile>,
        outboard: &tempfile::NamedTempFile,
        reference: Option<&Reference>,
    ) -> Result<Added, StoreError> {
        let hashing::Pass { blob, sha256, outboard: pairs } = pass;
        self.refuse_denied(blob)?;
        let _gate = self.blobs.gate().read().unwrap_or_else(PoisonError::into_inner);
        self.lease.add(blob);
        let large = self.blobs.large();
        // a copy was asked for: bytes that are only referenced where they lie do not stand in for it
        if self.blobs.has(&blob)? && (copy.is_none() || !large.is_reference(&blob)) {
            // another batch may have renamed it without having fsynced the directory yet
            self.dirs.insert(large.dir_of(&blob));
            self.blobs.touch(&blob)?;
            return Ok(Added { blob, sha256, size, new: false });
        }
        let end = pairs.len() as u64;
        let file = outboard.as_file();
        durable::write_at(file, &pairs, 0, outboard.path())?;
        durable::write_at(file, &trailer(size, Some(sha256)), end, outboard.path())?;
        durable::sync_file(file, outboard.path())?;
        let (bytes, extension) = match (copy, reference) {
            (Some(copy), _) => (copy, "blob"),
            (None, reference) => {
                let tmp = tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
                let text = serde_json::to_vec(&reference).unwrap_or_default();
                durable::write_at(tmp.as_file(), &text, 0, tmp.path())?;
                (tmp, "ref")
            }
        };
        durable::sync_file(bytes.as_file(), bytes.path())?;
        large.publish(&blob, bytes.path(), extension, outboard.path())?;
        self.dirs.insert(large.dir_of(&blob));
        self.healed.push(blob);
        Ok(Added { blob, sha256, size, new: true })
    }

    /// Makes everything added last. The lease goes on for as long as the returned value lives.
    pub fn commit(self) -> Result<Lease, StoreError> {
        self.blobs.packs().sync()?;
        for dir in &self.dirs {
            durable::sync_dir(dir)?;
        }
        for blob in &self.healed {
            self.blobs.large().remove_damaged(blob)?;
        }
        Ok(self.lease)
    }
}

/// A pass that ended early because the file is not what it was, or because of the disk.
fn changed_or(source: &Path, target: &Path, error: std::io::Error) -> StoreError {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    if matches!(error.kind(), InvalidData | UnexpectedEof) {
        StoreError::Changed(source.to_owned())
    } else {
        StoreError::io(target, error)
    }
}
