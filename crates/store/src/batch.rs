//! Adding many blobs behind one fsync.
//!
//! Owns the order of an add: bytes, fsync, rename, fsync of the directories. Promises that no blob
//! counts as added before [`Batch::commit`] returns, that the same bytes are stored once, and that
//! a collection spares every blob that a live batch touched.

mod watched;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use perennial_manifest::{Artifact, ArtifactPath, BlobId, Role, Sha256Digest};

use crate::blobs::Blobs;
use crate::deny::DenyList;
use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::hashing;
use crate::large::{Reference, SMALL, Sight, Stamp, open, trailer};
use crate::lease::Lease;
use crate::pack::Record;
use crate::space::{BLOCK, Reserved, allocated};
use crate::sparse::Sparse;
use watched::{Watched, changed_or};

/// Where the bytes of an added file go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// They are copied into the store.
    Copy,
    /// They stay in the user's file, which the store refers to; for seeding mirrors. Small files
    /// are copied all the same.
    InPlace,
}

/// A blob that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// BLAKE3 of the bytes: the name in the swarm.
    pub blob: BlobId,
    /// SHA-256 of the bytes: the name that other tools use.
    pub sha256: Sha256Digest,
    /// Length in bytes.
    pub size: u64,
    /// Whether the store did not hold the bytes before.
    pub new: bool,
}

impl Added {
    /// The artifact of these bytes: for every platform, not executable, without origins.
    #[must_use]
    pub fn artifact(
        &self,
        path: ArtifactPath,
        role: Role,
        media_type: impl Into<String>,
    ) -> Artifact {
        Artifact {
            path,
            size: self.size,
            blake3: self.blob,
            sha256: self.sha256,
            media_type: media_type.into(),
            role,
            platform: None,
            exec: false,
            origins: Vec::new(),
        }
    }
}

/// An add in progress. Dropping it before [`Batch::commit`] acknowledges nothing; what was written
/// is collected later.
pub struct Batch<'a> {
    blobs: &'a Blobs,
    /// Asked before each piece of a large file.
    is_wanted: &'a dyn Fn() -> bool,
    lease: Lease,
    dirs: BTreeSet<PathBuf>,
    /// Blobs whose damaged bytes are set aside until the good ones are durable.
    healed: Vec<BlobId>,
    /// The deny list as it was when the add began; the next collection removes blobs denied since.
    denied: Arc<DenyList>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(blobs: &'a Blobs, denied: Arc<DenyList>) -> Self {
        let lease = blobs.leases().take(Vec::new());
        let (is_wanted, dirs) = (&|| true, BTreeSet::new());
        Self { blobs, is_wanted, lease, dirs, healed: Vec::new(), denied }
    }

    /// Gives up files that are being read, with [`StoreError::GivenUp`], once `is_wanted` says no.
    #[must_use]
    pub fn as_long_as(self, is_wanted: &'a dyn Fn() -> bool) -> Self {
        Self { is_wanted, ..self }
    }

    fn watched<R: Read>(&self, source: R) -> Watched<'a, R> {
        Watched { source, is_wanted: self.is_wanted }
    }

    fn refuse_denied(&self, blob: BlobId, sha256: &Sha256Digest) -> Result<(), StoreError> {
        match self.denied.of_bytes(&blob, Some(sha256)) {
            Some(denial) => Err(StoreError::Denied(Box::new(denial))),
            None => Ok(()),
        }
    }

    /// Adds a regular file. `progress` is called with the number of bytes in each piece read.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`] for a link or directory, [`StoreError::Changed`] if the file
    /// changed meanwhile, [`StoreError::Denied`], and failures of the disk.
    pub fn add_file(
        &mut self,
        path: &Path,
        placement: Placement,
        progress: &dyn Fn(u64),
    ) -> Result<Added, StoreError> {
        let (mut file, meta) = open(path)?.ok_or_else(|| StoreError::NotAFile(path.to_owned()))?;
        let size = meta.len();
        if size <= SMALL {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            // One byte more than the file had a moment ago reveals a file that grows.
            Read::by_ref(&mut file).take(SMALL + 1).read_to_end(&mut bytes).at(path)?;
            if bytes.len() as u64 != size {
                return Err(StoreError::Changed(path.to_owned()));
            }
            progress(size);
            return self.add_bytes(bytes);
        }
        let stamp = Stamp::of(&meta);
        let added = match placement {
            Placement::Copy => self.copy_large(path, &file, size, progress)?,
            Placement::InPlace => {
                let reference = Reference::new(path, stamp.clone())?;
                self.refer_large(path, &file, size, &reference, progress)?
            }
        };
        if Stamp::of(&file.metadata().at(path)?) != stamp {
            return Err(StoreError::Changed(path.to_owned()));
        }
        Ok(added)
    }

    /// Adds bytes from memory.
    ///
    /// # Errors
    /// [`StoreError::Denied`], and failures of the disk.
    pub fn add_bytes(&mut self, bytes: Vec<u8>) -> Result<Added, StoreError> {
        let size = bytes.len() as u64;
        if size > SMALL {
            let room = self.reserve(size, size)?;
            let outboard =
                tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
            let copy = tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
            room.write_file(size, copy.path())?;
            let mut writer = copy.as_file();
            let pass =
                hashing::pass(&bytes[..], size, Some(&mut writer), &|_| {}).at(copy.path())?;
            return self.publish(pass, size, room, Some(copy), &outboard, None);
        }
        let (blob, sha256) = hashing::names_of(&bytes);
        self.refuse_denied(blob, &sha256)?;
        let _gate = self.blobs.gate().read().unwrap_or_else(PoisonError::into_inner);
        self.lease.add(blob);
        // Read, not only looked up: a damaged record is replaced by the good bytes at hand.
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

    /// Takes over a file from [`crate::Store::incoming`]: it becomes the blob without being copied.
    /// On failure it stays where it is.
    ///
    /// # Errors
    /// As [`Batch::add_file`].
    pub fn take_file(&mut self, path: &Path, progress: &dyn Fn(u64)) -> Result<Added, StoreError> {
        let (mut file, meta) = open(path)?.ok_or_else(|| StoreError::NotAFile(path.to_owned()))?;
        let size = meta.len();
        let added = if size <= SMALL {
            let mut bytes = Vec::new();
            Read::by_ref(&mut file).take(SMALL + 1).read_to_end(&mut bytes).at(path)?;
            progress(size);
            self.add_bytes(bytes)?
        } else {
            // Its own bytes are counted where they were written.
            let room = self.reserve(size, 0)?;
            let outboard =
                tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
            let pass = hashing::pass(self.watched(&file), size, None, progress)
                .map_err(|e| changed_or(path, path, e))?;
            let name = tempfile::TempPath::try_from_path(path).at(path)?;
            let mut taken = tempfile::NamedTempFile::from_parts(file, name);
            taken.disable_cleanup(true);
            self.publish(pass, size, room, Some(taken), &outboard, None)?
        };
        // The store held the bytes already, so the file was not renamed.
        durable::remove_file(path)?;
        self.blobs.space().shrunk();
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
        // Holes of the source become holes.
        let room = self.reserve(size, size.min(allocated(&file.metadata().at(path)?)))?;
        let copy = tempfile::NamedTempFile::new_in(tmp).at(tmp)?;
        let outboard = tempfile::NamedTempFile::new_in(tmp).at(tmp)?;
        let take = |bytes: u64| room.write(bytes, copy.path()).map_err(io::Error::other);
        room.write(BLOCK, copy.path())?;
        let mut writer = Sparse::new(copy.as_file(), &|_| Ok(())).in_room(&take);
        let pass = hashing::pass(self.watched(file), size, Some(&mut writer), progress)
            .map_err(|e| changed_or(path, copy.path(), e))?;
        writer.finish().at(copy.path())?;
        self.publish(pass, size, room, Some(copy), &outboard, None)
    }

    /// Takes room for a large blob: for `bytes` of the blob's, for its tree, and for the last block
    /// of each file.
    fn reserve(&self, size: u64, bytes: u64) -> Result<Reserved, StoreError> {
        let tree = size / 256 + 4 * BLOCK;
        self.blobs.space().reserve(bytes.saturating_add(tree), self.blobs.tmp())
    }

    fn refer_large(
        &mut self,
        path: &Path,
        file: &File,
        size: u64,
        reference: &Reference,
        progress: &dyn Fn(u64),
    ) -> Result<Added, StoreError> {
        let room = self.reserve(size, 0)?;
        let outboard = tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
        let pass = hashing::pass(self.watched(file), size, None, progress)
            .map_err(|e| changed_or(path, path, e))?;
        self.publish(pass, size, room, None, &outboard, Some(reference))
    }

    /// Fsyncs the files of a large blob and renames them into place. `room`: what was taken for
    /// those that are new.
    fn publish(
        &mut self,
        pass: hashing::Pass,
        size: u64,
        room: Reserved,
        copy: Option<tempfile::NamedTempFile>,
        outboard: &tempfile::NamedTempFile,
        reference: Option<&Reference>,
    ) -> Result<Added, StoreError> {
        let hashing::Pass { blob, sha256, outboard: pairs } = pass;
        self.refuse_denied(blob, &sha256)?;
        let _gate = self.blobs.gate().read().unwrap_or_else(PoisonError::into_inner);
        self.lease.add(blob);
        let large = self.blobs.large();
        // The caller asked for a copy: bytes that are only referenced in place do not count as one.
        // A file that was just read replaces one whose bytes may be others by now.
        let enough = match large.reference(&blob) {
            Some(other) => copy.is_none() && matches!(other.sight(), Sight::Same(_)),
            None => true,
        };
        if enough && self.blobs.has(&blob)? {
            // Another batch may have renamed it without having fsynced the directory yet.
            self.dirs.insert(large.dir_of(&blob));
            self.blobs.touch(&blob)?;
            return Ok(Added { blob, sha256, size, new: false });
        }
        let end = pairs.len() as u64;
        let file = outboard.as_file();
        room.write_file(end + trailer(size, None).len() as u64, outboard.path())?;
        durable::write_at(file, &pairs, 0, outboard.path())?;
        durable::write_at(file, &trailer(size, Some(sha256)), end, outboard.path())?;
        durable::sync_file(file, outboard.path())?;
        let (bytes, extension) = match (copy, reference) {
            (Some(copy), _) => (copy, "blob"),
            (None, reference) => {
                let tmp = tempfile::NamedTempFile::new_in(self.blobs.tmp()).at(self.blobs.tmp())?;
                let text = serde_json::to_vec(&reference).unwrap_or_default();
                room.write_file(text.len() as u64, tmp.path())?;
                durable::write_at(tmp.as_file(), &text, 0, tmp.path())?;
                (tmp, "ref")
            }
        };
        durable::sync_file(bytes.as_file(), bytes.path())?;
        large.publish(&blob, bytes.path(), extension, outboard.path())?;
        room.keep();
        self.dirs.insert(large.dir_of(&blob));
        self.healed.push(blob);
        Ok(Added { blob, sha256, size, new: true })
    }

    /// Makes everything added durable. The returned lease protects the blobs until it is dropped.
    ///
    /// # Errors
    /// Failures of the disk. Nothing is acknowledged then, and the add can be repeated.
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

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("lease", &self.lease).finish_non_exhaustive()
    }
}
