//! Packs: append-only logs of small blobs and entries, with a sorted index beside each sealed one.
//!
//! Owns `packs/` (FORMAT.md, "Packs"). Promises that a record reads back as it was written (its
//! hash is checked at every read), that the torn tail of the pack being written is cut off at open,
//! and that look-ups cost a few preads and no memory that grows with sealed packs. An appended
//! record counts once [`Packs::sync`] has returned.

mod active;
mod damage;
mod look_up;
mod open_files;
mod record;
mod removal;
mod sealed;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use perennial_manifest::BlobId;

use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::space::{BLOCK, Space};
use active::Active;
pub(crate) use damage::Keep;
use open_files::OpenFiles;
pub(crate) use record::{Kind, Record};
use sealed::Sealed;

/// A pack is sealed once it has this many bytes or records.
const SEAL_BYTES: u64 = 64 << 20;
const SEAL_RECORDS: usize = 1 << 16;
/// Bytes of a record in the index of its pack: two rows.
const OF_INDEX: u64 = 144;

/// All packs of a store.
#[derive(Debug)]
pub(crate) struct Packs {
    dir: PathBuf,
    active: Mutex<Active>,
    sealed: RwLock<BTreeMap<u64, Arc<Sealed>>>,
    open: Arc<OpenFiles>,
    space: Arc<Space>,
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
    pub(crate) fn open(dir: &Path, space: Arc<Space>, keep: Keep<'_>) -> Result<Self, StoreError> {
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
        Ok(Self::new(dir, active, sealed, open, space))
    }

    fn new(
        dir: &Path,
        active: Active,
        sealed: BTreeMap<u64, Arc<Sealed>>,
        open: Arc<OpenFiles>,
        space: Arc<Space>,
    ) -> Self {
        let (active, sealed) = (Mutex::new(active), RwLock::new(sealed));
        let packs =
            Self { dir: dir.to_owned(), active, sealed, open, space, epoch: AtomicU64::new(0) };
        // A count that was made before did not know of it.
        let unwritten = packs.note_unwritten(&packs.active());
        packs.space.count(unwritten);
        packs
    }

    /// Opens all packs on media that cannot be written to. Damaged blobs are left out of the
    /// look-ups; the torn tail of a pack is ignored.
    pub(crate) fn open_to_read(dir: &Path, space: Arc<Space>) -> Result<Self, StoreError> {
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
        Ok(Self::new(dir, active, sealed, open, space))
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sealed(&self) -> Vec<Arc<Sealed>> {
        // Newest first: recent records are asked for most.
        self.sealed.read().unwrap_or_else(PoisonError::into_inner).values().rev().cloned().collect()
    }

    /// Appends a record, which is durable once [`Packs::sync`] has returned, if there is room.
    pub(crate) fn append(&self, record: &Record) -> Result<(), StoreError> {
        let bytes = record.disk_bytes() + OF_INDEX;
        self.space.take_for(&BlobId::from_bytes(record.key), bytes, &self.dir)?;
        self.append_taken(record)
    }

    /// Appends a record that stays when its pack goes.
    fn append_again(&self, record: &Record) -> Result<(), StoreError> {
        self.space.count(record.disk_bytes() + OF_INDEX);
        self.append_taken(record)
    }

    fn append_taken(&self, record: &Record) -> Result<(), StoreError> {
        let mut active = self.active();
        let appended = active.append(record);
        self.note_unwritten(&active);
        appended
    }

    /// Tells the ledger what the active pack will write: its buffer, and its index once it is
    /// sealed.
    fn note_unwritten(&self, active: &Active) -> u64 {
        let index = active.records() as u64 * OF_INDEX + 2 * BLOCK;
        let unwritten = active.buffered() + index;
        self.space.pack_has_unwritten(unwritten);
        unwritten
    }

    /// Makes everything appended so far durable, and seals the pack if it is full.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let mut active = self.active();
        active.sync()?;
        if active.len() >= SEAL_BYTES || active.records() >= SEAL_RECORDS {
            self.seal(&mut active)?;
        }
        self.note_unwritten(&active);
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
        self.space.count(2 * BLOCK);
        Ok(())
    }

    /// Number of small blobs; one that was fetched again counts twice until a collection.
    pub(crate) fn blobs(&self) -> u64 {
        self.sealed().iter().map(|pack| pack.blobs()).sum::<u64>() + self.active().blobs()
    }

    /// Bytes of all packs on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.sealed().iter().map(|pack| pack.len()).sum::<u64>() + self.active().len()
    }
}
