//! Verified groups of one stream, on their way into the files of a fetch.

use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use bao_tree::TreeNode;
use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::io::sync::OutboardMut;
use blake3::Hash;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use super::Partial;
use crate::error::{AtPath, StoreError};
use crate::large::GROUP_BYTES;
use crate::outboard_io::WriteBehind;
use crate::space::Reserved;

/// Groups that are counted together.
const COUNTED: usize = 64;
/// Longest time between two counts while groups arrive: a slow peer's bytes count as well.
const COUNT_AFTER: Duration = Duration::from_millis(200);
/// Bytes allocated at a time. A file that several streams fill stays contiguous on disk, and costs
/// less to write than one that is extended page by page.
const ROOM: u64 = 4 << 20;

/// Groups from one stream, on their way into the files.
pub(super) struct Arrival<'a> {
    partial: &'a Partial,
    tree: PreOrderOutboard<WriteBehind<'a>>,
    /// Groups that are written but do not count yet, because their pairs may not be in the file.
    verified: Vec<u64>,
    /// Bytes written since the last count.
    written: u64,
    last_count: Instant,
    /// Told of bytes that count.
    counted: &'a mut dyn FnMut(u64) -> Result<(), StoreError>,
    /// Hashes bytes that count.
    hash: &'a dyn Fn(),
    /// End of the allocated room.
    room: u64,
    /// What is taken of the disk and not yet written.
    taken: Option<Reserved>,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(
        partial: &'a Partial,
        counted: &'a mut dyn FnMut(u64) -> Result<(), StoreError>,
        hash: &'a dyn Fn(),
    ) -> Self {
        Self {
            partial,
            tree: partial.tree(WriteBehind::new(&partial.outboard_file)),
            verified: Vec::new(),
            written: 0,
            last_count: Instant::now(),
            counted,
            hash,
            room: 0,
            taken: None,
        }
    }

    /// Takes a verified pair of hashes.
    pub(super) fn pair(&mut self, node: TreeNode, pair: &(Hash, Hash)) -> Result<(), StoreError> {
        self.tree.save(node, pair).at(&self.partial.outboard)
    }

    /// Writes verified bytes.
    pub(super) fn leaf(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let (partial, len) = (self.partial, bytes.len() as u64);
        if offset + len > self.room {
            self.room = (offset + ROOM).min(partial.size);
            self.take_room(offset)?;
        }
        partial.data_file.write_all_at(bytes, offset).at(&partial.data)?;
        partial.write_back.wrote(len)?;
        self.written += len;
        // A leaf is one group, unless ranges were cut finer than groups.
        if offset.is_multiple_of(GROUP_BYTES)
            && (offset + len == partial.size || len == GROUP_BYTES)
        {
            self.verified.push(offset / GROUP_BYTES);
        }
        let is_due = self.verified.len() == COUNTED || self.last_count.elapsed() >= COUNT_AFTER;
        if is_due { self.count() } else { Ok(()) }
    }

    /// Allocates room after the verified bytes. Not earlier: a peer's claims take none.
    fn take_room(&mut self, from: u64) -> Result<(), StoreError> {
        // What came before is in the files, but for the last pairs.
        self.tree.sync().at(&self.partial.outboard)?;
        self.partial.settle()?;
        self.taken = None;
        let (file, len) = (&*self.partial.data_file, self.room - from);
        let taken = self.partial.take_room(len)?;
        match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), from, len)) {
            // Not every file system can, and writing takes room as well.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            other => {
                other.map_err(io::Error::from).at(&self.partial.data)?;
                self.partial.settle()?;
                taken.settled(len);
            }
        }
        self.taken = Some(taken);
        Ok(())
    }

    /// Counts the verified groups once their pairs are in the file too: from then on readers may
    /// find the blob complete. Reports them afterwards, so that no reader learns of bytes that do
    /// not count.
    pub(super) fn count(&mut self) -> Result<(), StoreError> {
        self.tree.sync().at(&self.partial.outboard)?;
        let mut groups = self.partial.groups();
        self.verified.drain(..).for_each(|group| groups.set(group));
        drop(groups);
        self.partial.tell_progress(false);
        (self.hash)();
        self.last_count = Instant::now();
        match std::mem::take(&mut self.written) {
            0 => Ok(()),
            bytes => (self.counted)(bytes),
        }
    }
}
