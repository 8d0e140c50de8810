//! Packs: append-only logs of small blobs and entries, with a sorted index beside each sealed one.
//!
//! Owns `packs/` (FORMAT.md, "Packs"). Promises that a record reads back as it was written (its
//! hash is checked at every read), that the torn tail of the pack being written is cut off at open,
//! and that look-ups cost a few preads and no memory that grows with sealed packs. An appended
//! record counts once [`Packs::sync`] has returned.

mod active;
mod damage;
mod open_files;
mod record;
mod removal;
mod sealed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use perennial_manifest::{BlobId, Sha256Digest};

use crate::durable;
use crate::error::{AtPath, StoreError};
use active::Active;
pub(crate) use damage::Keep;
use open_files::OpenFiles;
pub(crate) use record::{Kind, Record};
use sealed::Sealed;

/// A pack is sealed once it has this many bytes or records.
const SEAL_BYTES: u64 = 64 << 20;
const SEAL_RECORDS: usize = 1 << 16;

/// All packs of a store.
#[derive(Debug)]
pub(crate) struct Packs {
    dir: PathBuf,
    active: Mutex<Active>,
    sealed: RwLock<BTreeMap<u64, Arc<Sealed>>>,
    open: Arc<OpenFiles>,
    /// Grows when a sealed pack is removed or rewritten.
    epoch: AtomicU64,
}

fn pack_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.pack"))
}

fn index_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.idx"))
}

impl Packs {
    /// Opens all packs. Damaged blobs found on the way go to `keep`.
    pub(crate) fn open(dir: &Path, keep: Keep<'_>) -> Result<Self, StoreError> {
        let mut numbers = Vec::new();
        for file in fs::read_dir(dir).at(dir)? {
            let path = file.at(dir)?.path();
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| stem.parse::<u64>().ok());
            match (number, path.extension().and_then(|ext| ext.to_str())) {
                (Some(number), Some("pack")) => numbers.push(number),
                (_, Some("idx" | "damaged")) => {}
                // A temporary index of a sealing that did not finish.
                _ => durable::remove_file(&path)?,
            }
        }
        numbers.sort_unstable();
        let last = numbers.pop();
        let (mut sealed, open) = (BTreeMap::new(), Arc::default());
        for number in numbers {
            sealed.insert(number, Arc::new(Sealed::open(dir, number, &open, keep)?));
        }
        let active = match last {
            Some(number) if index_path(dir, number).exists() => {
                sealed.insert(number, Arc::new(Sealed::open(dir, number, &open, keep)?));
                Active::create(dir, number + 1)?
            }
            Some(number) => Active::recover(dir, number, keep)?,
            None => Active::create(dir, 1)?,
        };
        Ok(Self::new(dir, active, sealed, open))
    }

    fn new(
        dir: &Path,
        active: Active,
        sealed: BTreeMap<u64, Arc<Sealed>>,
        open: Arc<OpenFiles>,
    ) -> Self {
        let (active, sealed) = (Mutex::new(active), RwLock::new(sealed));
        Self { dir: dir.to_owned(), active, sealed, open, epoch: AtomicU64::new(0) }
    }

    /// Opens all packs on media that cannot be written to. Damaged blobs are left out of the
    /// look-ups; the torn tail of a pack is ignored.
    pub(crate) fn open_to_read(dir: &Path) -> Result<Self, StoreError> {
        let mut numbers = Vec::new();
        for file in fs::read_dir(dir).at(dir)? {
            let path = file.at(dir)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if path.extension().is_some_and(|extension| extension == "pack") {
                numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
            }
        }
        numbers.sort_unstable();
        let unfinished = numbers.pop_if(|last| !index_path(dir, *last).exists());
        let (mut sealed, open) = (BTreeMap::new(), Arc::default());
        for number in numbers {
            sealed.insert(number, Arc::new(Sealed::open_to_read(dir, number, &open)?));
        }
        let active = Active::open_to_read(dir, unfinished)?;
        Ok(Self::new(dir, active, sealed, open))
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sealed(&self) -> Vec<Arc<Sealed>> {
        // Newest first: recent records are asked for most.
        self.sealed.read().unwrap_or_else(PoisonError::into_inner).values().rev().cloned().collect()
    }

    /// Does something with all packs, and does it again if one of them was removed or rewritten
    /// meanwhile: what it had is in others then.
    fn steadily<T>(
        &self,
        mut work: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            let epoch = self.epoch.load(Ordering::SeqCst);
            match work() {
                Err(StoreError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound
                        && epoch != self.epoch.load(Ordering::SeqCst) => {}
                outcome => return outcome,
            }
        }
    }

    /// Appends a record, which is durable once [`Packs::sync`] has returned.
    pub(crate) fn append(&self, record: &Record) -> Result<(), StoreError> {
        self.active().append(record)
    }

    /// Makes everything appended so far durable, and seals the pack if it is full.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let mut active = self.active();
        active.sync()?;
        if active.len() >= SEAL_BYTES || active.records() >= SEAL_RECORDS {
            self.seal(&mut active)?;
        }
        Ok(())
    }

    fn seal(&self, active: &mut Active) -> Result<(), StoreError> {
        let number = active.number();
        Sealed::write_index(&self.dir, number, active.rows())?;
        let sealed = Arc::new(Sealed::open(&self.dir, number, &self.open, &mut |_, _| Ok(()))?);
        // The switch and the new entry under one lock, so that no look-up falls between them.
        let mut all = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        *active = Active::create(&self.dir, number + 1)?;
        all.insert(number, sealed);
        Ok(())
    }

    /// The length of a record's content, if it is here.
    pub(crate) fn len_of(&self, kind: Kind, key: &[u8; 32]) -> Result<Option<u32>, StoreError> {
        self.steadily(|| {
            if let Some(row) = self.active().find(kind, key) {
                return Ok(Some(row.len));
            }
            for pack in self.sealed() {
                if let Some(row) = pack.find(kind, key)? {
                    return Ok(Some(row.len));
                }
            }
            Ok(None)
        })
    }

    /// The SHA-256 of a small blob, as it was when the blob was written.
    pub(crate) fn sha256_of(&self, blob: &BlobId) -> Result<Option<Sha256Digest>, StoreError> {
        self.steadily(|| {
            if let Some(row) = self.active().find(Kind::Blob, blob.as_bytes()) {
                return Ok(Some(Sha256Digest::from_bytes(row.check)));
            }
            for pack in self.sealed() {
                if let Some(row) = pack.find(Kind::Blob, blob.as_bytes())? {
                    return Ok(Some(Sha256Digest::from_bytes(row.check)));
                }
            }
            Ok(None)
        })
    }

    /// Reads and checks a record. `Ok(None)`: it is not here. A damaged record is
    /// [`StoreError::Corrupt`].
    pub(crate) fn read(&self, kind: Kind, key: &[u8; 32]) -> Result<Option<Record>, StoreError> {
        self.steadily(|| {
            let mut damaged = None;
            {
                let active = self.active();
                match active.find(kind, key).map(|row| active.read(&row)) {
                    Some(Ok(record)) => return Ok(Some(record)),
                    Some(Err(error)) => damaged = Some(error),
                    None => {}
                }
            }
            for pack in self.sealed() {
                if let Some(row) = pack.find(kind, key)? {
                    match pack.read(&row) {
                        Ok(record) => return Ok(Some(record)),
                        // Another pack may have a good copy, after a refetch.
                        Err(error) => damaged = Some(error),
                    }
                }
            }
            damaged.map_or(Ok(None), Err)
        })
    }

    /// Keys of a kind that begin with `prefix`, ascending, about `limit` at most.
    pub(crate) fn keys_with(
        &self,
        kind: Kind,
        prefix: &[u8],
        limit: usize,
    ) -> Result<BTreeSet<[u8; 32]>, StoreError> {
        self.steadily(|| {
            let mut found = self.active().keys_with(kind, prefix).take(limit).collect();
            for pack in self.sealed() {
                pack.keys_with(kind, prefix, limit, &mut found)?;
            }
            Ok(found)
        })
    }

    /// The blob with this SHA-256.
    pub(crate) fn blob_of(&self, sha256: &Sha256Digest) -> Result<Option<BlobId>, StoreError> {
        self.steadily(|| {
            if let Some(blob) = self.active().blob_of(sha256) {
                return Ok(Some(blob));
            }
            for pack in self.sealed() {
                if let Some(blob) = pack.blob_of(sha256)? {
                    return Ok(Some(blob));
                }
            }
            Ok(None)
        })
    }

    /// Visits all records of a kind, oldest pack first, without reading their content. A pack that
    /// cannot be read keeps none of the others from being visited, and is the error at the end. Some
    /// are visited twice if a pack is removed or rewritten meanwhile.
    pub(crate) fn each(
        &self,
        kind: Kind,
        visit: &mut dyn FnMut([u8; 32], u32) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.steadily(|| {
            let mut sealed = self.sealed();
            sealed.reverse();
            let mut read = Ok(());
            for pack in sealed {
                let rows = pack.rows();
                for row in rows.iter().flatten().filter(|row| row.kind == kind) {
                    visit(row.key, row.len)?;
                }
                read = read.and(rows.map(drop));
            }
            let rows = self.active().rows();
            for row in rows.into_iter().filter(|row| row.kind == kind) {
                visit(row.key, row.len)?;
            }
            read
        })
    }

    /// Visits all small blobs: name, length, and when their pack was last written to, in Unix
    /// seconds. Records have no time of their own, so a blob is at least as old as that.
    pub(crate) fn each_blob(
        &self,
        visit: &mut dyn FnMut(BlobId, u32, u64),
    ) -> Result<(), StoreError> {
        self.steadily(|| {
            let mut visit_all = |rows: Vec<record::Row>, written| {
                for row in rows.into_iter().filter(|row| row.kind == Kind::Blob) {
                    visit(BlobId::from_bytes(row.key), row.len, written);
                }
            };
            for pack in self.sealed() {
                visit_all(pack.rows()?, pack.written()?);
            }
            let active = self.active();
            visit_all(active.rows(), active.written()?);
            Ok(())
        })
    }

    /// Bytes of all packs on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.sealed().iter().map(|pack| pack.len()).sum::<u64>() + self.active().len()
    }
}
