//! Selection part of some content a request asks for: conditions and one range (RFC 9110, sections 13 and 14).

use std::ops::Range;

use axum::http::{HeaderMap, Method, header};

/// What is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: 200.
    All,
    /// A part: 206.
    Part(Range<u64>),
    /// The client has it: 304.
    NotModified,
    /// It is not what the client expects: 412.
    PreconditionFailed,
    /// The range lies beyond its end: 416.
    Unsatisfiable,
}

/// Decides by the headers of a request what it gets of content with this entity tag (quoted) and length.
pub(crate) fn wanted(method: &Method, headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let lists = |name: header::HeaderName| {
        let mut values = headers.get_all(name).iter().peekable();
        values.peek().is_some().then(|| {
            let values: Vec<&str> = headers_text(values);
            values.iter().any(|value| names(value, etag))
        })
    };
    if lists(header::IF_MATCH) == Some(false) {
        return Wanted::PreconditionFailed;
    }
    if lists(header::IF_NONE_MATCH) == Some(true) {
        return Wanted::NotModified;
    }
    // section 14.2: a range means something for GET alone; HEAD tells of the whole
    if method != Method::GET {
        return Wanted::All;
    }
    if let Some(expected) = headers.get(header::IF_RANGE)
        && expected.to_str().map_or("", str::trim) != etag
    {
        return Wanted::All;
    }
    match headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(range) => part(range, size),
        None => Wanted::All,
    }
}

fn headers_text<'a>(values: impl Iterator<Item = &'a header::HeaderValue>) -> Vec<&'a str> {
    values.filter_map(|value| value.to_str().ok()).collect()
}

/// Whether a list of entity tags names this one, weakly compared (section 8.8.3.2): content by digest is never only similar.
fn names(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// One range of bytes. Several at once, other units and what makes no sense are ignored, as section 14.2 allows.
fn part(text: &str, size: u64) -> Wanted {
    let Some((first, last)) =
        text.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'))
    else {
        return Wanted::All;
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
            if first < size { Wanted::Part(first..end) } else { Wanted::Unsatisfiable }
        }
        (Some(None), Some(Some(suffix))) => {
            if suffix > 0 && size > 0 {
                Wanted::Part(size.saturating_sub(suffix)..size)
            } else {
                Wanted::Unsatisfiable
            }
        }
        _ => Wanted::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(headers: &[(header::HeaderName, &str)]) -> Wanted {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a value")))
            .collect();
        wanted(&Method::GET, &headers, "\"x\"", 100)
    }

    #[test]
    fn ranges_mean_what_the_standard_says() {
        for (text, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-", Wanted::Part(10..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=99-1000", Wanted::Part(99..100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("items=0-1", Wanted::All),
        ] {
            assert_eq!(get(&[(header::RANGE, text)]), expected, "{text}");
        }
        assert_eq!(
            wanted(
                &Method::GET,
                &[(header::RANGE, "bytes=0-".parse().expect("a value"))].into_iter().collect(),
                "\"x\"",
                0
            ),
            Wanted::Unsatisfiable
        );
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = (header::RANGE, "bytes=0-0");
        assert_eq!(
            get(&[(header::IF_NONE_MATCH, "\"a\", W/\"x\""), range.clone()]),
            Wanted::NotModified
        );
        assert_eq!(get(&[(header::IF_NONE_MATCH, "*")]), Wanted::NotModified);
        assert_eq!(get(&[(header::IF_NONE_MATCH, "\"a\""), range.clone()]), Wanted::Part(0..1));
        assert_eq!(get(&[(header::IF_MATCH, "\"a\""), range.clone()]), Wanted::PreconditionFailed);
        assert_eq!(get(&[(header::IF_MATCH, "\"x\""), range.clone()]), Wanted::Part(0..1));
        assert_eq!(get(&[(header::IF_RANGE, "\"a\""), range.clone()]), Wanted::All);
        assert_eq!(get(&[(header::IF_RANGE, "\"x\""), range]), Wanted::Part(0..1));
    }

    #[test]
    fn head_tells_of_the_whole() {
        let headers =
            [(header::RANGE, "bytes=0-0".parse().expect("a value"))].into_iter().collect();
        assert_eq!(wanted(&Method::HEAD, &headers, "\"x\"", 100), Wanted::All);
    }
}
