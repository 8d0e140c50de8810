//! What an upstream said with the bytes: the headers that are kept, and what they mean for going on later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{
    CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderName, LAST_MODIFIED,
};
use reqwest::{Response, Url};

use crate::error::shown;

/// Longest text in a signed statement.
const MAX_TEXT: usize = 2048;

/// The headers of an answer, as far as they are of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Where the bytes came from, after redirects.
    pub(crate) url: Url,
    pub(crate) status: u16,
    /// Unix seconds, by our clock.
    pub(crate) at: u64,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    /// In lower case, without parameters.
    pub(crate) media_type: Option<String>,
    pub(crate) disposition: Option<String>,
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
            disposition: text(CONTENT_DISPOSITION),
            date: text(DATE),
        }
    }

    /// What names exactly these bytes in `If-Range` (RFC 9110, 13.1.5): a strong `ETag`, or a `Last-Modified` that was over
    /// for a second at least when it was said.
    pub(super) fn validator(&self) -> Option<String> {
        if let Some(etag) = self.etag.as_deref().filter(|etag| etag.starts_with('"')) {
            return Some(etag.to_owned());
        }
        let modified = self.last_modified.as_deref()?;
        let date = httpdate::parse_http_date(self.date.as_deref()?).ok()?;
        let age = date.duration_since(httpdate::parse_http_date(modified).ok()?).ok()?;
        (age >= Duration::from_secs(1)).then(|| modified.to_owned())
    }

    /// Where the bytes came from, for signing: the URL that was asked for, and the one it led to.
    pub(crate) fn origins(&self, asked: &Url) -> Vec<String> {
        let mut origins = vec![shown(asked)];
        let last = shown(&self.url);
        if last != origins[0] && last.len() <= MAX_TEXT {
            origins.push(last);
        }
        origins
    }

    /// Whether the media type is that of a page.
    pub(super) fn is_html(&self) -> bool {
        matches!(self.media_type.as_deref(), Some("text/html" | "application/xhtml+xml"))
    }
}

/// From where the bytes of a partial answer go, and of how many in all.
pub(super) fn range_of(response: &Response) -> Option<(u64, Option<u64>)> {
    let value = text(response, CONTENT_RANGE)?;
    let (range, total) = value.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

/// A header that is plain text and not over long: nothing else goes into a signed statement.
fn text(response: &Response, name: HeaderName) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= MAX_TEXT).then(|| value.to_owned())
}
