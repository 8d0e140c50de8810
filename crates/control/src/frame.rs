//! Frames: a length (u32, little-endian) followed by that many bytes of JSON.
//!
//! The length is checked against its bound first; memory then grows only with the bytes that
//! arrive.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest request, in bytes. Thousands of long paths fit.
pub const MAX_REQUEST: u32 = 4 * 1024 * 1024;
/// Longest reply, in bytes. Whatever there may be any number of is sent as rows, one a reply.
pub const MAX_REPLY: u32 = 16 * 1024 * 1024;
/// Bytes allocated before the first byte has arrived.
const FIRST_ALLOCATION: u32 = 64 * 1024;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the variants document their fields")]
pub enum FrameError {
    /// The frame has, or claims to have, `length` bytes; `limit` are allowed.
    #[error("a frame of {length} bytes exceeds the limit of {limit}")]
    TooLong { length: u64, limit: u32 },
    /// The stream ended inside a frame.
    #[error("the connection ended in the middle of a frame")]
    Cut,
    /// The frame does not parse as JSON of this protocol; the other end may be of another version.
    #[error("a frame does not parse: {0}")]
    Json(#[from] serde_json::Error),
    /// The socket could not be read or written.
    #[error("control socket: {0}")]
    Io(#[from] std::io::Error),
}

/// Reads one frame; none when the stream ended before a frame began.
pub(crate) async fn read_frame<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> Result<Option<T>, FrameError> {
    let mut head = [0; 4];
    let mut got = 0;
    while got < head.len() {
        match stream.read(&mut head[got..]).await? {
            0 if got == 0 => return Ok(None),
            0 => return Err(FrameError::Cut),
            n => got += n,
        }
    }
    let length = u32::from_le_bytes(head);
    if length > limit {
        return Err(FrameError::TooLong { length: length.into(), limit });
    }
    let mut bytes = Vec::with_capacity(length.min(FIRST_ALLOCATION) as usize);
    stream.take(length.into()).read_to_end(&mut bytes).await?;
    if bytes.len() != length as usize {
        return Err(FrameError::Cut);
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Writes one frame. A caller that buffers the stream has to flush it.
pub(crate) async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &impl Serialize,
    limit: u32,
) -> Result<(), FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value)?;
    let length = bytes.len() - 4;
    let length = match u32::try_from(length) {
        Ok(fits) if fits <= limit => fits,
        _ => return Err(FrameError::TooLong { length: length as u64, limit }),
    };
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    stream.write_all(&bytes).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_written_frame_is_read_back() {
        let mut wire = Vec::new();
        write_frame(&mut wire, &vec!["a", "b"], 100).await.unwrap();
        write_frame(&mut wire, &vec!["c"], 100).await.unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(read_frame::<Vec<String>>(&mut wire, 100).await.unwrap().unwrap(), ["a", "b"]);
        assert_eq!(read_frame::<Vec<String>>(&mut wire, 100).await.unwrap().unwrap(), ["c"]);
        assert!(read_frame::<Vec<String>>(&mut wire, 100).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_length_beyond_the_bound_is_refused_before_its_bytes_arrive() {
        let head = (MAX_REQUEST + 1).to_le_bytes();
        let error = read_frame::<String>(&mut head.as_slice(), MAX_REQUEST).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong { length: 4_194_305, .. }), "{error}");
        let error = write_frame(&mut Vec::new(), &"x".repeat(100), 100).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong { length: 102, limit: 100 }), "{error}");
    }

    #[tokio::test]
    async fn a_cut_frame_is_an_error_and_not_an_end() {
        let mut wire = Vec::new();
        write_frame(&mut wire, &"hello", 100).await.unwrap();
        for end in 1..wire.len() {
            let error = read_frame::<String>(&mut &wire[..end], 100).await.unwrap_err();
            assert!(matches!(error, FrameError::Cut), "at {end}: {error}");
        }
    }

    #[tokio::test]
    async fn deep_nesting_is_refused() {
        let deep = "[".repeat(100_000);
        let mut wire = u32::try_from(deep.len()).unwrap().to_le_bytes().to_vec();
        wire.extend_from_slice(deep.as_bytes());
        assert!(read_frame::<serde_json::Value>(&mut wire.as_slice(), MAX_REQUEST).await.is_err());
    }
}
