//! The target of a path below `/r/`.
//!
//! Owns the grammar: segments are split before they are percent-decoded, so that a name may contain
//! a `/`. Malformed paths are not repaired: a path that no release can have is an error.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use perennial_manifest::{ArtifactPath, Name, Purl, Selector};

use crate::http_error::HttpError;

/// Every character except the unreserved ones of a URL and `+`.
pub(crate) const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'+');

/// A release and one of its files, or the release's file list if there is no file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) selector: Selector,
    pub(super) path: Option<ArtifactPath>,
}

impl Target {
    /// Parses the path after `/r/`.
    pub(super) fn read(rest: &str) -> Result<Self, HttpError> {
        let segments = rest.split('/').map(decode).collect::<Result<Vec<String>, HttpError>>()?;
        let (selector, path) = match segments.split_first() {
            Some((id, path))
                if id.len() == 64 && id.parse::<perennial_manifest::ReleaseId>().is_ok() =>
            {
                let id = id.parse().map_err(|e| HttpError::bad_request(format!("{e}")))?;
                (Selector::Release(id), path)
            }
            Some((name, [version, path @ ..])) if !version.is_empty() => {
                (named(name, version)?, path)
            }
            Some((name, _)) => {
                return Err(HttpError::bad_request(format!(
                    "{name:?} has no version: ask for /r/NAME/VERSION/, or by the whole release id"
                )));
            }
            None => return Err(HttpError::bad_request("no release is named")),
        };
        let path = path.join("/");
        let path = match path.as_str() {
            "" => None,
            path => Some(ArtifactPath::parse(path).map_err(|e| {
                HttpError::bad_request(format!("no release can have such a file: {e}"))
            })?),
        };
        Ok(Self { selector, path })
    }
}

fn decode(segment: &str) -> Result<String, HttpError> {
    let text = percent_decode_str(segment).decode_utf8();
    Ok(text.map_err(|_| HttpError::bad_request(format!("{segment:?} is not UTF-8")))?.into_owned())
}

fn named(name: &str, version: &str) -> Result<Selector, HttpError> {
    if name.starts_with("pkg:") {
        // The version goes between the name and the qualifiers.
        let (before, after) = name.split_at(name.find(['?', '#']).unwrap_or(name.len()));
        let text = format!("{before}@{}{after}", utf8_percent_encode(version, SEGMENT));
        let purl = Purl::parse(&text).map_err(|e| {
            HttpError::bad_request(format!(
                "{e}; percent-encode a package URL in a path, and put its version after it: \
                 /r/pkg%3Atype%2Fname/VERSION/"
            ))
        })?;
        if purl.version() != Some(version) {
            return Err(HttpError::bad_request(format!("{version:?} is not a version of {name}")));
        }
        return Ok(Selector::Purl(purl));
    }
    let malformed = |part: &str| part.is_empty() || part.chars().any(char::is_control);
    if [name, version].into_iter().any(malformed) {
        return Err(HttpError::bad_request(
            "a part of the name is empty or contains control characters",
        ));
    }
    let name = Name::parse(&format!("{name}@{version}"));
    name.map(Selector::Name).map_err(|reason| HttpError::bad_request(format!("the name: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str) -> (String, Option<String>) {
        let target =
            Target::read(rest).unwrap_or_else(|problem| panic!("{rest}: {}", problem.message));
        (target.selector.to_string(), target.path.map(|path| path.to_string()))
    }

    #[test]
    fn names_and_paths_are_told_apart() {
        let image = "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io";
        let id = "ab".repeat(32);
        for (rest, selector, path) in [
            ("kubekey/v3.1.0", "kubekey@v3.1.0", None),
            ("kubekey/v3.1.0/", "kubekey@v3.1.0", None),
            ("kubekey/v3.1.0/a/b.tgz", "kubekey@v3.1.0", Some("a/b.tgz")),
            ("kubekey/v1/a%20b%23.tgz", "kubekey@v1", Some("a b#.tgz")),
            ("kubesphere%2Fks-console/v3.4.1/x", "kubesphere/ks-console@v3.4.1", Some("x")),
            ("deadbeef/v1", "deadbeef@v1", None),
            ("quay.io%2Fminio%2Fminio/v1/", "quay.io/minio/minio@v1", None),
            (
                "pkg%3Adocker%2Fkubesphere%2Fks-console%3Frepository_url%3Dquay.io/\
                v3.4.1/index.json",
                image,
                Some("index.json"),
            ),
            ("pkg:generic%2Fkubekey/v1%2B2/x", "pkg:generic/kubekey@v1%2B2", Some("x")),
            (&format!("{id}/x"), &id, Some("x")),
            (&id, &id, None),
        ] {
            assert_eq!(read(rest), (selector.to_owned(), path.map(str::to_owned)), "{rest}");
        }
    }

    #[test]
    fn malformed_names_and_paths_are_refused() {
        for rest in [
            "",
            "/",
            "kubekey",
            "kubekey/",
            "kubekey//x",
            "/v1/x",
            "k/v1//x",
            "k/v1/x//y",
            "k/v1/x/",
            "k/v1/..",
            "k/v1/../x",
            "k/v1/%2e%2e/x",
            "k/v1/%2e%2e%2fx",
            "k/v1/%2Fetc%2Fpasswd",
            "k/v1/a%00b",
            "k%00/v1/x",
            "k/v%001/x",
            "k/v1/a%5Cb",
            "k/v1/%ff",
            "k/v1/.",
            "pkg:generic/kubekey/v1",
            "pkg:/v1",
            "k/v1/c:x",
        ] {
            assert!(Target::read(rest).is_err(), "{rest}: {:?}", Target::read(rest));
        }
    }
}
