//! The data directory: its parts, its lock, and the version of its layout (FORMAT.md).
//!
//! Promises that one process at a time uses a directory, that a newer layout is refused before
//! anything is touched, and that the lock of a killed process is taken over. A directory on
//! read-only media is opened for reading, by any number of processes at once.

mod mode;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, StatVfsMountFlags, flock, statvfs};

use crate::durable;
use crate::error::{AtPath, StoreError};

/// The version of the layout that this code reads and writes.
pub const FORMAT: u32 = 1;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses it.
    #[error("{dir} is in use by process {pid}")]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds the lock; 0 if it is unknown.
        pid: u32,
    },
    /// It was written by a newer version.
    #[error(
        "{dir} has layout {found}; this version reads up to {FORMAT}. Nothing was changed; use a \
        newer version"
    )]
    Newer {
        /// The data directory.
        dir: PathBuf,
        /// The layout version found.
        found: String,
    },
    /// It is not writable.
    #[error("{dir} cannot be written to ({source}); a node needs to write to its data directory")]
    ReadOnly {
        /// The data directory.
        dir: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Other users can write to it, and its mode cannot be changed.
    #[error(
        "{} has mode {mode:o}, so other users could replace what is archived, and it cannot be \
         changed ({source}); run `chmod 700 {}`",
        dir.display(), dir.display()
    )]
    Loose {
        /// The data directory.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Opening the store in it failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A locked data directory. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    /// The locked file; `None` on read-only media that were written without one.
    lock: Option<File>,
    read_only: bool,
    /// Device and inode of the directory, which tell it from another in its place.
    identity: (u64, u64),
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let meta = fs::metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

/// Whether the file system that a path is on is mounted read-only.
#[must_use]
pub fn is_on_read_only_media(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

impl Layout {
    /// Locks a directory, and creates it if it is missing.
    pub(crate) fn open(root: &Path) -> Result<Self, OpenError> {
        if !root.exists() {
            durable::make_dir(root).map_err(|error| match error {
                StoreError::Io { path, source } => unusable(&path, source),
                other => other.into(),
            })?;
        }
        let format = root.join("FORMAT");
        // Before the lock: a newer layout may lock differently, and must not be touched.
        let found = match fs::read_to_string(&format) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(StoreError::io(&format, e).into()),
        };
        if let Some(found) = found.as_ref().filter(|found| found.parse() != Ok(FORMAT)) {
            return Err(OpenError::Newer {
                dir: root.to_owned(),
                found: found.chars().take(40).collect(),
            });
        }
        let read_only = found.is_some() && is_on_read_only_media(root);
        if !read_only {
            mode::close_to_others(root)?;
        }
        let lock = if read_only { lock_shared(root)? } else { Some(lock(root)?) };
        let identity = identity(root).at(root)?;
        let layout = Self { root: root.to_owned(), lock, read_only, identity };
        if read_only {
            return Ok(layout);
        }
        if found.is_none() {
            durable::write_file(&format, format!("{FORMAT}\n").as_bytes())?;
        }
        for part in [
            layout.blobs(),
            layout.packs(),
            layout.partial(),
            layout.state(),
            layout.tmp(),
            layout.keys(),
            layout.incoming(),
        ] {
            durable::make_dir(&part)?;
        }
        layout.remove_unfinished()?;
        Ok(layout)
    }

    /// Removes the half-written files of a killed process. Nothing refers to them.
    fn remove_unfinished(&self) -> Result<(), StoreError> {
        let tmp = self.tmp();
        for dir in [&tmp, &self.state(), &self.root] {
            for file in fs::read_dir(dir).at(dir)? {
                let file = file.at(dir)?;
                if *dir == tmp
                    || file.file_name().as_encoded_bytes().starts_with(durable::TMP.as_bytes())
                {
                    durable::remove_file(&file.path())?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the directory was opened for reading only.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Asks the file system whether the directory is the one that was opened and its disk answers.
    /// Writes nothing: an fsync of a clean file asks the disk to empty its cache.
    pub(crate) fn probe(&self) -> Result<(), StoreError> {
        let gone = |reason| StoreError::Gone { dir: self.root.clone(), reason };
        match identity(&self.root) {
            Ok(identity) if identity == self.identity => {}
            Ok(_) => return Err(gone("another directory is in its place")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(gone("it is not there any more"));
            }
            Err(error) => return Err(StoreError::io(&self.root, error)),
        }
        match is_on_read_only_media(&self.root) {
            true if self.read_only => return Ok(()),
            true => return Err(gone("the system made its file system read-only")),
            false if self.read_only => return Err(gone("its file system is writable now")),
            false => {}
        }
        let Some(lock) = &self.lock else { return Ok(()) };
        lock.sync_all().at(&self.root)
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.root.join("packs")
    }

    pub(crate) fn partial(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }
}

fn unusable(root: &Path, source: std::io::Error) -> OpenError {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) {
        OpenError::ReadOnly { dir: root.to_owned(), source }
    } else {
        StoreError::io(root, source).into()
    }
}

/// Locks a directory on read-only media against a process that writes to it through another mount.
fn lock_shared(root: &Path) -> Result<Option<File>, OpenError> {
    let path = root.join("LOCK");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(&path, error).into()),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(in_use(root, file)),
        // Some file systems have no locks; nothing is written here.
        _ => Ok(Some(file)),
    }
}

fn in_use(root: &Path, mut file: File) -> OpenError {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    OpenError::InUse { dir: root.to_owned(), pid: text.trim().parse().unwrap_or(0) }
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("LOCK");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // Another user may have put a link there, to a file that would be emptied.
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(|e| unusable(root, e))?;
    // The kernel drops a flock with its process, so the lock of a killed process is free.
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(in_use(root, file));
    }
    // The pid is informational: a full disk must not keep a node from serving.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}
