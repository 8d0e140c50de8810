//! Entry points for the fuzz targets in `tests/fuzz` into parsers that are otherwise private.
//!
//! Not part of the API.

use crate::frame::{FrameError, MAX_REPLY, MAX_REQUEST, read_frame};
use crate::request::Request;

/// Reads one request from a stream.
///
/// # Errors
/// When the frame is cut or too long, or its content is not a request.
pub async fn request(mut stream: &[u8]) -> Result<Option<Request>, FrameError> {
    read_frame(&mut stream, MAX_REQUEST).await
}

/// Reads one frame of any JSON from a stream.
///
/// # Errors
/// When the frame is cut or too long, or its content is not JSON.
pub async fn frame(mut stream: &[u8]) -> Result<Option<serde_json::Value>, FrameError> {
    read_frame(&mut stream, MAX_REPLY).await
}
