//! The bytes of a range out of its bao encoding: what readers that know nothing of BLAKE3 get, verified all the same.

use std::io::{self, Write};
use std::ops::Range;

use bao_tree::iter::{BaoChunk, PreOrderPartialChunkIterRef};
use bao_tree::{BaoTree, ChunkRanges};

use crate::large::GROUP;

/// Takes the encoding of the groups that a range touches, and passes on the bytes of the range alone.
pub(crate) struct Plain<'a, W> {
    items: PreOrderPartialChunkIterRef<'a>,
    range: Range<u64>,
    /// Bytes of the present item that did not come yet, and where they go; none for a pair of hashes.
    left: usize,
    at: Option<u64>,
    out: W,
}

impl<'a, W: Write> Plain<'a, W> {
    /// `chunks` are those of whole groups, and what is encoded.
    pub(crate) fn new(size: u64, chunks: &'a ChunkRanges, range: Range<u64>, out: W) -> Self {
        let items = BaoTree::new(size, GROUP).ranges_pre_order_chunks_iter_ref(chunks, 0);
        Self { items, range, left: 0, at: None, out }
    }

    fn next_item(&mut self) -> io::Result<()> {
        match self.items.next() {
            Some(BaoChunk::Parent { .. }) => (self.left, self.at) = (64, None),
            Some(BaoChunk::Leaf { start_chunk, size, .. }) => {
                (self.left, self.at) = (size, Some(start_chunk.to_bytes()));
            }
            None => return Err(io::Error::other("an encoding is longer than its ranges")),
        }
        Ok(())
    }
}

impl<W: Write> Write for Plain<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.left == 0 {
            self.next_item()?;
        }
        let taken = bytes.len().min(self.left);
        if let Some(at) = self.at {
            let within = |offset: u64| {
                let offset = offset.clamp(at, at + taken as u64) - at;
                usize::try_from(offset).unwrap_or(taken)
            };
            let (from, to) = (within(self.range.start), within(self.range.end));
            self.out.write_all(bytes.get(from..to).unwrap_or_default())?;
            self.at = Some(at + taken as u64);
        }
        self.left -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
