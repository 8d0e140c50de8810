//! The descriptors of sealed packs: opened when they are needed, and only so many at once, however
//! many packs there are.
//!
//! Promises that a file that is opened again is the one that was opened first: a pack that was
//! rewritten or removed meanwhile is an error, and its reader takes the packs as they are now.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{index_path, pack_path};
use crate::error::{AtPath, StoreError};

/// Packs whose files are open, at most; each has two.
const MOST: usize = 64;

/// The files of a pack.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) pack: File,
    pub(super) index: File,
    identity: Identity,
}

/// Device and inode of both files.
pub(super) type Identity = [(u64, u64); 2];

fn identity(file: &File, path: &Path) -> Result<(u64, u64), StoreError> {
    let meta = file.metadata().at(path)?;
    Ok((meta.dev(), meta.ino()))
}

impl Files {
    /// Opens both files. `None` if there is no index.
    pub(super) fn open(dir: &Path, number: u64) -> Result<Option<Self>, StoreError> {
        let (pack_path, index_path) = (pack_path(dir, number), index_path(dir, number));
        let pack = File::open(&pack_path).at(&pack_path)?;
        let index = match File::open(&index_path) {
            Ok(index) => index,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // It may be good, and the system out of descriptors.
            Err(error) => return Err(StoreError::io(&index_path, error)),
        };
        let identity = [identity(&pack, &pack_path)?, identity(&index, &index_path)?];
        Ok(Some(Self { pack, index, identity }))
    }

    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }
}

/// The open files of all sealed packs of a store.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Counts uses.
    clock: u64,
    /// By number, with the time of the last use.
    files: HashMap<u64, (u64, Arc<Files>)>,
}

impl OpenFiles {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the files of a pack open, and closes those of the pack that was used longest ago.
    pub(super) fn keep(&self, number: u64, files: Arc<Files>) {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        kept.files.insert(number, (now, files));
        if kept.files.len() > MOST {
            let oldest = kept.files.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(number, _)| *number) {
                kept.files.remove(&oldest);
            }
        }
    }

    /// The files of a pack, opened again if they were closed.
    ///
    /// # Errors
    /// Failures of the disk; `NotFound` if the pack is not the one of this identity any more.
    pub(super) fn get(
        &self,
        dir: &Path,
        number: u64,
        identity: &Identity,
    ) -> Result<Arc<Files>, StoreError> {
        if let Some(files) = self.kept(number).filter(|files| files.identity == *identity) {
            return Ok(files);
        }
        let replaced = || StoreError::io(&pack_path(dir, number), io::ErrorKind::NotFound.into());
        let files = Arc::new(Files::open(dir, number)?.ok_or_else(replaced)?);
        if files.identity != *identity {
            return Err(replaced());
        }
        self.keep(number, Arc::clone(&files));
        Ok(files)
    }

    fn kept(&self, number: u64) -> Option<Arc<Files>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        let (used, files) = kept.files.get_mut(&number)?;
        *used = now;
        Some(Arc::clone(files))
    }

    /// Closes the files of a pack, which is removed or rewritten.
    pub(super) fn close(&self, number: u64) {
        self.lock().files.remove(&number);
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().files.len()
    }
}
