//! The index on disk: sled 0.34.7, used so that none of its measured faults can lose anything.
//!
//! The only place that names sled. It opens it on a thread of its own under `catch_unwind` with a deadline, after removing
//! the half-written snapshots that would brick it; makes `flush` durable with an fsync of its own; keeps values small and
//! batches short; and stops at the first error. The generation number is kept in the index and in a file
//! outside it: an index that lost its tail has the lower one, and is not believed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::meta::{Change, MAX_VALUE, MetaIndex, Visit};

/// Pages kept in memory. It is a wish: sled's memory follows how randomly keys arrive.
const CACHE_BYTES: u64 = 32 << 20;
/// Longest batch that is applied at once; longer ones raise sled's memory and its flush time.
const BATCH: usize = 256;
/// How long sled may take to open before it is given up.
const OPEN_DEADLINE: Duration = Duration::from_secs(120);
const GENERATION_KEY: &[u8] = b"M-generation";

/// The index in a directory.
#[derive(Debug)]
pub(crate) struct SledIndex {
    db: sled::Db,
    dir: PathBuf,
    generation_file: PathBuf,
    failed: AtomicBool,
}

impl SledIndex {
    /// Opens it, or says why it is not to be believed; the caller then moves it aside and rebuilds.
    pub(crate) fn open(dir: &Path, generation_file: &Path) -> Result<Self, StoreError> {
        remove_half_snapshots(dir)?;
        let db = open_guarded(dir)?;
        let index = Self {
            db,
            dir: dir.to_owned(),
            generation_file: generation_file.to_owned(),
            failed: AtomicBool::new(false),
        };
        let inside = index.generation()?;
        let outside = match fs::read_to_string(generation_file) {
            Ok(text) => text.trim().parse::<u64>().unwrap_or(u64::MAX),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(e) => return Err(StoreError::io(generation_file, e)),
        };
        if inside < outside {
            return Err(StoreError::Index(format!(
                "it is at generation {inside}, and was at {outside} before"
            )));
        }
        Ok(index)
    }

    fn generation(&self) -> Result<u64, StoreError> {
        let value = self.get(GENERATION_KEY)?;
        Ok(value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    /// Notes the first failure: from then on nothing is written through this handle.
    fn check<T>(&self, outcome: sled::Result<T>) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            self.failed.store(true, Ordering::SeqCst);
            StoreError::Index(error.to_string())
        })
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.check(self.db.flush())?;
        let db = self.dir.join("db");
        let synced = File::open(&db)
            .and_then(|file| file.sync_all())
            .at(&db)
            .and_then(|()| durable::sync_dir(&self.dir));
        if synced.is_err() {
            self.failed.store(true, Ordering::SeqCst);
        }
        synced
    }
}

impl MetaIndex for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.check(self.db.get(key))?.map(|value| value.to_vec()))
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::Index("an earlier write failed".into()));
        }
        let generation = self.generation()? + 1;
        // the last write of every group, so that a lost tail shows
        for group in changes.chunks(BATCH) {
            let mut batch = sled::Batch::default();
            for change in group {
                match change {
                    Change::Put(key, value) if value.len() > MAX_VALUE => {
                        let key = String::from_utf8_lossy(&key[..1]).into_owned();
                        return Err(StoreError::Index(format!(
                            "a value of {} bytes under {key}",
                            value.len()
                        )));
                    }
                    Change::Put(key, value) => batch.insert(&key[..], &value[..]),
                    Change::Remove(key) => batch.remove(&key[..]),
                }
            }
            batch.insert(GENERATION_KEY, &generation.to_be_bytes());
            self.check(self.db.apply_batch(batch))?;
        }
        self.sync()?;
        durable::write_file(&self.generation_file, format!("{generation}\n").as_bytes())
    }

    fn walk(&self, prefix: &[u8], from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let start = prefix.max(from);
        for row in self.db.range(start..) {
            let (key, value) = self.check(row)?;
            if !key.starts_with(prefix) || !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

/// Killed while opening, sled leaves a snapshot that it later takes for the newest and fails on for ever (its issue 1527).
fn remove_half_snapshots(dir: &Path) -> Result<(), StoreError> {
    let Ok(files) = fs::read_dir(dir) else { return Ok(()) };
    for file in files {
        let path = file.at(dir)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            durable::remove_file(&path)?;
        }
    }
    Ok(())
}

fn open_guarded(dir: &Path) -> Result<sled::Db, StoreError> {
    let (sender, opened) = mpsc::sync_channel(1);
    let (dir, index) = (dir.to_owned(), dir.to_owned());
    let opener = move || {
        let open = || {
            let db = sled::Config::new()
                .path(dir)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(500))
                .use_compression(false)
                .open()?;
            // damage shows when pages are read, so every page is read before anything is believed
            for row in db.iter() {
                row?;
            }
            sled::Result::Ok(db)
        };
        let outcome = match std::panic::catch_unwind(open) {
            Ok(Ok(db)) => Ok(db),
            Ok(Err(sled::Error::Io(error))) if error.kind() == std::io::ErrorKind::StorageFull => {
                Err(StoreError::DiskFull { path: index })
            }
            Ok(Err(error)) => Err(StoreError::Index(error.to_string())),
            Err(_) => Err(StoreError::Index("sled panicked while it opened".to_owned())),
        };
        let _ = sender.send(outcome);
    };
    let spawned = std::thread::Builder::new().name("open-index".into()).spawn(opener);
    spawned.map_err(|e| StoreError::Index(e.to_string()))?;
    match opened.recv_timeout(OPEN_DEADLINE) {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreError::Index("it did not open in time".into())),
    }
}
