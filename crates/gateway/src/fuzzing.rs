//! Entry points for the fuzz targets in `tests/fuzz`, into readers that are private otherwise.
//!
//! Not part of the API.

use std::ops::Range;

use axum::http::{HeaderMap, Method, header};

use crate::range::{Requested, requested};

/// The part of `size` bytes that a GET asks for by its `Range` and `If-Range` headers.
///
/// `None` if the answer is not 206: all of it, an unsatisfiable range, or headers that are not text.
#[must_use]
pub fn part(range: &[u8], if_range: &[u8], etag: &str, size: u64) -> Option<Range<u64>> {
    let mut headers = HeaderMap::new();
    headers.insert(header::RANGE, range.try_into().ok()?);
    if !if_range.is_empty() {
        headers.insert(header::IF_RANGE, if_range.try_into().ok()?);
    }
    match requested(&Method::GET, &headers, etag, size) {
        Requested::Part(part) => Some(part),
        _ => None,
    }
}
