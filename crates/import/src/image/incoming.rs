//! A blob that is arriving: a file named by its digest, which the next attempt goes on with.
//!
//! Promises that one import at a time writes to it, that no byte beyond the size named is written, and that bytes which do
//! not match are gone from it. Blocking.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Check, Wanted};
use crate::ImportError;

/// A file in [`perennial_store::Store::incoming`] that becomes one blob.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: PathBuf,
    file: File,
    check: Check,
    len: u64,
    wanted: Wanted,
}

impl Incoming {
    /// Goes on with what is there; `None` if somebody else does so just now.
    pub(crate) fn open(dir: &Path, wanted: &Wanted) -> Result<Option<Self>, ImportError> {
        let digest = &wanted.digest;
        let path = dir.join(format!("oci-{}-{}", digest.algorithm(), digest.digest()));
        let at = |source| ImportError::File { path: path.clone(), source };
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(at)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(at(error)),
        }
        // who had it before may have made it a blob: that must not be written to
        let own = file.metadata().map_err(at)?;
        match std::fs::symlink_metadata(&path) {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(error)),
        }
        let mut incoming = Self {
            check: Check::new(digest)?,
            len: 0,
            wanted: wanted.clone(),
            path: path.clone(),
            file,
        };
        if own.len() > wanted.size {
            incoming.restart()?;
        } else {
            incoming.read_again().map_err(at)?;
        }
        Ok(Some(incoming))
    }

    fn read_again(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            self.check.update(&buffer[..read]);
            self.len += read as u64;
        }
    }

    /// Bytes that are here.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.len >= self.wanted.size
    }

    /// Throws away what is here.
    pub(crate) fn restart(&mut self) -> Result<(), ImportError> {
        let mut restart = || {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0)).map(drop)
        };
        restart().map_err(|source| ImportError::File { path: self.path.clone(), source })?;
        self.check = Check::new(&self.wanted.digest)?;
        self.len = 0;
        Ok(())
    }

    /// Leaves nothing to go on with.
    fn discard(&mut self) -> Result<(), ImportError> {
        self.restart()?;
        std::fs::remove_file(&self.path)
            .map_err(|source| ImportError::File { path: self.path.clone(), source })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        if self.len.saturating_add(bytes.len() as u64) > self.wanted.size {
            self.discard()?;
            let reason =
                format!("more than the {} bytes came that it is said to have", self.wanted.size);
            return Err(ImportError::Mismatch { what: self.wanted.digest.to_string(), reason });
        }
        self.file
            .write_all(bytes)
            .map_err(|source| ImportError::File { path: self.path.clone(), source })?;
        self.check.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Checks length and digest. The file stays locked for as long as the lock that is given lives.
    pub(crate) fn finish(mut self) -> Result<(PathBuf, File), ImportError> {
        if !self.is_complete() {
            let reason = format!("{} of {} bytes came", self.len, self.wanted.size);
            return Err(ImportError::Mismatch { what: self.wanted.digest.to_string(), reason });
        }
        if let Err(error) = self.check.clone().finish() {
            self.discard()?;
            return Err(error);
        }
        Ok((self.path, self.file))
    }
}
