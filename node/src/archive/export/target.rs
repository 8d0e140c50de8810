//! The directory that an export writes to.
//!
//! Below it, every directory is a real one and no link is followed. A link is made only with a
//! target inside the tree, whatever the list says.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind as IoKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use perennial_manifest::{Artifact, ArtifactPath, BlobId, Sha256Digest, link};
use perennial_store::{Store, StoreError, sync_directory};
use rustix::fs::OFlags;

use super::leftover::{sweep, temporary};
use super::pending::Pending;
use super::{ExportError, agree, check_sha256};

/// Told of bytes as they are written; an error ends the export.
pub(super) type Wrote<'a> = &'a dyn Fn(u64) -> io::Result<()>;

/// A directory under construction.
pub(super) struct Target<'a> {
    store: &'a Store,
    root: &'a Path,
    force: bool,
    /// Files that are written and have no name yet.
    pending: Pending,
    /// Directories written to.
    dirs: BTreeSet<PathBuf>,
    /// Programs that the file system did not take as such.
    not_executable: u64,
    /// Links that the file system did not take.
    not_linked: Vec<ArtifactPath>,
}

impl<'a> Target<'a> {
    pub(super) fn new(store: &'a Store, root: &'a Path, force: bool) -> Result<Self, ExportError> {
        fs::create_dir_all(root).map_err(|e| ExportError::io(root, e))?;
        let (dirs, not_linked) = (BTreeSet::new(), Vec::new());
        let (pending, not_executable) = (Pending::new(force), 0);
        let mut target = Self { store, root, force, pending, dirs, not_executable, not_linked };
        target.enter(root);
        Ok(target)
    }

    /// Writes one artifact.
    pub(super) fn write(
        &mut self,
        artifact: &Artifact,
        wrote: Wrote<'_>,
    ) -> Result<(), ExportError> {
        if artifact.is_directory() {
            return self.directory(artifact.path.components()).map(drop);
        }
        let components: Vec<&str> = artifact.path.components().collect();
        let dir = self.directory(components[..components.len() - 1].iter().copied())?;
        let path = dir.join(artifact.path.file_name());
        if artifact.is_link() {
            return self.link(artifact, &path);
        }
        self.file(&artifact.blake3, Some(&artifact.sha256), &path, artifact.exec, wrote)
    }

    /// Makes all that was written durable. Returns what the file system did not take.
    pub(super) fn finish(mut self) -> Result<Vec<String>, ExportError> {
        self.pending.settle()?;
        for dir in &self.dirs {
            sync_directory(dir).map_err(|e| ExportError::io(dir, e))?;
        }
        let mut remarks = Vec::new();
        if self.not_executable > 0 {
            remarks.push(format!(
                "the file system keeps no modes: {} executable files are not marked as such",
                self.not_executable
            ));
        }
        if let Some(first) = self.not_linked.first() {
            remarks.push(format!(
                "the file system has no symbolic links: {} were not made, the first {first}",
                self.not_linked.len()
            ));
        }
        Ok(remarks)
    }

    /// Notes that a directory is written to; the first time, removes leftovers in it.
    fn enter(&mut self, dir: &Path) {
        if !self.dirs.contains(dir) {
            sweep(dir);
            self.dirs.insert(dir.to_owned());
        }
    }

    /// A directory below the root, created if missing. Every component has to be a real directory.
    fn directory<'c>(
        &mut self,
        components: impl Iterator<Item = &'c str>,
    ) -> Result<PathBuf, ExportError> {
        let mut dir = self.root.to_owned();
        for component in components {
            dir.push(component);
            match fs::symlink_metadata(&dir) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(ExportError::NotADirectory { path: dir }),
                Err(e) if e.kind() == IoKind::NotFound => {
                    fs::create_dir(&dir).map_err(|e| ExportError::io(&dir, e))?;
                }
                Err(e) => return Err(ExportError::io(&dir, e)),
            }
        }
        self.enter(&dir);
        Ok(dir)
    }

    /// Writes a file, unless it is there with the right bytes.
    pub(super) fn file(
        &mut self,
        blob: &BlobId,
        sha256: Option<&Sha256Digest>,
        path: &Path,
        exec: bool,
        wrote: Wrote<'_>,
    ) -> Result<(), ExportError> {
        let at = |e| ExportError::io(path, e);
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_file() => {
                let flags = OFlags::NOFOLLOW.bits().cast_signed();
                let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
                let file = file.map_err(at)?;
                if has_bytes_of(&file, blob).map_err(at)? {
                    self.mark_executable(&file, exec).map_err(at)?;
                    return sha256
                        .map_or(Ok(()), |claimed| check_sha256(self.store, blob, claimed));
                }
                if !self.force {
                    return Err(ExportError::Exists { path: path.to_owned() });
                }
            }
            Ok(_) => return Err(ExportError::NotAFile { path: path.to_owned() }),
            Err(e) if e.kind() == IoKind::NotFound => {}
            Err(e) => return Err(at(e)),
        }
        let tmp = temporary(path.parent().unwrap_or(Path::new("."))).map_err(at)?;
        let computed = self.store.copy_to_file(blob, tmp.as_file(), path, sha256, wrote)?;
        if let Some(claimed) = sha256 {
            agree(blob, claimed, &computed)?;
        }
        set_mode(tmp.as_file(), 0o644).map_err(at)?;
        self.mark_executable(tmp.as_file(), exec).map_err(at)?;
        self.pending.add(tmp, path)
    }

    fn mark_executable(&mut self, file: &File, exec: bool) -> io::Result<()> {
        let mode = file.metadata()?.permissions().mode();
        if exec && mode & 0o111 != 0o111 && !set_mode(file, mode | 0o111)? {
            self.not_executable += 1;
        }
        Ok(())
    }

    /// Makes a symbolic link, unless it is there.
    fn link(&mut self, artifact: &Artifact, path: &Path) -> Result<(), ExportError> {
        let at = |e| ExportError::io(path, e);
        let mut bytes = Vec::new();
        // One byte more than a target may have is as wrong as a million.
        let mut short = Short { bytes: &mut bytes, most: 1025 };
        let sha256 = match self.store.copy_out(&artifact.blake3, &mut short) {
            Err(StoreError::Io { .. }) if bytes.len() == 1025 => None,
            other => Some(other?),
        };
        if let Some(sha256) = sha256 {
            agree(&artifact.blake3, &artifact.sha256, &sha256)?;
        }
        let target = String::from_utf8_lossy(&bytes);
        link::check(&artifact.path, &target)
            .map_err(|error| ExportError::Link { path: artifact.path.clone(), error })?;
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => {
                return Err(ExportError::NotAFile { path: path.to_owned() });
            }
            Ok(meta) => {
                if meta.is_symlink() && fs::read_link(path).map_err(at)? == Path::new(&*target) {
                    return Ok(());
                }
                if !self.force {
                    return Err(ExportError::Exists { path: path.to_owned() });
                }
                fs::remove_file(path).map_err(at)?;
            }
            Err(e) if e.kind() == IoKind::NotFound => {}
            Err(e) => return Err(at(e)),
        }
        match symlink(&*target, path) {
            // exFAT and others.
            Err(e) if is_beyond(&e) => self.not_linked.push(artifact.path.clone()),
            other => other.map_err(at)?,
        }
        Ok(())
    }
}

/// Sets a mode; false where the file system has none.
fn set_mode(file: &File, mode: u32) -> io::Result<bool> {
    match file.set_permissions(Permissions::from_mode(mode & 0o777)) {
        Err(e) if is_beyond(&e) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Whether a file system cannot do what was asked.
fn is_beyond(error: &io::Error) -> bool {
    matches!(error.kind(), IoKind::PermissionDenied | IoKind::Unsupported)
}

/// Whether a file has the bytes of a blob.
fn has_bytes_of(file: &File, blob: &BlobId) -> io::Result<bool> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize() == *blob.as_bytes())
}

/// Takes so many bytes and no more.
struct Short<'a> {
    bytes: &'a mut Vec<u8>,
    most: usize,
}

impl io::Write for Short<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.most - self.bytes.len();
        if room == 0 && !bytes.is_empty() {
            return Err(IoKind::FileTooLarge.into());
        }
        let taken = &bytes[..bytes.len().min(room)];
        self.bytes.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
