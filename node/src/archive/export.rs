//! Export (`get -o`): a held release becomes files.
//!
//! Nothing is written outside the target, and no link below it is followed. A file appears whole
//! and verified or not at all. A file that already has the right bytes is left alone; a file with
//! other bytes is replaced only on request.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind as IoKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_manifest::{Artifact, ArtifactList, BlobId, Sha256Digest};
use perennial_operation::{ErrorKind, Progress, Stage};
use perennial_store::{Store, StoreError, sync_directory};

use super::{Archive, ArchiveError, Observer};

/// Why files were not written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A directory or file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The target's disk is full.
    #[error("disk full while writing {}", path.display())]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// A path below the target has to be a directory, but is not.
    #[error("{} is in the way: it is not a directory, and links are not followed", path.display())]
    NotADirectory {
        /// The conflicting path.
        path: PathBuf,
    },
    /// A path below the target has to be a file, but is not.
    #[error("{} is in the way: it is not a regular file", path.display())]
    NotAFile {
        /// The conflicting path.
        path: PathBuf,
    },
    /// The target file exists with other bytes.
    #[error("{} already exists with other content", path.display())]
    Exists {
        /// The existing file.
        path: PathBuf,
    },
    /// A blob does not have the SHA-256 that was claimed for it.
    #[error("{blob} does not have the claimed {claimed}: it has {computed}")]
    WrongSha256 {
        /// The blob's id.
        blob: BlobId,
        /// The digest that a signed list or a peer claims.
        claimed: Sha256Digest,
        /// The digest of the blob's bytes.
        computed: Sha256Digest,
    },
    /// The store failed, or found the blob damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ExportError {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongSha256 { .. } | Self::Store(StoreError::Corrupt { .. }) => {
                ErrorKind::Verification
            }
            _ => ErrorKind::Failed,
        }
    }

    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Exists { .. } => Some("--force replaces it; or give another directory with -o"),
            Self::Store(StoreError::Corrupt { .. }) => {
                Some("get it again: the damaged copy was set aside")
            }
            _ => None,
        }
    }

    fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == IoKind::StorageFull {
            Self::DiskFull { path }
        } else {
            Self::Io { path, source }
        }
    }
}

impl Archive {
    /// Writes all files of a held release below `target`, creating directories as needed. `force`
    /// replaces files that have other content.
    ///
    /// # Errors
    /// [`ExportError`], and [`ArchiveError::Cancelled`] if the observer has left; files already
    /// written stay.
    pub async fn export(
        &self,
        list: ArtifactList,
        target: PathBuf,
        force: bool,
        observer: Arc<dyn Observer>,
    ) -> Result<(), ArchiveError> {
        self.blocking(move |archive| export(&archive.store, &list, &target, force, &*observer))
            .await
    }

    /// Writes one held blob to a file in `target`, named by the requested digest in hex, and
    /// returns the file's path.
    ///
    /// # Errors
    /// [`ExportError`], including [`ExportError::WrongSha256`] if `sha256` is given.
    pub async fn export_blob(
        &self,
        blob: BlobId,
        sha256: Option<Sha256Digest>,
        target: PathBuf,
        force: bool,
    ) -> Result<PathBuf, ArchiveError> {
        self.blocking(move |archive| {
            fs::create_dir_all(&target).map_err(|e| ExportError::io(&target, e))?;
            let name = sha256.as_ref().map_or_else(|| blob.to_hex(), Sha256Digest::to_hex);
            let path = target.join(name);
            write_blob(&archive.store, &blob, sha256.as_ref(), &path, 0o644, force)?;
            sync_dir(&target)?;
            Ok::<_, ExportError>(path)
        })
        .await
    }

    /// Reads a held blob and compares its SHA-256 with a claim.
    ///
    /// # Errors
    /// [`ExportError::WrongSha256`], or the store's error.
    pub async fn check_sha256(
        &self,
        blob: BlobId,
        claimed: Sha256Digest,
    ) -> Result<(), ArchiveError> {
        self.blocking(move |archive| check_sha256(&archive.store, &blob, &claimed)).await
    }
}

fn export(
    store: &Store,
    list: &ArtifactList,
    target: &Path,
    force: bool,
    observer: &dyn Observer,
) -> Result<(), ArchiveError> {
    fs::create_dir_all(target).map_err(|e| ExportError::io(target, e))?;
    let mut written = 0;
    let mut dirs = BTreeSet::new();
    for (at, artifact) in list.iter().enumerate() {
        if observer.has_left() {
            return Err(ArchiveError::Cancelled);
        }
        let dir = parent(target, artifact)?;
        let path = dir.join(artifact.path.file_name());
        let mode = if artifact.exec { 0o755 } else { 0o644 };
        write_blob(store, &artifact.blake3, Some(&artifact.sha256), &path, mode, force)?;
        dirs.insert(dir);
        written += artifact.size;
        observer.progress(Progress {
            bytes: written,
            total_bytes: Some(list.total_bytes()),
            items: at as u64 + 1,
            total_items: Some(list.len() as u64),
            ..Progress::of(Stage::Writing)
        });
    }
    for dir in dirs {
        sync_dir(&dir)?;
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<(), ExportError> {
    sync_directory(dir).map_err(|e| ExportError::io(dir, e))
}

/// The directory of an artifact, created if missing. Below the target, every component has to be a
/// real directory.
fn parent(target: &Path, artifact: &Artifact) -> Result<PathBuf, ExportError> {
    let mut dir = target.to_owned();
    let mut components: Vec<&str> = artifact.path.components().collect();
    components.pop();
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
    Ok(dir)
}

fn write_blob(
    store: &Store,
    blob: &BlobId,
    sha256: Option<&Sha256Digest>,
    path: &Path,
    mode: u32,
    force: bool,
) -> Result<(), ExportError> {
    let at = |e| ExportError::io(path, e);
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {
            if has_bytes_of(path, blob).map_err(at)? {
                return sha256.map_or(Ok(()), |claimed| check_sha256(store, blob, claimed));
            }
            if !force {
                return Err(ExportError::Exists { path: path.to_owned() });
            }
        }
        Ok(_) => return Err(ExportError::NotAFile { path: path.to_owned() }),
        Err(e) if e.kind() == IoKind::NotFound => {}
        Err(e) => return Err(at(e)),
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut tmp = tempfile::Builder::new().prefix(".perennial-").tempfile_in(dir).map_err(at)?;
    let computed = store.copy_out(blob, tmp.as_file_mut())?;
    if let Some(claimed) = sha256 {
        agree(blob, claimed, &computed)?;
    }
    match tmp.as_file().set_permissions(Permissions::from_mode(mode)) {
        // A file system without modes (exFAT): the bytes are right.
        Err(e) if matches!(e.kind(), IoKind::PermissionDenied | IoKind::Unsupported) => {}
        other => other.map_err(at)?,
    }
    tmp.as_file().sync_all().map_err(at)?;
    tmp.persist(path).map_err(|e| at(e.error))?;
    Ok(())
}

fn check_sha256(store: &Store, blob: &BlobId, claimed: &Sha256Digest) -> Result<(), ExportError> {
    agree(blob, claimed, &store.copy_out(blob, &mut io::sink())?)
}

fn agree(
    blob: &BlobId,
    claimed: &Sha256Digest,
    computed: &Sha256Digest,
) -> Result<(), ExportError> {
    if claimed == computed {
        return Ok(());
    }
    Err(ExportError::WrongSha256 { blob: *blob, claimed: *claimed, computed: *computed })
}

/// Returns whether a file has the bytes of a blob.
fn has_bytes_of(path: &Path, blob: &BlobId) -> io::Result<bool> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        };
    }
    Ok(hasher.finalize() == *blob.as_bytes())
}
