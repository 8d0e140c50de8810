//! The part of some content that a request asks for: conditions and one range (RFC 9110, sections
//! 13 and 14), and the head of the response.

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The part of the content that a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Requested {
    /// The whole content: 200.
    All,
    /// One range: 206.
    Part(Range<u64>),
    /// No content, because the client already has it: 304.
    NotModified,
    /// No content, because a precondition of the client fails: 412.
    PreconditionFailed,
    /// No content, because the range lies beyond the end: 416.
    Unsatisfiable,
}

impl Requested {
    fn status(&self) -> StatusCode {
        match self {
            Self::All => StatusCode::OK,
            Self::Part(_) => StatusCode::PARTIAL_CONTENT,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }

    /// The byte range that the response body carries, for content of this size; `None` if there is
    /// none.
    pub(crate) fn bytes(&self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::All => Some(0..size),
            Self::Part(range) => Some(range.clone()),
            Self::NotModified | Self::PreconditionFailed | Self::Unsatisfiable => None,
        }
    }

    /// Builds the response with this body, which is empty for HEAD.
    pub(crate) fn respond(&self, head: &Head<'_>, body: Body) -> Response {
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        let mut set = |name, value: String| {
            // A value that is not valid in a header is omitted: the bytes are usable without it.
            let _ = HeaderValue::try_from(value).map(|value| headers.insert(name, value));
        };
        set(header::ETAG, head.etag.to_owned());
        match self {
            Self::Part(range) => {
                let last = range.end.saturating_sub(1);
                set(header::CONTENT_RANGE, format!("bytes {}-{last}/{}", range.start, head.size));
            }
            Self::Unsatisfiable => set(header::CONTENT_RANGE, format!("bytes */{}", head.size)),
            _ => {}
        }
        if let Some(bytes) = self.bytes(head.size) {
            set(header::ACCEPT_RANGES, "bytes".into());
            set(header::CONTENT_TYPE, head.media_type.to_owned());
            set(header::CONTENT_LENGTH, (bytes.end - bytes.start).to_string());
        }
        headers.extend(head.headers.iter().cloned());
        response
    }
}

/// The content's properties in the head of a response.
pub(crate) struct Head<'a> {
    /// The entity tag, quoted.
    pub(crate) etag: &'a str,
    pub(crate) size: u64,
    pub(crate) media_type: &'a str,
    /// Additional headers, set by the frontend.
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
}

/// Evaluates a request's headers against content with this entity tag (quoted) and size.
pub(crate) fn requested(method: &Method, headers: &HeaderMap, etag: &str, size: u64) -> Requested {
    let lists = |name: header::HeaderName| {
        let mut values = headers.get_all(name).iter().peekable();
        values
            .peek()
            .is_some()
            .then(|| values.filter_map(|value| value.to_str().ok()).any(|value| names(value, etag)))
    };
    if lists(header::IF_MATCH) == Some(false) {
        return Requested::PreconditionFailed;
    }
    if lists(header::IF_NONE_MATCH) == Some(true) {
        return Requested::NotModified;
    }
    // Section 14.2: only GET has ranges. HEAD describes the whole content.
    if method != Method::GET {
        return Requested::All;
    }
    if let Some(expected) = headers.get(header::IF_RANGE)
        && expected.to_str().map_or("", str::trim) != etag
    {
        return Requested::All;
    }
    match headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(range) => part(range, size),
        None => Requested::All,
    }
}

/// Returns whether a list of entity tags contains this tag. The comparison is weak (section
/// 8.8.3.2), which is safe: equal digests mean equal bytes.
fn names(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Parses one range of bytes. Several ranges, other units and malformed ranges are ignored, as
/// section 14.2 allows.
fn part(text: &str, size: u64) -> Requested {
    let Some((first, last)) =
        text.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'))
    else {
        return Requested::All;
    };
    let number = |text: &str| -> Option<Option<u64>> {
        match text.trim() {
            "" => Some(None),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(Some(digits.parse().unwrap_or(u64::MAX)))
            }
            _ => None,
        }
    };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) if last.is_none_or(|last| last >= first) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            if first < size { Requested::Part(first..end) } else { Requested::Unsatisfiable }
        }
        (Some(None), Some(Some(suffix))) => {
            if suffix > 0 && size > 0 {
                Requested::Part(size.saturating_sub(suffix)..size)
            } else {
                Requested::Unsatisfiable
            }
        }
        _ => Requested::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(headers: &[(header::HeaderName, &str)]) -> Requested {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a value")))
            .collect();
        requested(&Method::GET, &headers, "\"x\"", 100)
    }

    #[test]
    fn ranges_mean_what_the_standard_says() {
        for (text, expected) in [
            ("bytes=0-0", Requested::Part(0..1)),
            ("bytes=10-", Requested::Part(10..100)),
            ("bytes=-10", Requested::Part(90..100)),
            ("bytes=-1000", Requested::Part(0..100)),
            ("bytes=99-1000", Requested::Part(99..100)),
            ("bytes=0-99999999999999999999999", Requested::Part(0..100)),
            ("bytes=100-", Requested::Unsatisfiable),
            ("bytes=99999999999999999999999-", Requested::Unsatisfiable),
            ("bytes=-0", Requested::Unsatisfiable),
            ("bytes=5-4", Requested::All),
            ("bytes=0-1,5-6", Requested::All),
            ("bytes=-", Requested::All),
            ("bytes=+1-2", Requested::All),
            ("items=0-1", Requested::All),
        ] {
            assert_eq!(get(&[(header::RANGE, text)]), expected, "{text}");
        }
        assert_eq!(
            requested(
                &Method::GET,
                &[(header::RANGE, "bytes=0-".parse().expect("a value"))].into_iter().collect(),
                "\"x\"",
                0
            ),
            Requested::Unsatisfiable
        );
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = (header::RANGE, "bytes=0-0");
        assert_eq!(
            get(&[(header::IF_NONE_MATCH, "\"a\", W/\"x\""), range.clone()]),
            Requested::NotModified
        );
        assert_eq!(get(&[(header::IF_NONE_MATCH, "*")]), Requested::NotModified);
        assert_eq!(get(&[(header::IF_NONE_MATCH, "\"a\""), range.clone()]), Requested::Part(0..1));
        assert_eq!(
            get(&[(header::IF_MATCH, "\"a\""), range.clone()]),
            Requested::PreconditionFailed
        );
        assert_eq!(get(&[(header::IF_MATCH, "\"x\""), range.clone()]), Requested::Part(0..1));
        assert_eq!(get(&[(header::IF_RANGE, "\"a\""), range.clone()]), Requested::All);
        assert_eq!(get(&[(header::IF_RANGE, "\"x\""), range]), Requested::Part(0..1));
    }

    #[test]
    fn head_describes_the_whole_content() {
        let headers =
            [(header::RANGE, "bytes=0-0".parse().expect("a value"))].into_iter().collect();
        assert_eq!(requested(&Method::HEAD, &headers, "\"x\"", 100), Requested::All);
    }
}
