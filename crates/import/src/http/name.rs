//! The name of a downloaded file: the server's `Content-Disposition`, or else the last segment of
//! its URL. Of a name that is a path, the last part counts, and characters that not every file
//! system takes become `_`; a URL's segment that needs that keeps its percent signs instead, as
//! other downloaders name it. Secrets are no part of a name.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use perennial_manifest::{ArtifactPath, Origin};
use reqwest::Url;

use crate::ImportError;
use crate::download::Answer;
use crate::error::shown;

/// The file name of a response from `url`.
pub(super) fn name_of(
    url: &Url,
    answer: &Answer,
    is_page: bool,
) -> Result<ArtifactPath, ImportError> {
    let given = answer.disposition.as_deref().and_then(filename);
    let given = given.and_then(|given| ArtifactPath::nearest(&given));
    let given = given.filter(|name| Origin::of_path(name).is_whole());
    let named = given.or_else(|| of_url(url)).or_else(|| of_url(&answer.url));
    let index = || ArtifactPath::parse("index.html").ok().filter(|_| is_page);
    named.or_else(index).ok_or_else(|| ImportError::Upstream {
        what: shown(url),
        reason: "neither the URL nor the server gives the file a name; --file-name NAME does"
            .into(),
    })
}

/// All names that a checksum file may use for a response from `url`, which is saved as `name`.
pub(super) fn names_of(url: &Url, answer: &Answer, name: &ArtifactPath) -> Vec<String> {
    let given = answer.disposition.as_deref().and_then(filename);
    let of_urls = [url, &answer.url].into_iter().flat_map(|url| [segment(url), last_part(url)]);
    let all = of_urls.flatten().chain(given).map(|name| {
        let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
        last.to_owned()
    });
    let all: BTreeSet<_> = all.chain([name.file_name().to_owned()]).collect();
    all.into_iter().filter(|name| !name.is_empty()).collect()
}

fn of_url(url: &Url) -> Option<ArtifactPath> {
    // The name is signed: a token is none, nor is a session's id behind it.
    let url = &Url::parse(&shown(url)).ok()?;
    let decoded = last_part(url).filter(|part| part != Origin::REDACTED)?;
    let last = decoded.rsplit(['/', '\\']).next().unwrap_or_default();
    // `2%3a8.2` is the name that other downloaders give to what was `2:8.2`.
    let as_it_is =
        || ArtifactPath::parse(&segment(url)?).ok().filter(|_| !decoded.contains(['/', '\\']));
    ArtifactPath::parse(last).ok().or_else(as_it_is).or_else(|| ArtifactPath::nearest(last))
}

/// The last segment of a URL's path, as it is.
fn segment(url: &Url) -> Option<String> {
    let part = url.path_segments()?.next_back().filter(|part| !part.is_empty())?;
    Some(part.to_owned())
}

/// The last segment of a URL's path, percent-decoded; left encoded if it is not UTF-8.
pub(super) fn last_part(url: &Url) -> Option<String> {
    let part = segment(url)?;
    Some(percent_decode_str(&part).decode_utf8().map_or_else(|_| part.clone(), Into::into))
}

/// The file name in a `Content-Disposition` (RFC 6266); `filename*` takes precedence over
/// `filename`.
fn filename(header: &str) -> Option<String> {
    let parameters = parameters(header);
    let value =
        |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    if let Some(extended) = value("filename*") {
        let (charset, rest) = extended.split_once('\'')?;
        let (_language, encoded) = rest.split_once('\'')?;
        if charset.eq_ignore_ascii_case("utf-8") {
            return percent_decode_str(encoded).decode_utf8().ok().map(Into::into);
        }
    }
    value("filename").filter(|name| !name.is_empty()).cloned()
}

/// Parses `; name=value` and `; name="quoted \" value"`; names become lower case.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header.find(';').map_or("", |at| &header[at + 1..]);
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, end) = if let Some(quoted) = after.strip_prefix('"') {
            let (mut value, mut escaped, mut end) = (String::new(), false, after.len());
            for (at, c) in quoted.char_indices() {
                match c {
                    _ if escaped => (value.push(c), escaped = false).1,
                    '\\' => escaped = true,
                    '"' => {
                        end = at + 2;
                        break;
                    }
                    _ => value.push(c),
                }
            }
            (value, end)
        } else {
            let end = after.find(';').unwrap_or(after.len());
            (after[..end].trim().to_owned(), end)
        };
        found.push((name.trim().to_ascii_lowercase(), value));
        rest = after[end..].trim_start().trim_start_matches(';');
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_headers_are_read_as_rfc_6266_says() {
        let cases = [
            ("attachment; filename=a.tgz", Some("a.tgz")),
            ("attachment;filename=\"a b.tgz\"; size=3", Some("a b.tgz")),
            ("inline; x=1; FileName=\"q\\\"uo\\\\te.tgz\"", Some("q\"uo\\te.tgz")),
            ("attachment; filename=\"plain\"; filename*=UTF-8''na%C3%AFve%20x", Some("naïve x")),
            ("attachment; filename=plain; filename*=iso-8859-1'en'%A3", Some("plain")),
            ("attachment; filename=\"../../etc/passwd\"", Some("../../etc/passwd")),
            ("attachment; filename=\"open", Some("open")),
            ("attachment; filename=", None),
            ("attachment; filename*=utf-8''%ff", None),
            ("attachment", None),
            (";=;=\"\\", None),
        ];
        for (header, name) in cases {
            assert_eq!(filename(header).as_deref(), name, "{header}");
        }
    }

    #[test]
    fn names_in_urls_are_decoded() {
        let name = |url: &str| of_url(&Url::parse(url).unwrap()).map(|name| name.to_string());
        assert_eq!(name("https://a.test/x.tgz;jsessionid=SECRET?y").as_deref(), Some("x.tgz"));
        assert_eq!(name("https://a.test/x;v=1").as_deref(), Some("x;v=1"));
        let token = format!("https://a.test/x/glpat{}XYZ1234567890abcdef", "-");
        assert_eq!((name(&token), name("https://a.test/exp=1~hmac=ab")), (None, None));
        let last = |url: &str| last_part(&Url::parse(url).unwrap());
        assert_eq!(last("https://a.test/x/y%20z.tgz?q=/w").as_deref(), Some("y z.tgz"));
        assert_eq!(last("https://a.test/x/..%2fy").as_deref(), Some("../y"));
        assert_eq!(last("https://a.test/%ff").as_deref(), Some("%ff"));
        assert_eq!(last("https://a.test/x/"), None);
    }
}
