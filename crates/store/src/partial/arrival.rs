//! What verified of one stream, on its way into the files of a fetch.

use std::io;
use std::os::unix::fs::FileExt;

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

/// Groups that count as here together.
const COUNTED: usize = 64;
/// Bytes of room that are taken at a time: a file that several streams fill lies together on disk, and is written at less
/// cost than one that takes its room page by page.
const ROOM: u64 = 4 << 20;

/// Groups from one stream, on their way into the files.
pub(super) struct Arrival<'a> {
    partial: &'a Partial,
    tree: PreOrderOutboard<WriteBehind<'a>>,
    /// Groups that are written; their pairs may not be yet, so they do not count yet.
    verified: Vec<u64>,
    /// Where the room ends that was taken.
    room: u64,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(partial: &'a Partial) -> Self {
        let tree = partial.tree(WriteBehind::new(&partial.outboard_file));
        Self { partial, tree, verified: Vec::new(), room: 0 }
    }

    /// Takes a pair of hashes that verified.
    pub(super) fn pair(&mut self, node: TreeNode, pair: &(Hash, Hash)) -> Result<(), StoreError> {
        self.tree.save(node, pair).at(&self.partial.outboard)
    }

    /// Writes bytes that verified.
    pub(super) fn leaf(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let (partial, len) = (self.partial, bytes.len() as u64);
        if offset + len > self.room {
            self.room = (offset + ROOM).min(partial.size);
            self.take_room(offset)?;
        }
        partial.data_file.write_all_at(bytes, offset).at(&partial.data)?;
        partial.write_back.wrote(len)?;
        // a leaf is one group, unless ranges were cut finer than groups
        if offset.is_multiple_of(GROUP_BYTES)
            && (offset + len == partial.size || len == GROUP_BYTES)
        {
            self.verified.push(offset / GROUP_BYTES);
        }
        if self.verified.len() == COUNTED { self.count() } else { Ok(()) }
    }

    /// Takes room for what follows bytes that verified. Not before: what a peer claims takes none.
    fn take_room(&self, from: u64) -> Result<(), StoreError> {
        let file = &*self.partial.data_file;
        let taken =
            retry_on_intr(|| fallocate(file, FallocateFlags::empty(), from, self.room - from));
        match taken {
            // not every file system can, and writing takes room as well
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => other.map_err(io::Error::from).at(&self.partial.data),
        }
    }

    /// Counts what verified as here, once its pairs are in the file, too: others may find the blob complete from then on.
    pub(super) fn count(&mut self) -> Result<(), StoreError> {
        self.tree.sync().at(&self.partial.outboard)?;
        let mut groups = self.partial.groups();
        self.verified.drain(..).for_each(|group| groups.set(group));
        drop(groups);
        self.partial.tell_progress(false);
        Ok(())
    }
}
