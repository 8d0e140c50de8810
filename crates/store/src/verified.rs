//! Verified byte ranges for readers that know nothing of BLAKE3.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bao_tree::io::EncodeError;
use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::io::sync::{ReadAt, encode_ranges_validated};
use bao_tree::{ChunkNum, ChunkRanges};

use crate::large::GROUP_BYTES;
use crate::outboard_io::ReadAhead;

/// Byte ranges as bao-tree's chunk ranges.
pub(crate) fn chunks(ranges: &[Range<u64>]) -> ChunkRanges {
    let mut all = ChunkRanges::empty();
    for range in ranges {
        all |= ChunkRanges::from(ChunkNum::full_chunks(range.start)..ChunkNum::chunks(range.end));
    }
    all
}

/// Groups of a file that were read into memory.
struct Window<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl ReadAt for Window<'_> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let skip = pos.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let here = skip.and_then(|skip| self.bytes.get(skip..)).unwrap_or_default();
        let len = here.len().min(buf.len());
        buf[..len].copy_from_slice(&here[..len]);
        Ok(len)
    }
}

/// The bytes of a range, clipped to the blob, once every group they lie in has verified. Allocates
/// memory for all of them.
pub(crate) fn verified(
    data: &File,
    tree: &PreOrderOutboard<ReadAhead>,
    range: Range<u64>,
) -> Result<Vec<u8>, EncodeError> {
    let size = tree.tree.size();
    let range = range.start..range.end.min(size);
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let start = range.start / GROUP_BYTES * GROUP_BYTES;
    let end = range.end.next_multiple_of(GROUP_BYTES).min(size);
    let length = |to: u64| usize::try_from(to - start).map_err(io::Error::other);
    let mut bytes = vec![0; length(end)?];
    // Read once, so that the verified bytes are those handed out, whatever happens to the file.
    FileExt::read_exact_at(data, &mut bytes, start)?;
    let groups = chunks(std::slice::from_ref(&(start..end)));
    encode_ranges_validated(&Window { start, bytes: &bytes }, tree, &groups, io::sink())?;
    bytes.truncate(length(range.end)?);
    bytes.drain(..length(range.start)?);
    Ok(bytes)
}
