//! The reserve: a file that is given up when the disk is full, so that what makes room works.
//!
//! Owns `reserve`. Promises that it is really allocated, that what is taken in never takes its
//! room, and that it is made again once there is room.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use super::{BLOCK, Space, allocated, below};
use crate::durable;
use crate::error::StoreError;

/// The name of the file in the data directory.
pub(super) const NAME: &str = "reserve";
/// Bytes of the reserve on a disk that is large enough: what sled writes when it is opened, and a
/// pack that is rewritten in part.
const MOST: u64 = 16 << 20;
/// The part of a small disk, or of a quota, that it may take.
const PART: u64 = 8;

/// Bytes that the reserve should have on a disk of this size.
pub(super) fn wanted(disk: Option<u64>, quota: Option<u64>) -> u64 {
    let all = disk.unwrap_or(u64::MAX).min(quota.unwrap_or(u64::MAX));
    (all / PART).min(MOST) / BLOCK * BLOCK
}

/// Bytes that the reserve has.
pub(super) fn bytes(root: &Path) -> u64 {
    fs::symlink_metadata(root.join(NAME)).map_or(0, |meta| allocated(&meta))
}

impl Space {
    /// Makes sure that there is room for what must work on a full disk: a start, a decision, a
    /// collection. Gives the reserve up if it has to.
    pub(crate) fn make_way(&self) {
        let short = self.last_room(&self.ledger()) < self.wanted_reserve;
        if short {
            self.give_up();
        }
    }

    /// Writes a decision of the user, on a full disk in the room of the reserve. `bytes`: the
    /// length of the file, which is replaced as a whole.
    pub(crate) fn decide(
        &self,
        bytes: u64,
        write: impl Fn() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // The old file stays until the new one is there.
        let taken = bytes.next_multiple_of(BLOCK) + BLOCK;
        if self.last_room(&self.ledger()) < taken {
            self.give_up();
        }
        self.count(taken);
        self.shrunk();
        match write() {
            Err(StoreError::DiskFull { .. }) if self.give_up() => write(),
            other => other,
        }
    }

    /// Gives the reserve up, and the index that a rebuild has set aside. Returns whether anything
    /// went.
    fn give_up(&self) -> bool {
        let (path, aside) = (self.root.join(NAME), self.root.join("index.bad"));
        let had = bytes(&self.root) + if aside.is_dir() { below(&aside) } else { 0 };
        if had == 0 {
            return false;
        }
        for gone in [fs::remove_file(&path), fs::remove_dir_all(&aside)] {
            match gone {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "the reserve could not be given up");
                }
                _ => {}
            }
        }
        {
            let mut ledger = self.ledger();
            (ledger.reserve, ledger.shrunk) = (bytes(&self.root), true);
        }
        tracing::warn!(
            bytes = had,
            "no room is left: the reserve was given up, and nothing is taken in until there is \
             room for it again"
        );
        true
    }

    /// Makes the reserve again, if there is room for it. It never takes the last room.
    pub(crate) fn restore(&self) {
        if self.wanted_reserve == 0 {
            // Media that cannot be written to.
            return;
        }
        let path = self.root.join(NAME);
        let mut ledger = self.ledger();
        if ledger.reserve > self.wanted_reserve + BLOCK {
            // It was made for a larger quota.
            cut(&path, self.wanted_reserve);
            ledger.reserve = bytes(&self.root);
        }
        let lacks = self.wanted_reserve.saturating_sub(ledger.reserve);
        let (room, _) = self.least(&ledger, ledger.promised_bytes);
        if lacks == 0 || room < lacks + self.wanted_reserve / 2 {
            return;
        }
        if let Err(error) = make(&path, self.wanted_reserve) {
            tracing::warn!(%error, "the reserve for a full disk could not be made");
            let _ = durable::remove_file(&path);
        }
        ledger.reserve = bytes(&self.root);
    }
}

fn cut(path: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(path);
    if let Err(error) = file.and_then(|file| file.set_len(bytes)) {
        tracing::warn!(%error, "the reserve for a full disk could not be made smaller");
    }
}

/// Allocates a file.
fn make(path: &Path, bytes: u64) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    match retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, bytes)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&file, bytes),
        other => other.map_err(io::Error::from),
    }
}

/// Writes a file where none can be allocated; bytes that do not compress, because some of those
/// file systems compress.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    let mut noise = vec![0; 1 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let mut at = 0;
    while at < bytes {
        let len = (bytes - at).min(noise.len() as u64);
        file.write_all_at(&noise[..usize::try_from(len).unwrap_or(0)], at)?;
        at += len;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_or_quota_has_a_small_reserve() {
        assert_eq!(wanted(None, None), MOST);
        assert_eq!(wanted(Some(1 << 40), Some(24 << 20)), 3 << 20);
        assert_eq!(wanted(Some(12 << 20), None), (12 << 20) / 8);
        assert_eq!(wanted(Some(100), None), 0);
    }

    #[test]
    fn the_reserve_is_really_allocated_and_given_up_once() {
        let dir = tempfile::tempdir().unwrap();
        make(&dir.path().join(NAME), 1 << 20).unwrap();
        assert!(bytes(dir.path()) >= 1 << 20);
        let file = tempfile::tempfile().unwrap();
        fill(&file, (1 << 20) + 100).unwrap();
        assert_eq!(file.metadata().unwrap().len(), (1 << 20) + 100);
        let space = Space::unlimited(dir.path());
        assert!(space.give_up());
        assert!(!space.give_up());
        assert_eq!(bytes(dir.path()), 0);
    }
}
