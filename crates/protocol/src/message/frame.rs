//! Frames on a stream: a `u32` little-endian length, then that many bytes.
//!
//! Pure: the caller does the I/O. A length over its bound is an error before any memory is
//! allocated for it.

use super::MessageError;

/// The length prefix of a frame.
///
/// # Errors
/// When the length is over `limit`, or does not fit the prefix.
pub fn frame_prefix(length: usize, limit: usize) -> Result<[u8; 4], MessageError> {
    let fits = u32::try_from(length).ok().filter(|_| length <= limit);
    fits.map(u32::to_le_bytes).ok_or(MessageError::TooLong { length, limit })
}

/// Reads the length prefix of a frame: the number of bytes that follow.
///
/// # Errors
/// When the length is over `limit`.
pub fn frame_length(prefix: [u8; 4], limit: usize) -> Result<usize, MessageError> {
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(MessageError::TooLong { length, limit });
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::{frame_length, frame_prefix};

    #[test]
    fn a_length_survives_a_round_trip_and_stays_within_its_bound() {
        for length in [0, 1, 255, 256, 65_536] {
            let prefix = frame_prefix(length, 65_536).unwrap();
            assert_eq!(frame_length(prefix, 65_536), Ok(length));
            assert_eq!(frame_length(prefix, length), Ok(length));
            assert!(length == 0 || frame_length(prefix, length - 1).is_err());
        }
        assert!(frame_prefix(65_537, 65_536).is_err());
        assert!(frame_length([0xff; 4], 8 << 20).is_err());
    }
}
