//! HTML pages served in place of files: soft 404s (a 200 for a missing file), login forms, bot
//! challenges.

use crate::ImportError;

/// The number of leading bytes that suffices to recognise a page.
pub(crate) const ENOUGH: usize = 512;

/// The beginnings of a page, in lower case (after <https://mimesniff.spec.whatwg.org/>).
const BEGINNINGS: [&[u8]; 9] = [
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<body",
    b"<title",
    b"<script",
    b"<iframe",
    b"<style",
    b"<meta",
];

/// Whether the content begins like an HTML page.
pub(crate) fn is_html(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(ENOUGH)];
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    // An XML declaration and comments may precede the page.
    loop {
        let end: &[u8] = match rest {
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            _ => break,
        };
        let Some(at) = rest.windows(end.len()).position(|window| window == end) else {
            return false;
        };
        rest = rest[at + end.len()..].trim_ascii_start();
    }
    BEGINNINGS.iter().any(|beginning| {
        rest.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    })
}

/// The error for a page that came in place of a file.
pub(crate) fn refusal(what: &str) -> ImportError {
    ImportError::Unfit {
        what: what.to_owned(),
        reason: "an HTML page came where a file was asked for; see what it says in a browser, or \
            take it with --html"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_files() {
        for page in [
            "<!DOCTYPE html><html>",
            "\u{feff}\n <HTML lang=en>",
            "<?xml version=\"1.0\"?>\n<!-- x -->\n<html>",
            "<!-- a --><!-- b --> <Script>",
        ] {
            assert!(is_html(page.as_bytes()), "{page}");
        }
        for file in
            ["", "<", "<?xml version=\"1.0\"?><svg>", "<!--", "PK\u{3}\u{4}", "html", "<htm"]
        {
            assert!(!is_html(file.as_bytes()), "{file}");
        }
        assert!(!is_html(&[0x1f, 0x8b, 8, 0]));
    }
}
