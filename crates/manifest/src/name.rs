//! A name as people write it, in a YAML file or a shell, and the releases that it can mean.
//!
//! A name is not taken apart: each spelling of a package URL is compared with it. A `/`, `@` or `:`
//! may therefore belong to any part.

use std::fmt;

use crate::{Purl, Sha256Digest};

/// Hosts that all mean Docker Hub.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
/// The namespace of Docker Hub's official images, which names leave out.
const OFFICIAL: &str = "library";
/// Most places where a name is taken to begin, and to end.
const SPLITS: usize = 16;
/// Prefixes that say how an upstream is reached, which no name of a release has.
const SCHEMES: [&str; 5] = ["docker://", "oci://", "helm+", "https://", "http://"];

/// `[registry/][namespace/]name[@version]`, with `:` or `@` before the version, and of an image
/// also with the digest of its manifest at the end.
///
/// ```
/// use perennial_manifest::{Name, Purl};
///
/// let image = Purl::parse("pkg:docker/minio/minio@v1?repository_url=quay.io")?;
/// for name in ["quay.io/minio/minio:v1", "docker://quay.io/minio/minio:v1", "minio@v1"] {
///     assert!(Name::parse(name).is_ok_and(|name| name.matches(&image)), "{name}");
/// }
/// assert_eq!(Name::shortest(&image), "quay.io/minio/minio:v1");
/// # Ok::<(), perennial_manifest::PurlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    text: String,
    digest: Option<Sha256Digest>,
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// A part of it that is empty, or a digest that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut text = without_scheme(text);
        let mut digest = None;
        if let Some((path, last)) = text.rsplit_once('@')
            && strip_ignoring_case(last, "sha256:").is_some()
        {
            digest = Some(last.to_ascii_lowercase().parse().map_err(|e| format!("{e}"))?);
            text = path;
        }
        let ends = text.ends_with(['/', '@', ':']) || text.starts_with(['/', ':']);
        if text.is_empty() || ends || text.contains("//") {
            return Err("a part of it is empty".into());
        }
        Ok(Self { text: text.to_owned(), digest })
    }

    /// The digest of the manifest, if the name states one: it alone says which bytes are meant.
    #[must_use]
    pub const fn digest(&self) -> Option<Sha256Digest> {
        self.digest
    }

    /// Whether a release called `purl` can be meant.
    #[must_use]
    pub fn matches(&self, purl: &Purl) -> bool {
        paths(purl).iter().any(|path| {
            let Some(rest) = path.strip_from(&self.text) else { return false };
            let version = match rest.chars().next() {
                None => None,
                Some('@' | ':') => Some(&rest[1..]),
                Some(_) => return false,
            };
            match self.digest {
                Some(digest) => purl.version() == Some(&digest.to_string()),
                None => version.is_none_or(|version| Some(version) == purl.version()),
            }
        })
    }

    /// The texts that can be the name in a package URL that matches, and the version that follows:
    /// each ends at a mark or at the end of the text, and begins after a `/` or at its beginning.
    pub(crate) fn names(&self) -> Vec<(&str, Option<String>)> {
        let marks = self.text.match_indices(['@', ':']).map(|(at, _)| at);
        let mut names = Vec::new();
        for end in marks.filter(|at| *at > 0).take(SPLITS - 1).chain([self.text.len()]) {
            let path = &self.text[..end];
            let starts = path.rmatch_indices('/').map(|(at, _)| at + 1);
            let starts = starts.take(SPLITS - 1).chain([0]);
            let version = match self.digest {
                Some(digest) => Some(digest.to_string()),
                None => self.text.get(end + 1..).map(str::to_owned),
            };
            let found = starts.map(|start| &path[start..]).filter(|name| !name.is_empty());
            names.extend(found.map(|name| (name, version.clone())));
        }
        names
    }

    /// The name without scheme, version and digest, by the last `@` or `:` after the last `/`.
    pub(crate) fn path(&self) -> &str {
        self.split().0
    }

    /// The version, by the same rule.
    pub(crate) fn version(&self) -> Option<&str> {
        self.split().1
    }

    fn split(&self) -> (&str, Option<&str>) {
        let last = self.text.rfind('/').map_or(0, |at| at + 1);
        match self.text[last..].rfind(['@', ':']) {
            Some(at) if at > 0 => (&self.text[..last + at], Some(&self.text[last + at + 1..])),
            _ => (&self.text, None),
        }
    }

    /// The shortest name that tells a release from the others, for messages.
    #[must_use]
    pub fn shortest(purl: &Purl) -> String {
        let longest = paths(purl).pop();
        let path = longest.map_or_else(|| purl.name().to_owned(), |path| path.text());
        let mark = if purl.ty() == "docker" && !purl.version().is_some_and(|v| v.contains(':')) {
            ':'
        } else {
            '@'
        };
        purl.version().map_or_else(|| path.clone(), |version| format!("{path}{mark}{version}"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// A name without the way to its upstream.
pub(crate) fn without_scheme(text: &str) -> &str {
    let mut rest = text;
    while let Some(shorter) = SCHEMES.iter().find_map(|scheme| strip_ignoring_case(rest, scheme)) {
        rest = shorter.trim_end_matches('/');
    }
    rest
}

/// A spelling of a package, without its version.
struct Path<'a> {
    /// In any case.
    host: Option<&'a str>,
    below: String,
}

impl Path<'_> {
    fn strip_from<'t>(&self, text: &'t str) -> Option<&'t str> {
        let below = match self.host {
            Some(host) => strip_ignoring_case(text, host)?.strip_prefix('/')?,
            None => text,
        };
        below.strip_prefix(self.below.as_str())
    }

    fn text(self) -> String {
        match self.host {
            Some(host) => format!("{host}/{}", self.below),
            None => self.below,
        }
    }
}

/// The spellings of a package, from the shortest to the one that tells it from all others.
fn paths(purl: &Purl) -> Vec<Path<'_>> {
    let name = purl.name().to_owned();
    let whole = match purl.namespace() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.clone(),
    };
    let mut below = vec![name.clone()];
    let official = purl.namespace() == Some(OFFICIAL);
    below.extend((whole != name).then_some(whole.clone()));
    let mut paths: Vec<_> = below.into_iter().map(|below| Path { host: None, below }).collect();
    let host = purl.repository().or_else(|| (purl.ty() == "docker").then_some(HUB[0]));
    let Some(host) = host else { return paths };
    if HUB.contains(&host) {
        if official {
            paths.extend(HUB.map(|host| Path { host: Some(host), below: name.clone() }));
        }
        let whole = || match purl.namespace() {
            Some(_) => whole.clone(),
            None => format!("{OFFICIAL}/{name}"),
        };
        paths.extend(HUB.iter().rev().map(|host| Path { host: Some(host), below: whole() }));
    } else {
        paths.push(Path { host: Some(host), below: whole });
    }
    paths
}

/// The spellings of a release, without its version, and with it behind `@` and `:`.
pub(crate) fn spellings(purl: &Purl) -> Vec<String> {
    let mut all = Vec::new();
    for path in paths(purl).into_iter().map(Path::text) {
        let version = purl.version();
        all.extend(version.iter().flat_map(|v| ['@', ':'].map(|mark| format!("{path}{mark}{v}"))));
        all.push(path);
    }
    all
}

pub(crate) fn strip_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(name: &str, purl: &str) -> bool {
        let purl = Purl::parse(purl).unwrap();
        Name::parse(name).unwrap().matches(&purl)
    }

    #[test]
    fn an_image_is_found_by_every_spelling_that_tools_take() {
        let digest = "sha256:412e0c0a7f1b6d4f5b83b0d8a6a3cfc4f0e0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";
        let image = "pkg:docker/minio/minio@v1.2?repository_url=quay.io";
        for name in [
            "minio",
            "minio:v1.2",
            "minio@v1.2",
            "minio/minio",
            "minio/minio:v1.2",
            "quay.io/minio/minio:v1.2",
            "QUAY.io/minio/minio@v1.2",
            "docker://quay.io/minio/minio:v1.2",
            "oci://quay.io/minio/minio:v1.2",
            "https://quay.io/minio/minio",
        ] {
            assert!(matches(name, image), "{name}");
        }
        for name in
            ["docker.io/minio/minio:v1.2", "minio:v1", "io/minio/minio", "Minio", "minio/minio/x"]
        {
            assert!(!matches(name, image), "{name}");
        }
        let pinned = format!("quay.io/minio/minio:v1.2@{digest}");
        assert!(!matches(&pinned, image), "the digest counts, not the tag");
        let by_digest =
            format!("pkg:docker/minio/minio@{}?repository_url=quay.io", digest.replace(':', "%3A"));
        assert!(matches(&pinned, &by_digest));
        assert_eq!(Name::parse(&pinned).unwrap().digest().unwrap().to_string(), digest);
        assert_eq!(Name::parse(&pinned).unwrap().to_string(), pinned);
        assert!(Name::parse("quay.io/minio/minio@sha256:412e").is_err());
    }

    #[test]
    fn docker_hub_and_ports_are_read_as_docker_reads_them() {
        let nginx = "pkg:docker/library/nginx@1.25?repository_url=docker.io";
        for name in [
            "nginx:1.25",
            "library/nginx:1.25",
            "docker.io/nginx:1.25",
            "docker.io/library/nginx:1.25",
            "index.docker.io/library/nginx:1.25",
            "docker.io/nginx",
        ] {
            assert!(matches(name, nginx), "{name}");
        }
        let local = "pkg:docker/team/app@v1?repository_url=127.0.0.1:5000";
        assert!(matches("127.0.0.1:5000/team/app:v1", local));
        assert!(matches("127.0.0.1:5000/team/app", local));
        let chart = "pkg:helm/minio@5.4.0?repository_url=http:%2F%2Fcharts.example:8080%2Fc%2F";
        for name in ["minio@5.4.0", "minio:5.4.0", "helm+http://charts.example:8080/c/minio@5.4.0"]
        {
            assert!(matches(name, chart), "{name}");
        }
    }

    #[test]
    fn a_slash_or_a_mark_may_belong_to_any_part() {
        for (name, purl) in [
            ("a/b@1", "pkg:generic/a%2Fb@1"),
            ("a/b:1", "pkg:generic/a%2Fb@1"),
            ("a/b@1", "pkg:generic/a/b@1"),
            ("blns@a@b", "pkg:generic/blns@a%40b"),
            ("blns@a:b", "pkg:generic/blns@a:b"),
            ("a@b@1", "pkg:generic/a%40b@1"),
            ("a:b", "pkg:generic/a:b@1"),
            ("@angular/core@16.0.0", "pkg:npm/%40angular/core@16.0.0"),
        ] {
            assert!(matches(name, purl), "{name} {purl}");
        }
    }

    #[test]
    fn the_shortest_name_is_read_back() {
        for (purl, shortest) in [
            ("pkg:generic/kubekey@v3.1.0", "kubekey@v3.1.0"),
            ("pkg:generic/a%2Fb@1", "a/b@1"),
            ("pkg:docker/minio/minio@v1?repository_url=quay.io", "quay.io/minio/minio:v1"),
            ("pkg:docker/library/nginx@1?repository_url=docker.io", "docker.io/library/nginx:1"),
            ("pkg:docker/x/y@sha256:ab?repository_url=quay.io", "quay.io/x/y@sha256:ab"),
        ] {
            assert_eq!(Name::shortest(&Purl::parse(purl).unwrap()), shortest);
        }
    }

    #[test]
    fn the_parts_that_can_be_a_name_are_few_and_have_every_name_that_matches() {
        for (text, purl) in [
            ("quay.io/minio/minio:v1", "pkg:docker/minio/minio@v1?repository_url=quay.io"),
            ("a/b@1", "pkg:generic/a%2Fb@1"),
            ("a@b@1", "pkg:generic/a%40b@1"),
            ("a:b", "pkg:generic/a:b@1"),
            ("@angular/core@16.0.0", "pkg:npm/%40angular/core@16.0.0"),
            ("tool@v1/2:3", "pkg:generic/tool@v1%2F2:3"),
        ] {
            let (name, purl) = (Name::parse(text).unwrap(), Purl::parse(purl).unwrap());
            assert!(name.matches(&purl), "{text}");
            let means = |(found, version): &(&str, Option<String>)| {
                *found == purl.name()
                    && version.as_ref().is_none_or(|version| Some(&**version) == purl.version())
            };
            assert!(name.names().iter().any(means), "{text}: {:?}", name.names());
        }
        let name = Name::parse("minio:v1").unwrap();
        assert_eq!(name.names(), [("minio", Some("v1".to_owned())), ("minio:v1", None)]);
        let hostile = Name::parse(&"a/b:".repeat(250)[..999]).unwrap();
        assert!(hostile.names().len() <= SPLITS * SPLITS, "{}", hostile.names().len());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            if let Ok(name) = Name::parse(&text) {
                let purl = Purl::parse("pkg:docker/minio/minio@v1?repository_url=quay.io").unwrap();
                let _ = (name.matches(&purl), name.path().len(), name.version());
            }
        }
    }
}
