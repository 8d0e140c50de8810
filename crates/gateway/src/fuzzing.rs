//! Entry points for the fuzz targets in `tests/fuzz` into parsers that are otherwise private.
//!
//! Not part of the API.

use std::ops::Range;

use axum::http::{HeaderMap, Method, header};

use crate::range::{Requested, requested};

/// The part of `size` bytes that a GET requests by its `Range` and `If-Range` headers.
///
/// `None` if the response is not 206: the whole content, an unsatisfiable range, or headers that
/// are not text.
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
