//! An in-memory text as an HTTP response, with the same conditions and ranges as content.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use bytes::Bytes;
use perennial_manifest::BlobId;

use crate::range::{Head, requested};

/// A text with its media type and headers.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    bytes: Bytes,
    media_type: String,
    etag: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Document {
    /// A document whose entity tag is its BLAKE3 digest.
    pub(crate) fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = BlobId::of(&bytes).to_string();
        Self::named(&digest, media_type, bytes)
    }

    /// A document whose entity tag is the digest by which the frontend names it.
    pub(crate) fn named(digest: &str, media_type: &str, bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            media_type: media_type.to_owned(),
            etag: format!("\"{digest}\""),
            headers: Vec::new(),
        }
    }

    /// Adds a header; a value that is not valid in a header is omitted.
    pub(crate) fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    /// Answers a GET or HEAD.
    pub(crate) fn answer(&self, method: &Method, request: &HeaderMap) -> Response {
        let size = self.bytes.len() as u64;
        let requested = requested(method, request, &self.etag, size);
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(self.bytes.len());
        let body = match requested.bytes(size).filter(|_| *method != Method::HEAD) {
            Some(range) => Body::from(self.bytes.slice(at(range.start)..at(range.end))),
            None => Body::empty(),
        };
        let (etag, media_type, headers) = (&self.etag, &self.media_type, &self.headers);
        requested.respond(&Head { etag, size, media_type, headers }, body)
    }
}
