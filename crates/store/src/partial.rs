//! Fetches under way of large blobs: bytes that arrived and verified, kept over a restart.
//!
//! Owns `partial/` (FORMAT.md, "Partial blobs"). Promises that a group counts as here only after it verified against the
//! blob's name, and that a fetch goes on where it was cut. What is here is found again by verifying the file, not
//! by trusting a bitmap that a crash may have left ahead of the bytes: that reads the part file once, at 3 GB a second.

mod arrival;
mod groups;
mod progress;

pub use progress::FetchProgress;
pub(crate) use progress::ProgressChannels;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::io::sync::{DecodeResponseIter, valid_ranges};
use bao_tree::io::{BaoContentItem, DecodeError, EncodeError};
use bao_tree::{BaoTree, ChunkNum, ChunkRanges};
use perennial_manifest::BlobId;
use rustix::fs::OFlags;
use tokio::sync::watch;

use crate::blobs::verified;
use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::large::{GROUP, GROUP_BYTES, LargeBlobs, trailer};
use crate::outboard_io::ReadAhead;
use crate::write_back::WriteBack;

use arrival::Arrival;
use groups::Groups;

/// Largest blob that is fetched: bounds what a claimed size costs in memory (one bit a group: 8 MiB) and in tree.
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
    progress: Arc<watch::Sender<FetchProgress>>,
}

/// The chunk ranges of some byte ranges, as bao-tree counts them.
pub(crate) fn chunks(ranges: &[Range<u64>]) -> ChunkRanges {
    let mut all = ChunkRanges::empty();
    for range in ranges {
        all |= ChunkRanges::from(ChunkNum::full_chunks(range.start)..ChunkNum::chunks(range.end));
    }
    all
}

pub(crate) fn paths(dir: &Path, blob: &BlobId, size: u64) -> (PathBuf, PathBuf) {
    let hex = blob.to_hex();
    (dir.join(format!("{hex}-{size}.data")), dir.join(format!("{hex}-{size}.obao")))
}

impl Partial {
    /// Opens or starts the fetch of a blob that is said to have `size` bytes. A wrong size never completes: the last
    /// group proves it, and a fetch that holds nothing verified yet is started anew with another size.
    pub(crate) fn open(
        dir: &Path,
        blob: BlobId,
        size: u64,
        progress: Arc<watch::Sender<FetchProgress>>,
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
        // sparse: a claimed size takes no room until bytes that verify arrive
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
            progress,
        };
        if known == size {
            partial.find_verified()?;
        }
        Ok(partial)
    }

    /// The tree over some reader or writer of the outboard file.
    fn tree<T>(&self, data: T) -> PreOrderOutboard<T> {
        PreOrderOutboard {
            root: (*self.blob.as_bytes()).into(),
            tree: BaoTree::new(self.size, GROUP),
            data,
        }
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

    /// Which blob.
    #[must_use]
    pub fn blob(&self) -> BlobId {
        self.blob
    }

    /// Its length in bytes, as claimed until it is complete.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Verified bytes that are here.
    #[must_use]
    pub fn have_bytes(&self) -> u64 {
        (self.groups().here * GROUP_BYTES).min(self.size)
    }

    /// Byte ranges that are not here yet: ascending, apart, on group borders but for the end.
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

    /// Whether every group is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let groups = self.groups();
        groups.here == groups.all
    }

    /// Bytes from the start of a range that are here and verified.
    pub(crate) fn readable(&self, range: Range<u64>) -> u64 {
        let range = range.start..range.end.min(self.size);
        let groups = self.groups();
        let mut end = range.start;
        while end < range.end && groups.has(end / GROUP_BYTES) {
            end = (end / GROUP_BYTES + 1) * GROUP_BYTES;
        }
        end.min(range.end).saturating_sub(range.start)
    }

    /// Tells readers how far the fetch is.
    pub(crate) fn tell_progress(&self, complete: bool) {
        self.progress.send_replace(FetchProgress { verified: self.have_bytes(), complete });
    }

    /// Reads the bao encoding of `ranges` from `input` and writes each group once it verified. `arrived` hears the bytes of
    /// every good group. Never reads further than the encoding of these ranges can go, whatever the peer sends.
    pub fn decode(
        &self,
        ranges: &[Range<u64>],
        input: impl Read,
        arrived: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        let mut arrival = Arrival::new(self);
        let chunks = chunks(ranges);
        let (root, tree) = ((*self.blob.as_bytes()).into(), BaoTree::new(self.size, GROUP));
        let mut items = DecodeResponseIter::new(root, tree, input, &chunks);
        let decoded =
            items.try_for_each(|item| match item.map_err(|e| decode_error(self.blob, e))? {
                BaoContentItem::Parent(parent) => arrival.pair(parent.node, &parent.pair),
                BaoContentItem::Leaf(leaf) => {
                    arrival.leaf(leaf.offset, &leaf.data)?;
                    arrived(leaf.data.len() as u64);
                    Ok(())
                }
            });
        // what verified before a stream broke off stays
        arrival.count()?;
        decoded
    }

    /// The bytes of a range, verified again on their way; none: not all of it is here.
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

    /// Makes a complete blob one of the store's; the directory is fsynced by the caller.
    pub(crate) fn publish(&self, large: &LargeBlobs) -> Result<(), StoreError> {
        let end = BaoTree::new(self.size, GROUP).outboard_size();
        durable::write_at(&self.outboard_file, &trailer(self.size, None), end, &self.outboard)?;
        durable::sync_file(&self.outboard_file, &self.outboard)?;
        self.write_back.finish()?;
        large.publish(&self.blob, &self.data, "blob", &self.outboard)?;
        large.remove_damaged(&self.blob)
    }

    /// Gives the fetch up and frees its room.
    pub(crate) fn discard(dir: &Path, blob: &BlobId) -> Result<(), StoreError> {
        let hex = blob.to_hex();
        for file in fs::read_dir(dir).at(dir)? {
            let path = file.at(dir)?.path();
            if path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&hex))
            {
                durable::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Reads the bao encoding of a whole small blob and verifies it.
pub(crate) fn decode_small(
    blob: BlobId,
    size: u64,
    input: impl Read,
) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    for item in DecodeResponseIter::new(
        (*blob.as_bytes()).into(),
        BaoTree::new(size, GROUP),
        input,
        &ChunkRanges::all(),
    ) {
        if let BaoContentItem::Leaf(leaf) = item.map_err(|e| decode_error(blob, e))? {
            bytes.extend_from_slice(&leaf.data);
        }
    }
    Ok(bytes)
}

/// Whose fault it was: the bytes did not verify, or the stream ended.
fn decode_error(blob: BlobId, error: DecodeError) -> StoreError {
    match error {
        DecodeError::ParentHashMismatch(_) | DecodeError::LeafHashMismatch(_) => {
            StoreError::WrongBytes(blob)
        }
        DecodeError::ParentNotFound(_) | DecodeError::LeafNotFound(_) => {
            StoreError::Broken { blob, source: io::ErrorKind::UnexpectedEof.into() }
        }
        DecodeError::Io(source) => StoreError::Broken { blob, source },
    }
}

/// The fetches in a directory and when each was last written to, in Unix seconds.
pub(crate) fn list(dir: &Path) -> Result<Vec<(BlobId, u64)>, StoreError> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir).at(dir)? {
        let path = file.at(dir)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let stem = stem.split('-').next().unwrap_or_default();
        if path.extension().is_some_and(|ext| ext == "data")
            && let Ok(blob) = format!("blake3:{stem}").parse()
        {
            let modified = fs::metadata(&path).and_then(|meta| meta.modified()).at(&path)?;
            let age = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            found.push((blob, age.as_secs()));
        }
    }
    Ok(found)
}
