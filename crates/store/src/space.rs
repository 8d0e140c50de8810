//! The room on disk: what the archive has taken of it, what is promised, and what is left.
//!
//! Owns one ledger for everything below the data directory, in bytes that the file system has
//! allocated (as `du` counts): large blobs, packs, fetches and uploads in progress, the user's
//! decisions, the index. Promises that bytes are taken from the ledger before they are written, so
//! that writers who race for the last room never have more than the quota; that the ledger is never
//! below the disk; and that room is refused only after what was removed meanwhile has been counted.
//! Peers' claims about sizes take nothing: a fetch takes room as verified bytes come, unless it was
//! promised room, which only trusted fetches are ([`Promise`]).
//!
//! [`Space::make_way`] and [`Space::decide`] are for what must work on a full disk: they give up
//! the reserve (`reserve`). Sled writes when it likes, so the index is measured (`walk`), and what
//! it may write until then is added.

mod counted;
mod ledger;
mod promise;
mod reserve;
mod reserved;
mod usage;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perennial_manifest::BlobId;
use rustix::fs::statvfs;

use crate::error::StoreError;
use crate::layout::Layout;

pub(crate) use counted::Counted;
use ledger::Ledger;
pub use promise::Promise;
pub(crate) use reserved::Reserved;
pub use usage::Usage;
pub(crate) use walk::allocated;
use walk::{below, below_without};

/// Bytes that a file system allocates at a time.
pub(crate) const BLOCK: u64 = 4 << 10;
/// Growth of the index, by estimate, after which it is measured.
const INDEX_STEP: u64 = 1 << 20;
/// Bytes of the index on disk for each byte that is put, as measured with sled.
const INDEX_FACTOR: u64 = 4;
/// Room for what is not taken from the ledger before it is written: sled's segments of 512 KiB, and
/// entries of directories.
const SLACK: u64 = 2 << 20;
/// Bytes of a blob's tree that are allocated with each piece that arrives: its own pairs, and those
/// above it, each on a block of its own.
pub(crate) const OF_TREE: u64 = 96 << 10;
/// Room that stays for what is counted when it is written: the index, decisions.
const WRITTEN_SINCE: u64 = 1 << 20;
/// Walks take at most this part of the time, however often room is refused.
const WALKS: u32 = 30;
/// How long an answer of the file system about its free room counts, and while how much is free:
/// more than can be written in that time.
const SEEN: Duration = Duration::from_millis(100);
const AMPLE: u64 = 4 << 30;

/// What limits an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Quota,
    Disk,
}

/// The room of a store.
#[derive(Debug)]
pub(crate) struct Space {
    root: PathBuf,
    quota: Option<u64>,
    /// Bytes that the reserve should have; none on media that cannot be written to.
    wanted_reserve: u64,
    ledger: Mutex<Ledger>,
    walking: Mutex<()>,
    /// The last answer of the file system: on a network, each costs a round trip.
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Space {
    /// The room of a data directory. With a quota, counts what is there.
    pub(crate) fn open(layout: &Layout, quota: Option<u64>) -> Result<Arc<Self>, StoreError> {
        let root = layout.root().to_owned();
        let wanted_reserve = match layout.is_read_only() {
            true => 0,
            false => reserve::wanted(disk(&root).map(|(_, all)| all), quota),
        };
        let ledger = Mutex::new(Ledger {
            reserve: reserve::bytes(&root),
            shrunk: true,
            ..Ledger::default()
        });
        let (walking, seen) = (Mutex::default(), Mutex::default());
        let space = Self { root, quota, wanted_reserve, ledger, walking, seen };
        if quota.is_some() && !layout.is_read_only() {
            space.walk()?;
        }
        Ok(Arc::new(space))
    }

    /// The room of a directory that has no limit and no reserve.
    #[cfg(test)]
    pub(crate) fn unlimited(root: &Path) -> Arc<Self> {
        let (ledger, walking, seen) = (Mutex::default(), Mutex::default(), Mutex::default());
        let root = root.to_owned();
        Arc::new(Self { root, quota: None, wanted_reserve: 0, ledger, walking, seen })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for what is taken in, and what limits it. What the reserve lacks is no room.
    fn room(&self, ledger: &Ledger) -> (u64, Limit) {
        let kept = self.wanted_reserve.saturating_sub(ledger.reserve) + ledger.promised_bytes;
        let kept = kept + if self.quota.is_some() { WRITTEN_SINCE } else { 0 };
        self.least(ledger, kept)
    }

    /// Room for what must work on a full disk.
    fn last_room(&self, ledger: &Ledger) -> u64 {
        self.least(ledger, 0).0
    }

    fn least(&self, ledger: &Ledger, kept: u64) -> (u64, Limit) {
        let of_quota = self.quota.map_or(u64::MAX, |quota| quota.saturating_sub(ledger.used()));
        let free = self.free();
        let of_disk = free.saturating_sub(ledger.reserved);
        let limit = if of_quota <= of_disk { Limit::Quota } else { Limit::Disk };
        (of_quota.min(of_disk).saturating_sub(kept), limit)
    }

    /// Bytes free on the disk; without end, if the system does not say.
    fn free(&self) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, free)) = *seen
            && free > AMPLE
            && at.elapsed() < SEEN
        {
            return free;
        }
        let free = disk(&self.root).map_or(u64::MAX, |(free, _)| free);
        *seen = Some((Instant::now(), free));
        free
    }

    /// Calls `take` with the ledger if there is room for `bytes`. `path`: what is to be written.
    fn admit<T>(
        &self,
        bytes: u64,
        path: &Path,
        take: impl FnOnce(&mut Ledger) -> T,
    ) -> Result<T, StoreError> {
        self.admit_for(None, bytes, path, |ledger, _| take(ledger))
    }

    /// As [`Space::admit`], of a blob that may have been promised room; `take` is told how much of
    /// it is used.
    fn admit_for<T>(
        &self,
        blob: Option<&BlobId>,
        bytes: u64,
        path: &Path,
        take: impl FnOnce(&mut Ledger, u64) -> T,
    ) -> Result<T, StoreError> {
        let mut counted = false;
        loop {
            let mut ledger = self.ledger();
            let promised = blob.map_or(0, |blob| ledger.promised_to(blob));
            let (room, limit) = self.room(&ledger);
            if bytes <= room.saturating_add(promised) {
                let kept = promised.min(bytes);
                if let Some(blob) = blob {
                    ledger.keep_promise(blob, kept);
                }
                return Ok(take(&mut ledger, kept));
            }
            // What was removed since the last walk is room.
            let may_count = limit == Limit::Quota && !std::mem::replace(&mut counted, true);
            if may_count && ledger.is_worth_a_walk() {
                drop(ledger);
                self.walk()?;
                continue;
            }
            ledger.refused = Some((Instant::now(), bytes));
            return Err(self.no_room(&ledger, limit, bytes, path));
        }
    }

    fn no_room(&self, ledger: &Ledger, limit: Limit, needed: u64, path: &Path) -> StoreError {
        match (limit, self.quota) {
            (Limit::Quota, Some(quota)) => {
                StoreError::OverQuota { used: ledger.used(), quota, needed }
            }
            _ => StoreError::DiskFull { path: path.to_owned() },
        }
    }

    /// Takes room for bytes that are written to a file that stays.
    pub(crate) fn take(&self, bytes: u64, path: &Path) -> Result<(), StoreError> {
        self.admit(bytes, path, |ledger| ledger.add(bytes))
    }

    /// As [`Space::take`], for the bytes of a blob.
    pub(crate) fn take_for(
        &self,
        blob: &BlobId,
        bytes: u64,
        path: &Path,
    ) -> Result<(), StoreError> {
        self.admit_for(Some(blob), bytes, path, |ledger, _| ledger.add(bytes))
    }

    /// Whether there is room for bytes of a blob now, of which only claims are known. Takes none.
    pub(crate) fn check_for(
        &self,
        blob: &BlobId,
        bytes: u64,
        path: &Path,
    ) -> Result<(), StoreError> {
        let before = self.ledger().refused;
        let promised = self.ledger().promised_to(blob);
        self.check(bytes.saturating_sub(promised), path).inspect_err(|_| {
            // Whoever claims much does not make the archive full.
            let mut ledger = self.ledger();
            (ledger.claimed, ledger.refused) = (ledger.refused, before);
        })
    }

    /// Whether there is room for bytes now. Takes none.
    pub(crate) fn check(&self, bytes: u64, path: &Path) -> Result<(), StoreError> {
        self.admit(bytes, path, |_| ())
    }

    /// Counts bytes that were written, whether there was room or not.
    pub(crate) fn count(&self, bytes: u64) {
        self.ledger().add(bytes);
    }

    /// Notes that the ledger may be above the disk: files were removed.
    pub(crate) fn shrunk(&self) {
        self.ledger().shrunk = true;
    }

    /// Notes the bytes of the packs that are taken and not yet in their files.
    pub(crate) fn pack_has_unwritten(&self, bytes: u64) {
        self.ledger().unwritten = bytes;
    }

    /// Notes bytes that were put into the index, and measures it where that may be much.
    fn index_grew(&self, bytes: u64) {
        let mut ledger = self.ledger();
        ledger.index_since += bytes.saturating_mul(INDEX_FACTOR).saturating_add(BLOCK);
        if ledger.index_since >= INDEX_STEP {
            ledger.index = below(&self.root.join("index"));
            ledger.index_since = 0;
        }
    }

    /// Room that an index of this content takes, by estimate.
    pub(crate) fn of_index(bytes: u64) -> u64 {
        bytes.saturating_mul(INDEX_FACTOR)
    }

    /// Whether an index of the present size fits beside the one that is there.
    pub(crate) fn has_room_for_index(&self) -> bool {
        let index = below(&self.root.join("index"));
        self.last_room(&self.ledger()) > index.saturating_mul(2)
    }

    /// Whether bytes can be moved from one file to another that is written first.
    pub(crate) fn has_room_to_move(&self, bytes: u64) -> bool {
        let fits = || bytes <= self.last_room(&self.ledger());
        // What was moved before this left its old file.
        let is_above = || self.ledger().shrunk;
        fits() || (is_above() && self.walk().is_ok() && fits())
    }

    /// Counts all files. Those that are written meanwhile may count twice, until the next walk.
    pub(crate) fn walk(&self) -> Result<(), StoreError> {
        let _walking = self.walking.lock().unwrap_or_else(PoisonError::into_inner);
        let unwritten = {
            let mut ledger = self.ledger();
            (ledger.since_walk, ledger.shrunk) = (Some(0), false);
            ledger.unwritten
        };
        let started = Instant::now();
        // Temporary files are counted while they are written.
        let found = below_without(&self.root, &["index", "tmp", reserve::NAME]);
        let index = below(&self.root.join("index"));
        let mut ledger = self.ledger();
        let since = ledger.since_walk.take().unwrap_or_default();
        ledger.files = found? + walk::OF_DIRECTORIES + unwritten + since;
        (ledger.index, ledger.index_since) = (index, 0);
        ledger.walked = Some((Instant::now(), started.elapsed()));
        Ok(())
    }
}

/// Bytes free for this user and all bytes of the file system, if it says.
pub(crate) fn disk(dir: &Path) -> Option<(u64, u64)> {
    let stat = statvfs(dir).ok().filter(|stat| stat.f_blocks > 0)?;
    Some((stat.f_bavail.checked_mul(stat.f_frsize)?, stat.f_blocks.checked_mul(stat.f_frsize)?))
}
