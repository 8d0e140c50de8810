//! Blob requests: the one frame that a requester sends on a blob stream.

use perennial_manifest::BlobId;
use serde::{Deserialize, Serialize};

use super::{
    Bounded, GROUP, MAX_BLOB_ITEMS, MAX_BLOB_REQUEST, MAX_RANGES, MessageError, decode, encode,
    frame_prefix,
};

/// Byte ranges of one blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRange {
    /// The blob's digest.
    pub blob: BlobId,
    /// `[start, end)` in bytes: ascending, disjoint, not empty. Each start is a multiple of
    /// [`GROUP`], and each end too unless it is the blob's end. At most [`MAX_RANGES`].
    pub ranges: Bounded<(u64, u64), MAX_RANGES>,
}

impl BlobRange {
    /// The number of bytes requested.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ranges
            .iter()
            .fold(0, |sum, (start, end)| sum.saturating_add(end.saturating_sub(*start)))
    }

    fn is_sound(&self) -> bool {
        let mut last = 0;
        !self.ranges.is_empty()
            && self.ranges.iter().all(|&(start, end)| {
                let sound = start >= last && start < end && start % GROUP == 0;
                last = end;
                sound
            })
    }
}

/// The frame that a requester sends on a blob stream before it closes its side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRequest {
    /// The ranges, answered in this order. At most [`MAX_BLOB_ITEMS`].
    pub items: Bounded<BlobRange, MAX_BLOB_ITEMS>,
}

impl BlobRequest {
    /// The number of bytes requested.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().fold(0, |sum, item| sum.saturating_add(item.bytes()))
    }

    /// Encodes the frame: length prefix, then the request.
    ///
    /// # Errors
    /// When the frame is longer than [`MAX_BLOB_REQUEST`], or names invalid ranges.
    pub fn encode_frame(&self) -> Result<Vec<u8>, MessageError> {
        if !self.items.iter().all(BlobRange::is_sound) {
            return Err(MessageError::Ranges);
        }
        let body = encode(self, MAX_BLOB_REQUEST)?;
        let mut frame = frame_prefix(body.len(), MAX_BLOB_REQUEST)?.to_vec();
        frame.extend_from_slice(&body);
        Ok(frame)
    }

    /// Decodes the body of a frame, without its length prefix
    /// ([`frame_length`](crate::frame_length) checks that).
    ///
    /// # Errors
    /// When the body is too long, not canonical, over a bound, or names invalid ranges.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let request: Self = decode(body, MAX_BLOB_REQUEST)?;
        if request.items.iter().all(BlobRange::is_sound) {
            Ok(request)
        } else {
            Err(MessageError::Ranges)
        }
    }
}

#[cfg(test)]
mod tests {
    use perennial_manifest::BlobId;

    use super::{BlobRange, BlobRequest};
    use crate::message::{Bounded, GROUP, MessageError};

    fn request(ranges: &[(u64, u64)]) -> BlobRequest {
        let item =
            BlobRange { blob: BlobId::of(b"x"), ranges: Bounded::first_of(ranges.iter().copied()) };
        BlobRequest { items: Bounded::first_of([item]) }
    }

    #[test]
    fn a_frame_is_a_length_and_the_request() {
        let sound = request(&[(0, GROUP), (3 * GROUP, 3 * GROUP + 5)]);
        let frame = sound.encode_frame().unwrap();
        let length = u32::from_le_bytes(frame[..4].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
        assert_eq!(BlobRequest::decode(&frame[4..]).unwrap(), sound);
        assert_eq!(sound.bytes(), GROUP + 5);
    }

    #[test]
    fn unsound_ranges_are_refused() {
        for ranges in [
            &[][..],
            &[(0, 0)],
            &[(5, GROUP)],
            &[(GROUP, 0)],
            &[(0, 2 * GROUP), (GROUP, 3 * GROUP)],
        ] {
            let unsound = request(ranges);
            let bytes = serde_ipld_dagcbor::to_vec(&unsound).unwrap();
            assert_eq!(BlobRequest::decode(&bytes), Err(MessageError::Ranges), "{ranges:?}");
        }
    }
}
