//! The sources of an `add` as people and other programs write them: `file:` URLs are paths, and a
//! scheme may be in capitals. A file of exactly that name comes first.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use crate::failure::CommandError;
use crate::paths::quoted;

/// Schemes that sources are known by, in their one spelling.
const SCHEMES: [&str; 9] = [
    "docker",
    "https",
    "http",
    "helm+https",
    "helm+http",
    "oci",
    "oci-archive",
    "docker-archive",
    "containers-storage",
];

/// A source in its plain spelling: the path of a `file:` URL, and known schemes in lower case.
///
/// # Errors
/// [`CommandError::Usage`] if a `file:` URL names no path on this machine, or an `oci://` URL no
/// version.
pub(super) fn plain(given: PathBuf) -> Result<PathBuf, CommandError> {
    let Some((scheme, rest)) = given.to_str().and_then(|text| text.split_once(':')) else {
        return Ok(given);
    };
    if std::fs::symlink_metadata(&given).is_ok() {
        return Ok(given);
    }
    let scheme = scheme.to_ascii_lowercase();
    match (scheme.as_str(), rest.strip_prefix("//")) {
        ("file", _) => path_of(&given, rest),
        // A path of a layout may begin with two slashes.
        ("oci", Some(named)) if is_registry(named) && !names_directory(rest) => {
            image(&given, named)
        }
        (known, _) if SCHEMES.contains(&known) => Ok(format!("{known}:{rest}").into()),
        _ => Ok(given),
    }
}

/// Whether a text begins with the host of a registry.
fn is_registry(text: &str) -> bool {
    let host = text.split_once('/').map_or("", |(host, _)| host);
    host == "localhost" || host.contains(['.', ':'])
}

/// Whether what follows `oci:` is a directory here, perhaps with a tag.
fn names_directory(rest: &str) -> bool {
    let ends = rest.match_indices(':').map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|end| Path::new(&rest[..end]).is_dir())
}

/// The path of a `file:` URL (RFC 8089): absolute, on this machine, percent-decoded.
fn path_of(given: &Path, rest: &str) -> Result<PathBuf, CommandError> {
    let given = given.display();
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(named) => {
            let (host, _) = named.split_at(named.find('/').unwrap_or(named.len()));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(CommandError::usage(
                    format!("{given} is a file of the host {host:?}, not of this machine"),
                    "copy it here, or give the https:// URL that it has there",
                ));
            }
            &named[host.len()..]
        }
    };
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let plain = PathBuf::from(OsString::from_vec(decoded.clone()));
    let refuse = |why: &str| {
        let type_it = match path.is_empty() {
            true => "give the path of a file or directory".to_owned(),
            false => format!("perennial add {}", quoted(&plain.display().to_string())),
        };
        Err(CommandError::usage(format!("{given}: {why}"), type_it))
    };
    if decoded.contains(&0) {
        return Err(CommandError::usage(
            format!("{given}: a path has no zero byte"),
            "give the path of a file or directory",
        ));
    }
    if !path.starts_with('/') {
        return refuse("a file: URL has an absolute path");
    }
    // In a URL, these begin a query or a fragment, which no file has.
    if path.contains(['?', '#']) && std::fs::symlink_metadata(&plain).is_err() {
        return refuse("a file: URL has no query and no fragment");
    }
    Ok(plain)
}

/// The image of an `oci://` URL, by which Helm and ORAS name what is in a registry.
fn image(given: &Path, named: &str) -> Result<PathBuf, CommandError> {
    let last = named.rfind('/').map_or(0, |at| at + 1);
    if !named[last..].contains([':', '@']) {
        return Err(CommandError::usage(
            format!("{}: it names no version", given.display()),
            format!("perennial add docker://{named}:VERSION"),
        ));
    }
    // A tag has no plus; Helm writes an underscore.
    Ok(format!("docker://{}", named.replace('+', "_")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_files_are_paths() {
        for (text, path) in [
            ("file:///srv/a.tgz", "/srv/a.tgz"),
            ("FILE:///srv/a.tgz", "/srv/a.tgz"),
            ("file://localhost/srv/a%20b%23.tgz", "/srv/a b#.tgz"),
            ("file://LOCALHOST/srv", "/srv"),
            ("file:/srv/100%", "/srv/100%"),
            ("file:////srv/a", "//srv/a"),
            ("./file:a", "./file:a"),
            ("a/b", "a/b"),
            ("-", "-"),
        ] {
            assert_eq!(plain(text.into()).unwrap(), PathBuf::from(path), "{text}");
        }
        let latin = plain("file:///srv/%e9".into()).unwrap();
        assert_eq!(latin.into_os_string().into_vec(), b"/srv/\xe9");
        for (text, hint) in [
            ("file:a%20b", "perennial add 'a b'"),
            ("file:it%27s", r"perennial add 'it'\''s'"),
            ("file:../x", "perennial add ../x"),
            ("file://", "give the path"),
            ("file:", "give the path"),
            ("file://there/srv/a", "https://"),
            ("file:///srv/a?x=1", "perennial add '/srv/a?x=1'"),
            ("file:///srv/a%00b", "give the path"),
        ] {
            let Err(CommandError::Usage { hint: Some(said), .. }) = plain(text.into()) else {
                panic!("{text}")
            };
            assert!(said.contains(hint), "{text}: {said}");
        }
    }

    #[test]
    fn a_scheme_may_be_in_capitals_and_oci_may_be_a_registry() {
        for (text, expected) in [
            ("HTTPS://a.test/X", "https://a.test/X"),
            ("Docker://a.test/x:V1", "docker://a.test/x:V1"),
            ("Helm+HTTPS://a.test/", "helm+https://a.test/"),
            ("oci://a.test:5000/charts/x:1.0.0+b.1", "docker://a.test:5000/charts/x:1.0.0_b.1"),
            ("oci:///tmp:v1", "oci:///tmp:v1"),
            ("oci:lay:v1", "oci:lay:v1"),
            ("oci://srv/lay:v1", "oci://srv/lay:v1"),
            ("C:x", "C:x"),
        ] {
            assert_eq!(plain(text.into()).unwrap(), PathBuf::from(expected), "{text}");
        }
        assert!(plain("oci://a.test:5000/charts/x".into()).is_err());
    }
}
