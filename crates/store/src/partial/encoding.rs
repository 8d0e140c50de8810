//! The bao encoding of a whole small blob, and the meaning of decoding errors.

use std::io::{self, Read};

use bao_tree::io::sync::DecodeResponseIter;
use bao_tree::io::{BaoContentItem, DecodeError};
use bao_tree::{BaoTree, ChunkRanges};
use perennial_manifest::BlobId;

use crate::error::StoreError;
use crate::large::GROUP;

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

/// Tells whether the bytes did not verify or the stream ended.
pub(super) fn decode_error(blob: BlobId, error: DecodeError) -> StoreError {
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
