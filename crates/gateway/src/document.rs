//! A text that a face makes itself, as an HTTP answer: with conditions and ranges like content has.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use perennial_manifest::BlobId;

use crate::range::{Wanted, wanted};

/// A text and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    bytes: Bytes,
    media_type: &'static str,
    etag: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Document {
    /// Its entity tag is its digest.
    pub(crate) fn new(media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let etag = format!("\"{}\"", BlobId::of(&bytes));
        Self { bytes, media_type, etag, headers: Vec::new() }
    }

    /// With a header more; one whose value is no header text is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    /// Answers a GET or HEAD.
    pub(crate) fn answer(&self, method: &Method, request: &HeaderMap) -> Response {
        let size = self.bytes.len();
        let (status, part) = match wanted(method, request, &self.etag, size as u64) {
            Wanted::All => (StatusCode::OK, 0..size),
            Wanted::Part(range) => {
                let at = |place: u64| usize::try_from(place).map_or(size, |place| place.min(size));
                (StatusCode::PARTIAL_CONTENT, at(range.start)..at(range.end))
            }
            Wanted::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
            Wanted::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, 0..0),
            Wanted::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
        };
        let range = match status {
            StatusCode::PARTIAL_CONTENT => {
                Some(format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1)))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{size}")),
            _ => None,
        };
        let (length, bytes) = (part.len(), self.bytes.slice(part));
        let body = if *method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let mut set = |name, value: String| {
            let _ = HeaderValue::try_from(value).map(|value| headers.insert(name, value));
        };
        set(header::ETAG, self.etag.clone());
        set(header::ACCEPT_RANGES, "bytes".into());
        range.into_iter().for_each(|range| set(header::CONTENT_RANGE, range));
        if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            set(header::CONTENT_TYPE, self.media_type.to_owned());
            set(header::CONTENT_LENGTH, length.to_string());
        }
        headers.extend(self.headers.iter().cloned());
        response
    }
}
