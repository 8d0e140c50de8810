//! Fetches of large blobs in progress: bytes that arrived and verified survive a restart.
//!
//! Owns `partial/` (FORMAT.md, "Partial blobs"). Promises that a group counts only after it
//! verified against the blob's name, and that a fetch continues where it was cut. After a restart
//! the verified groups are found by verifying the file (once, at about 3 GB/s) and not from a
//! bitmap, which a crash may have left ahead of the bytes.

mod arrival;
mod encoding;
mod files;
mod groups;
mod progress;
mod sequence;

pub(crate) use encoding::decode_small;
pub(crate) use files::{list, paths};
pub use progress::FetchProgress;
pub(crate) use progress::ProgressChannels;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::io::sync::{DecodeResponseIter, valid_ranges};
use bao_tree::io::{BaoContentItem, EncodeError};
use bao_tree::{BaoTree, ChunkRanges};
use perennial_manifest::{BlobId, Sha256Digest};
use rustix::fs::OFlags;
use tokio::sync::watch;

use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::large::{GROUP, GROUP_BYTES, LargeBlobs, trailer};
use crate::outboard_io::ReadAhead;
use crate::space::{OF_TREE, Reserved, Space, allocated};
use crate::verified::{chunks, verified};
use crate::write_back::WriteBack;

use arrival::Arrival;
use encoding::decode_error;
use groups::Groups;
use sequence::Sequence;

/// Largest blob that is fetched. Bounds what a claimed size costs in memory (one bit per group: 8
/// MiB) and in tree.
pub const MAX_BLOB: u64 = 1 << 40;

/// A blob that is being fetched. Several peers may write to it at once.
#[derive(Debug)]
pub struct Partial {
    blob: BlobId,
    size: u64,
    data: PathBuf,
    outboard: PathBuf,
    data_file: Arc<File>,
    write_back: WriteBack,
    outboard_file: File,
    groups: Mutex<Groups>,
    sha256: Sequence,
    progress: Arc<watch::Sender<FetchProgress>>,
    space: Arc<Space>,
    /// Bytes of its files that the ledger has.
    counted: Mutex<u64>,
}

impl Partial {
    /// Opens or starts the fetch of a blob with a claimed size. A wrong size never completes,
    /// because the last group disproves it; a fetch without verified groups is restarted under
    /// another size.
    pub(crate) fn open(
        dir: &Path,
        blob: BlobId,
        size: u64,
        progress: Arc<watch::Sender<FetchProgress>>,
        space: Arc<Space>,
    ) -> Result<Self, StoreError> {
        let (data, outboard) = paths(dir, &blob, size);
        if size > MAX_BLOB {
            let reason = format!(
                "{blob} is said to have {size} bytes; blobs of more than {MAX_BLOB} are not fetched"
            );
            return Err(StoreError::Format { path: data, reason });
        }
        let open = |path: &Path| {
            let flags = OFlags::NOFOLLOW.bits().cast_signed();
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(flags)
                .open(path)
                .at(path)
        };
        let (data_file, outboard_file) = (Arc::new(open(&data)?), open(&outboard)?);
        let tree = BaoTree::new(size, GROUP);
        let known = data_file.metadata().at(&data)?.len();
        if known != size {
            outboard_file.set_len(0).at(&outboard)?;
            data_file.set_len(0).at(&data)?;
        }
        // Sparse: a claimed size takes no room until bytes that verify arrive.
        data_file.set_len(size).at(&data)?;
        outboard_file.set_len(tree.outboard_size()).at(&outboard)?;
        let partial = Self {
            blob,
            size,
            write_back: WriteBack::new(Arc::clone(&data_file), &data),
            data,
            outboard,
            data_file,
            outboard_file,
            groups: Mutex::new(Groups::new(size)),
            sha256: Sequence::default(),
            progress,
            space,
            counted: Mutex::default(),
        };
        *partial.counted() = partial.disk_bytes()?;
        if known == size {
            partial.find_verified()?;
        }
        Ok(partial)
    }

    /// The tree over a reader or writer of the outboard file.
    fn tree<T>(&self, data: T) -> PreOrderOutboard<T> {
        PreOrderOutboard {
            root: (*self.blob.as_bytes()).into(),
            tree: BaoTree::new(self.size, GROUP),
            data,
        }
    }

    fn counted(&self) -> MutexGuard<'_, u64> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that its files have on disk.
    fn disk_bytes(&self) -> Result<u64, StoreError> {
        let data = self.data_file.metadata().at(&self.data)?;
        let outboard = self.outboard_file.metadata().at(&self.outboard)?;
        Ok(allocated(&data) + allocated(&outboard))
    }

    /// Takes room for bytes that are about to arrive, and for the part of the tree above them.
    fn take_room(&self, bytes: u64) -> Result<Reserved, StoreError> {
        self.space.reserve_for(self.blob, bytes + bytes / 256 + OF_TREE, &self.data)
    }

    /// Tells the ledger what its files have on disk now.
    fn settle(&self) -> Result<(), StoreError> {
        let mut counted = self.counted();
        let now = self.disk_bytes()?;
        self.space.count(now.saturating_sub(*counted));
        *counted = now.max(*counted);
        Ok(())
    }

    fn find_verified(&self) -> Result<(), StoreError> {
        let tree = self.tree(ReadAhead::new(self.outboard_file.try_clone().at(&self.outboard)?));
        let mut groups = self.groups();
        for range in valid_ranges(&tree, &*self.data_file, &ChunkRanges::all()) {
            let range = range.at(&self.data)?;
            let first = range.start.to_bytes().div_ceil(GROUP_BYTES);
            let end = range.end.to_bytes();
            let end = if end >= self.size { groups.all } else { end / GROUP_BYTES };
            (first..end).for_each(|group| groups.set(group));
        }
        Ok(())
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blob.
    #[must_use]
    pub fn blob(&self) -> BlobId {
        self.blob
    }

    /// Its length in bytes; a claim until the fetch is complete.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that arrived and verified.
    #[must_use]
    pub fn have_bytes(&self) -> u64 {
        (self.groups().here * GROUP_BYTES).min(self.size)
    }

    /// Byte ranges that are missing: ascending, not adjacent, on group borders except for the end.
    #[must_use]
    pub fn missing(&self) -> Vec<Range<u64>> {
        let groups = self.groups();
        let mut missing: Vec<Range<u64>> = Vec::new();
        for group in (0..groups.all).filter(|group| !groups.has(*group)) {
            let (start, end) = (group * GROUP_BYTES, ((group + 1) * GROUP_BYTES).min(self.size));
            match missing.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => missing.push(start..end),
            }
        }
        missing
    }

    /// Whether all groups arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let groups = self.groups();
        groups.here == groups.all
    }

    /// Bytes from the start of a range that arrived and verified.
    pub(crate) fn readable(&self, range: Range<u64>) -> u64 {
        let range = range.start..range.end.min(self.size);
        let groups = self.groups();
        let mut end = range.start;
        while end < range.end && groups.has(end / GROUP_BYTES) {
            end = (end / GROUP_BYTES + 1) * GROUP_BYTES;
        }
        end.min(range.end).saturating_sub(range.start)
    }

    /// Publishes the progress to readers.
    pub(crate) fn tell_progress(&self, complete: bool) {
        self.progress.send_replace(FetchProgress { verified: self.have_bytes(), complete });
    }

    /// Reads the bao encoding of `ranges` from `input` and writes each group once it verified.
    /// `counted` receives the number of bytes that arrived since the last call, in the order of the
    /// ranges, once [`Partial::missing`] no longer lists them. A caller that finds the fetch
    /// complete there must make the blob at once, because no further call may follow. Reads at most
    /// the length of the encoding of these ranges, whatever the peer sends.
    ///
    /// # Errors
    /// [`StoreError::WrongBytes`] if the input does not verify, [`StoreError::Broken`] if it ends
    /// early, failures of the disk, and the error of `counted`. What verified before stays.
    pub fn decode(
        &self,
        ranges: &[Range<u64>],
        input: impl Read,
        counted: &mut dyn FnMut(u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let hash = || self.hash_arrived(scope, &ended);
            let outcome = self.take(ranges, input, Arrival::new(self, counted, &hash));
            ended.store(true, Ordering::Release);
            outcome
        })
    }

    fn take(
        &self,
        ranges: &[Range<u64>],
        input: impl Read,
        mut arrival: Arrival<'_>,
    ) -> Result<(), StoreError> {
        let chunks = chunks(ranges);
        let (root, tree) = ((*self.blob.as_bytes()).into(), BaoTree::new(self.size, GROUP));
        let mut items = DecodeResponseIter::new(root, tree, input, &chunks);
        let decoded =
            items.try_for_each(|item| match item.map_err(|e| decode_error(self.blob, e))? {
                BaoContentItem::Parent(parent) => arrival.pair(parent.node, &parent.pair),
                BaoContentItem::Leaf(leaf) => arrival.leaf(leaf.offset, &leaf.data),
            });
        // Groups verified before a stream broke off stay.
        arrival.count()?;
        self.settle()?;
        decoded
    }

    /// The bytes of a range, verified again on the way out; `None` if some are missing.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Option<Vec<u8>>, StoreError> {
        let mut groups = range.start / GROUP_BYTES..range.end.div_ceil(GROUP_BYTES);
        {
            let here = self.groups();
            if range.end > self.size || !groups.all(|group| here.has(group)) {
                return Ok(None);
            }
        }
        let tree = self.tree(ReadAhead::new(self.outboard_file.try_clone().at(&self.outboard)?));
        match verified(&self.data_file, &tree, range) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(EncodeError::Io(source)) => Err(StoreError::io(&self.data, source)),
            Err(_) => Err(StoreError::WrongBytes(self.blob)),
        }
    }

    /// Makes a complete fetch a blob of the store, with the SHA-256 that [`Partial::hash_rest`]
    /// computed. The caller fsyncs the directory.
    pub(crate) fn publish(
        &self,
        large: &LargeBlobs,
        sha256: Option<Sha256Digest>,
    ) -> Result<(), StoreError> {
        let end = BaoTree::new(self.size, GROUP).outboard_size();
        durable::write_at(&self.outboard_file, &trailer(self.size, sha256), end, &self.outboard)?;
        durable::sync_file(&self.outboard_file, &self.outboard)?;
        self.write_back.finish()?;
        self.settle()?;
        large.publish(&self.blob, &self.data, "blob", &self.outboard)?;
        large.remove_damaged(&self.blob)
    }
}
