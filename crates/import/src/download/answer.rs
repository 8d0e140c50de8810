//! The response headers that are kept, and their use in resuming a download.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use perennial_manifest::Origin;
use reqwest::header::{
    CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderName, LAST_MODIFIED,
};
use reqwest::{Response, Url};

use super::coding::Coding;

/// Longest header value or URL that goes into a signed statement, in bytes.
const MAX_TEXT: usize = 2048;

/// The headers of a response that matter to an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The final URL, after redirects.
    pub(crate) url: Url,
    pub(crate) status: u16,
    /// The time of the response in Unix seconds, by the local clock.
    pub(crate) at: u64,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    /// In lower case, without parameters.
    pub(crate) media_type: Option<String>,
    pub(crate) disposition: Option<String>,
    /// What the server did to the bytes, as far as it says so.
    pub(super) codings: Vec<Coding>,
    date: Option<String>,
}

impl Answer {
    pub(super) fn of(response: &Response) -> Self {
        let text = |name| text(response, name);
        let media_type = text(CONTENT_TYPE).and_then(|value| {
            let essence = value.split(';').next()?.trim().to_ascii_lowercase();
            Some(essence).filter(|essence| !essence.is_empty())
        });
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self {
            url: response.url().clone(),
            status: response.status().as_u16(),
            at,
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
            media_type,
            disposition: disposition(response),
            codings: Coding::all(response.headers()),
            date: text(DATE),
        }
    }

    /// The validator of exactly these bytes for `If-Range` (RFC 9110, 13.1.5): a strong `ETag`, or
    /// a `Last-Modified` at least one second older than the response's `Date`.
    pub(super) fn validator(&self) -> Option<String> {
        if let Some(etag) = self.etag.as_deref().filter(|etag| etag.starts_with('"')) {
            return Some(etag.to_owned());
        }
        let modified = self.last_modified.as_deref()?;
        let date = httpdate::parse_http_date(self.date.as_deref()?).ok()?;
        let age = date.duration_since(httpdate::parse_http_date(modified).ok()?).ok()?;
        (age >= Duration::from_secs(1)).then(|| modified.to_owned())
    }

    /// The URL that redirects from another led to, as it may be signed.
    pub(crate) fn redirected(&self, asked: &Url) -> Option<String> {
        let target = Origin::of_target(self.url.as_str()).filter(|_| self.url != *asked);
        target.filter(|target| target.len() <= MAX_TEXT)
    }

    /// Whether the declared media type is HTML.
    pub(super) fn is_html(&self) -> bool {
        matches!(self.media_type.as_deref(), Some("text/html" | "application/xhtml+xml"))
    }
}

/// The offset of a partial response, and the total length, if it is stated.
pub(crate) fn range_of(response: &Response) -> Option<(u64, Option<u64>)> {
    let value = text(response, CONTENT_RANGE)?;
    let (range, total) = value.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

/// `Content-Disposition`, at most `MAX_TEXT` bytes of it.
fn disposition(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_DISPOSITION)?.as_bytes();
    (!value.is_empty() && value.len() <= MAX_TEXT).then(|| decoded(value))
}

/// A header value in UTF-8 or Latin-1, in which servers write names.
fn decoded(value: &[u8]) -> String {
    let latin = || value.iter().copied().map(char::from).collect();
    std::str::from_utf8(value).map_or_else(|_| latin(), str::to_owned)
}

/// A header value, if it is plain text of at most `MAX_TEXT` bytes: nothing else goes into a signed
/// statement.
fn text(response: &Response, name: HeaderName) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= MAX_TEXT).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_headers_are_utf_8_or_latin_1() {
        assert_eq!(decoded("filename=t\u{e9}.tgz".as_bytes()), "filename=t\u{e9}.tgz");
        assert_eq!(decoded(b"filename=t\xe9.tgz"), "filename=t\u{e9}.tgz");
    }
}
