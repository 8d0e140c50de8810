//! A blob in transfer: a file named after its digest, which the next attempt resumes.
//!
//! Promises that one import at a time writes to it, that nothing beyond the stated size is written,
//! and that bytes that do not match are removed. Blocking.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use perennial_oci::Check;
use perennial_store::Room;

use crate::ImportError;
use crate::error::at;
use crate::image::Wanted;
use crate::locked::LockedFile;

/// A file in [`perennial_store::Store::incoming`] that becomes one blob.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: PathBuf,
    room: Room,
    file: LockedFile,
    check: Check,
    len: u64,
    wanted: Wanted,
}

impl Incoming {
    /// Resumes with the bytes on disk; `None` if another import is writing to the file.
    pub(crate) fn open(room: &Room, wanted: &Wanted) -> Result<Option<Self>, ImportError> {
        let digest = &wanted.digest;
        let path = room.dir().join(format!("oci-{}-{}", digest.algorithm(), digest.hex()));
        let Some(file) = LockedFile::open(&path)? else { return Ok(None) };
        let there = file.metadata().map_err(at(&path))?.len();
        let (room, wanted) = (room.clone(), wanted.clone());
        let mut incoming = Self { check: digest.check(), len: 0, wanted, path, room, file };
        if there > incoming.wanted.size {
            incoming.restart()?;
        } else {
            incoming.read_again().map_err(at(&incoming.path))?;
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

    /// The number of bytes received so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.len >= self.wanted.size
    }

    /// Discards the bytes received so far.
    pub(crate) fn restart(&mut self) -> Result<(), ImportError> {
        let mut restart = || {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0)).map(drop)
        };
        restart().map_err(at(&self.path))?;
        self.room.has_shrunk();
        self.check = self.wanted.digest.check();
        self.len = 0;
        Ok(())
    }

    /// Removes the file, so that no later attempt resumes it.
    fn discard(&mut self) -> Result<(), ImportError> {
        self.restart()?;
        std::fs::remove_file(&self.path).map_err(at(&self.path))
    }

    /// Whether so many more bytes may belong to the blob.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        self.len.saturating_add(bytes) <= self.wanted.size
    }

    /// Discards the bytes of a blob that turned out to be longer than its size. Returns the reason
    /// to refuse it.
    pub(crate) fn has_too_much(&mut self) -> Result<ImportError, ImportError> {
        self.discard()?;
        let reason = format!("more than the {} bytes of its size came", self.wanted.size);
        Ok(ImportError::Mismatch { what: self.wanted.digest.to_string(), reason })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        if !self.fits(bytes.len() as u64) {
            return Err(self.has_too_much()?);
        }
        self.room.take_room(bytes.len() as u64)?;
        self.file.write_all(bytes).map_err(at(&self.path))?;
        self.check.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Verifies length and digest. The file stays locked while the returned lock lives.
    pub(crate) fn finish(mut self) -> Result<(PathBuf, LockedFile), ImportError> {
        if !self.is_complete() {
            let reason = format!("{} of {} bytes came", self.len, self.wanted.size);
            return Err(ImportError::Mismatch { what: self.wanted.digest.to_string(), reason });
        }
        if let Err(error) = self.check.clone().finish() {
            self.discard()?;
            return Err(error.into());
        }
        Ok((self.path, self.file))
    }
}
