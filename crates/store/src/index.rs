//! The index on disk: sled 0.34.7, used so that none of its measured faults can lose data.
//!
//! The only file that names sled. Opens it on a thread of its own under `catch_unwind` with a
//! deadline, after removing the half-written snapshots that would keep it from ever opening again;
//! makes `flush` durable with an additional fsync; keeps values small and batches short; treats a
//! panic as an error and stops at the first one. The generation number is kept in the index and in
//! a file outside it: an index that lost its tail has the lower one and is not trusted.

use std::fs::{self, File};
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::index_trait::{Change, MAX_VALUE, MetaIndex, Visit};

/// Page cache of sled, in bytes. Advisory: sled may exceed it, depending on how randomly keys
/// arrive.
const CACHE_BYTES: u64 = 8 << 20;
/// Most changes applied at once; longer batches raise sled's memory use and flush time.
const BATCH: usize = 256;
/// How long sled may take to open.
const OPEN_DEADLINE: Duration = Duration::from_secs(120);
/// How long an index whose last handle is still being dropped is waited for, and how often it is
/// tried again.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// Errors of the system that say nothing about the index: it lacks a resource or a permission, or
/// the disk does not answer.
const INNOCENT: [Errno; 18] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::AGAIN,
    Errno::ACCESS,
    Errno::PERM,
    Errno::IO,
    Errno::NOMEM,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::ROFS,
    Errno::INTR,
    Errno::BUSY,
    Errno::TIMEDOUT,
    Errno::STALE,
    Errno::NODEV,
    Errno::NXIO,
    Errno::NOLCK,
    Errno::NOBUFS,
];
const GENERATION_KEY: &[u8] = b"M-generation";

/// Makes one line in the log of a panic of sled, which the store catches: sled panics where a disk
/// fails or its pages are damaged. Other panics are shown as before. For programs, at their start.
pub fn log_index_panics() {
    let other = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        match panic.location().filter(|at| at.file().contains("sled-")) {
            Some(at) => tracing::error!(%at, "the index gave up"),
            None => other(panic),
        }
    }));
}

/// The index in a directory.
#[derive(Debug)]
pub(crate) struct SledIndex {
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
    dir: PathBuf,
    generation_file: PathBuf,
    failed: AtomicBool,
}

impl SledIndex {
    /// Opens the index, or tells why it is not trusted; the caller then moves it aside and
    /// rebuilds.
    pub(crate) fn open(dir: &Path, generation_file: &Path) -> Result<Self, StoreError> {
        remove_half_snapshots(dir)?;
        let db = open_guarded(dir)?;
        let index = Self {
            db: Some(db),
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

    /// Calls sled, which panics when it meets some kinds of damaged pages. Remembers the first
    /// failure: from then on nothing is written through this handle.
    fn guarded<T>(&self, ask: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        let closed = || StoreError::Index("it is closed".to_owned());
        let db = self.db.as_ref().ok_or_else(closed)?;
        let failure = match std::panic::catch_unwind(AssertUnwindSafe(|| ask(db))) {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => failure(&self.dir, error),
            Err(_) => panicked(&self.dir, "sled panicked"),
        };
        self.failed.store(true, Ordering::SeqCst);
        Err(failure)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.guarded(|db| db.flush())?;
        let db = self.dir.join("db");
        let synced = File::open(&db)
            .at(&db)
            .and_then(|file| durable::sync_file(&file, &db))
            .and_then(|()| durable::sync_dir(&self.dir));
        if synced.is_err() {
            self.failed.store(true, Ordering::SeqCst);
        }
        synced
    }
}

impl Drop for SledIndex {
    /// Sled flushes when it is dropped, and panics if the disk is full or gone.
    fn drop(&mut self) {
        let db = self.db.take();
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

impl MetaIndex for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.guarded(|db| db.get(key))?.map(|value| value.to_vec()))
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::Index("an earlier write failed".into()));
        }
        let generation = self.generation()? + 1;
        // The last write of every group, so that a lost tail shows.
        for group in changes.chunks(BATCH) {
            let mut batch = sled::Batch::default();
            for change in group {
                match change {
                    Change::Put(key, value) if value.len() > MAX_VALUE => {
                        let table = String::from_utf8_lossy(&key[..1]);
                        let reason =
                            format!("a value of {} bytes under {table} is too long", value.len());
                        return Err(StoreError::Format { path: self.dir.clone(), reason });
                    }
                    Change::Put(key, value) => batch.insert(&key[..], &value[..]),
                    Change::Remove(key) => batch.remove(&key[..]),
                }
            }
            batch.insert(GENERATION_KEY, &generation.to_be_bytes());
            self.guarded(|db| db.apply_batch(batch))?;
        }
        self.sync()?;
        durable::write_file(&self.generation_file, format!("{generation}\n").as_bytes())
    }

    fn walk(&self, prefix: &[u8], from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let start = prefix.max(from);
        let mut rows = self.guarded(|db| Ok(db.range(start..)))?;
        while let Some((key, value)) = self.guarded(|_| rows.next().transpose())? {
            if !key.starts_with(prefix) || !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        self.guarded(|db| db.size_on_disk()).unwrap_or(0)
    }
}

/// Removes half-written snapshots. When killed while opening, sled leaves one that it later takes
/// for the newest and fails on for ever (sled issue 1527).
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

/// Whether an error of the system leaves it open whether an index is good.
fn is_innocent(error: &io::Error) -> bool {
    let code = error.raw_os_error().or_else(|| code_in(&error.to_string()));
    INNOCENT.iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// The system's code in the text of an error that sled has copied, which keeps the text alone.
fn code_in(text: &str) -> Option<i32> {
    let (_, rest) = text.split_once("Os { code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Whether another handle still has the index open. Sled says so in words alone.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.raw_os_error().is_none()
        && error.to_string().contains("could not acquire lock"))
}

/// What an error of sled means: damage, unless it is the system's and says nothing about the index.
fn failure(dir: &Path, error: sled::Error) -> StoreError {
    match error {
        error if is_locked(&error) => {
            StoreError::io(dir, io::Error::new(io::ErrorKind::WouldBlock, error.to_string()))
        }
        sled::Error::Io(error) if is_innocent(&error) => StoreError::io(dir, error),
        error => StoreError::Index(error.to_string()),
    }
}

/// What a panic of sled means: damage, unless the system cannot open a file at this moment either,
/// which sled does not expect.
fn panicked(dir: &Path, what: &str) -> StoreError {
    match File::open(dir).and_then(|_| File::open(dir.join("db"))) {
        Err(error) if is_innocent(&error) => StoreError::io(dir, error),
        _ => StoreError::Index(what.to_owned()),
    }
}

/// Opens the index, once the last handle to it is dropped.
fn open_guarded(dir: &Path) -> Result<sled::Db, StoreError> {
    let give_up = Instant::now() + LOCK_DEADLINE;
    loop {
        match try_open(dir) {
            Err(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::WouldBlock && Instant::now() < give_up =>
            {
                std::thread::sleep(LOCK_RETRY);
            }
            outcome => return outcome,
        }
    }
}

fn try_open(dir: &Path) -> Result<sled::Db, StoreError> {
    let (sender, opened) = mpsc::sync_channel(1);
    let (index, at) = (dir.to_owned(), dir.to_owned());
    let opener = move || {
        let open = || {
            let db = sled::Config::new()
                .path(at)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(500))
                .use_compression(false)
                .open()?;
            // Damage shows when pages are read, so every page is read before the index is trusted.
            for row in db.iter() {
                row?;
            }
            sled::Result::Ok(db)
        };
        let outcome = match std::panic::catch_unwind(open) {
            Ok(Ok(db)) => Ok(db),
            Ok(Err(error)) => Err(failure(&index, error)),
            Err(_) => Err(panicked(&index, "sled panicked while it opened")),
        };
        let _ = sender.send(outcome);
    };
    let spawned = std::thread::Builder::new().name("open-index".into()).spawn(opener);
    spawned.map_err(|error| StoreError::io(dir, error))?;
    match opened.recv_timeout(OPEN_DEADLINE) {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreError::Index("it did not open in time".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than the cache holds, so that pages are read from the file again.
    const ROWS: u32 = 40_000;

    #[test]
    fn pages_damaged_while_open_are_an_error_and_not_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let (at, generation) = (dir.path().join("index"), dir.path().join("generation"));
        let index = SledIndex::open(&at, &generation).unwrap();
        let row = |n: u32| {
            let noise = blake3::Hasher::new().update(&n.to_be_bytes()).finalize_xof();
            let mut value = vec![0; 1500];
            { noise }.fill(&mut value);
            Change::Put([b"R", &n.to_be_bytes()[..]].concat(), value)
        };
        index.apply(&(0..ROWS).map(row).collect::<Vec<_>>()).unwrap();
        let db = File::options().write(true).open(at.join("db")).unwrap();
        db.set_len(db.metadata().unwrap().len() / 3).unwrap();
        let walked = index.walk(b"R", b"R", &mut |_, _| true);
        assert!(matches!(walked, Err(StoreError::Index(_))), "{walked:?}");
        assert!(
            matches!(index.apply(&[row(1)]), Err(StoreError::Index(_))),
            "nothing is written after it"
        );
    }

    #[test]
    fn errors_of_the_system_are_told_from_damage() {
        let dir = Path::new("index");
        for errno in INNOCENT {
            let error = failure(dir, sled::Error::Io(errno.into()));
            let is_full = matches!(errno, Errno::NOSPC | Errno::DQUOT | Errno::ROFS);
            assert!(matches!(error, StoreError::Io { .. }) || is_full, "{errno}: {error:?}");
            assert!(!matches!(error, StoreError::Index(_)), "{errno}: {error:?}");
            let system = io::Error::from(errno);
            let copied = io::Error::new(system.kind(), format!("{system:?}"));
            let error = failure(dir, sled::Error::Io(copied));
            assert!(!matches!(error, StoreError::Index(_)), "{errno}: {error:?}");
        }
        let damage = [
            sled::Error::Io(io::ErrorKind::InvalidData.into()),
            sled::Error::Io(io::ErrorKind::UnexpectedEof.into()),
            sled::Error::Io(Errno::NOENT.into()),
            sled::Error::ReportableBug("a page".to_owned()),
        ];
        for error in damage {
            assert!(matches!(failure(dir, error), StoreError::Index(_)));
        }
    }

    #[test]
    fn an_index_that_is_still_open_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (at, generation) = (dir.path().join("index"), dir.path().join("generation"));
        let first = SledIndex::open(&at, &generation).unwrap();
        let refused = try_open(&at);
        assert!(
            matches!(&refused, Err(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::WouldBlock),
            "{refused:?}"
        );
        std::thread::scope(|scope| {
            let second = scope.spawn(|| SledIndex::open(&at, &generation));
            drop(first);
            second.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_panic_is_an_error_and_ends_all_writing() {
        let dir = tempfile::tempdir().unwrap();
        let index =
            SledIndex::open(&dir.path().join("index"), &dir.path().join("generation")).unwrap();
        let put = || index.apply(&[Change::Put(b"Rkey".to_vec(), b"value".to_vec())]);
        put().unwrap();
        assert!(matches!(
            index.guarded::<()>(|_| panic!("as on a damaged page")),
            Err(StoreError::Index(_))
        ));
        assert!(put().is_err());
    }
}
