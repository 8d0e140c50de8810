//! The retry policy: when to ask an upstream again, after which wait, and when to give up.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The first wait; each later wait is twice as long.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Tries where connections are refused.
const REFUSED: u32 = 3;

/// The number of tries, and the longest wait accepted between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    tries: u32,
    /// The longest wait that an upstream may ask for.
    wish: Duration,
    /// Whether the user is told of each.
    told: bool,
}

impl RetryPolicy {
    /// For a file that the user asked for.
    pub(crate) const LONG: Self = Self { tries: 7, wish: Duration::from_secs(120), told: true };
    /// For one of the many requests that an image takes.
    pub(crate) const MIDDLE: Self = Self { tries: 5, wish: Duration::from_secs(60), told: true };
    /// For a file that may well be missing, of which the user knows nothing.
    pub(crate) const SHORT: Self = Self { tries: 3, wish: Duration::from_secs(5), told: false };

    /// The same patience with another number of tries, if one is given.
    pub(crate) fn with_tries(self, tries: Option<NonZeroU32>) -> Self {
        Self { tries: tries.map_or(self.tries, NonZeroU32::get), ..self }
    }

    /// The patience where connections are refused: a server that restarts is back soon, and any
    /// other is not. podman and buildah ask as often, curl only with `--retry-connrefused`.
    pub(crate) fn if_refused(self) -> Self {
        Self { tries: self.tries.min(REFUSED), ..self }
    }

    /// Whether the user is told of each try.
    pub(crate) fn is_told(self) -> bool {
        self.told
    }

    /// The wait after `tried` failed tries; `None` to give up. A wait that the upstream asks for is
    /// honoured, or ends the tries if it exceeds the policy's limit.
    pub(crate) fn before_next(self, tried: u32, wish: Option<Duration>) -> Option<Duration> {
        if tried >= self.tries {
            return None;
        }
        match wish {
            Some(wish) => (wish <= self.wish).then_some(wish),
            None => Some(FIRST.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(LONGEST)),
        }
    }
}

/// Whether a status means that a later request may succeed.
fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// Whether a response asks to be tried again: the upstream is busy, or refuses and names a wait.
pub(crate) fn is_later(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_refusal = status.is_client_error() || status.is_server_error();
    let is_gone = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
    is_busy(status) || (is_refusal && !is_gone && wish(headers).is_some())
}

/// The wait that an upstream asks for in `Retry-After`, as seconds or as a date.
pub(crate) fn wish(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_number(whole) && is_number(part) {
            // Some servers count parts of a second. A number that is too large for this machine
            // is a wish all the same, which no policy grants.
            let more = u64::from(part.bytes().any(|digit| digit != b'0'));
            let seconds = whole.parse().unwrap_or(u64::MAX).saturating_add(more);
            return Some(Duration::from_secs(seconds));
        }
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The wait that an upstream asks for, as the end of a message about its refusal.
pub(crate) fn asked_to_wait(headers: &HeaderMap) -> String {
    match wish(headers).map(|wait| wait.as_secs()) {
        None => String::new(),
        Some(1) => "; it asks to wait 1 second".to_owned(),
        Some(u64::MAX) => "; it asks to wait for ever".to_owned(),
        Some(seconds) => format!("; it asks to wait {seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_between_tries_grow_and_end() {
        let patience = RetryPolicy { tries: 9, ..RetryPolicy::LONG };
        let waits: Vec<_> = (1..9).map_while(|tried| patience.before_next(tried, None)).collect();
        assert_eq!(
            waits.iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
        );
        assert_eq!(patience.before_next(9, None), None);
        assert_eq!(patience.before_next(9, Some(Duration::ZERO)), None);
        assert_eq!(
            patience.before_next(1, Some(Duration::from_secs(7))),
            Some(Duration::from_secs(7))
        );
        assert_eq!(patience.before_next(1, Some(Duration::from_secs(86_400))), None);
        assert_eq!(RetryPolicy::SHORT.before_next(1, Some(Duration::from_secs(7))), None);
        let once = RetryPolicy::LONG.with_tries(NonZeroU32::new(1));
        assert_eq!(once.before_next(1, None), None);
        assert!(RetryPolicy::LONG.with_tries(None).before_next(6, None).is_some());
        let refused = RetryPolicy::LONG.if_refused();
        assert!(refused.before_next(2, None).is_some() && refused.before_next(3, None).is_none());
        assert!(refused.with_tries(NonZeroU32::new(9)).before_next(8, None).is_some());
    }

    #[test]
    fn a_refusal_with_retry_after_is_temporary() {
        let named = HeaderMap::from_iter([(RETRY_AFTER, "1".parse().unwrap())]);
        assert!(is_later(StatusCode::FORBIDDEN, &named));
        assert!(is_later(StatusCode::NOT_IMPLEMENTED, &named));
        assert!(!is_later(StatusCode::NOT_FOUND, &named));
        assert!(!is_later(StatusCode::FORBIDDEN, &HeaderMap::new()));
        assert!(is_later(StatusCode::BAD_GATEWAY, &HeaderMap::new()));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let said = |text: &str| wish(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(said(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(said("Mon, 01 Jan 2024 00:00:00 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!((98..=100).contains(&said(&later).unwrap().as_secs()));
        assert_eq!(said("1.5"), Some(Duration::from_secs(2)));
        assert_eq!(said("7.0"), Some(Duration::from_secs(7)));
        for absurd in ["99999999999999999999999", "18446744073709551615"] {
            let wait = said(absurd);
            assert!(wait.is_some() && RetryPolicy::LONG.before_next(1, wait).is_none(), "{absurd}");
        }
        for odd in ["soon", "-1", "1e3", "1.", "3, 4", ""] {
            assert_eq!(said(odd), None, "{odd}");
        }
        assert_eq!(wish(&HeaderMap::new()), None);
    }
}
