//! The file name of a download (RFC 6266).

use axum::http::{HeaderName, HeaderValue, header};
use percent_encoding::utf8_percent_encode;

use super::target::SEGMENT;

/// `Content-Disposition: attachment`, with the last path component of `name`. The `filename` for
/// old clients replaces characters outside plain ASCII; `filename*` is complete.
pub(crate) fn attachment(name: &str) -> (HeaderName, HeaderValue) {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = if name.trim_matches('.').is_empty() { "download" } else { name };
    let plain: String = name
        .chars()
        .map(
            |c| if c == ' ' || (c.is_ascii_graphic() && !matches!(c, '"' | '%')) { c } else { '_' },
        )
        .collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        value.push_str("; filename*=UTF-8''");
        value.extend(utf8_percent_encode(name, SEGMENT));
    }
    let fallback = || HeaderValue::from_static("attachment");
    (header::CONTENT_DISPOSITION, HeaderValue::try_from(value).unwrap_or_else(|_| fallback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_a_header_and_on_a_disk() {
        for (name, expected) in [
            ("kk-v3.1.0.tar.gz", "attachment; filename=\"kk-v3.1.0.tar.gz\""),
            ("a b.txt", "attachment; filename=\"a b.txt\""),
            ("../../etc/passwd", "attachment; filename=\"passwd\""),
            ("a\\b", "attachment; filename=\"b\""),
            (
                "说明.txt",
                "attachment; filename=\"__.txt\"; filename*=UTF-8''%E8%AF%B4%E6%98%8E.txt",
            ),
            (
                "a\"; x=\"b",
                "attachment; filename=\"a_; x=_b\"; filename*=UTF-8''a%22%3B%20x%3D%22b",
            ),
            ("50%25.txt", "attachment; filename=\"50_25.txt\"; filename*=UTF-8''50%2525.txt"),
            ("a\r\nb", "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
            ("..", "attachment; filename=\"download\""),
            ("", "attachment; filename=\"download\""),
        ] {
            assert_eq!(attachment(name).1, expected, "{name:?}");
        }
    }
}
