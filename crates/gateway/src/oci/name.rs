//! What repositories and tags are called: the grammar of the distribution specification, and how a name tells its registry.
//!
//! Owns the three spellings of one repository. Knows nothing of what exists.

use std::fmt;

use perennial_manifest::Purl;

/// Longest name of a repository, in bytes, as the reference registry has it.
const MAX_NAME: usize = 255;
/// Where images without a registry come from, in the minds of docker and of package URLs.
const DOCKER: &str = "docker.io";
/// The registry of what was pushed here under a bare name.
pub(crate) const HERE: &str = "localhost";

/// A repository of some registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Repository {
    /// The registry's `host[:port]`.
    pub(crate) registry: String,
    /// The path there.
    pub(crate) path: String,
}

/// A repository as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// With its registry.
    Full(Repository),
    /// By its path alone.
    Bare(String),
}

impl Repository {
    /// `host` and a path there; none where either breaks the grammar.
    fn new(registry: &str, path: &str) -> Option<Self> {
        let registry = match registry.to_ascii_lowercase().as_str() {
            "index.docker.io" | "registry-1.docker.io" | "hub.docker.com" => DOCKER.to_owned(),
            host => host.to_owned(),
        };
        if !is_registry(&registry) || !is_name(path) {
            return None;
        }
        let path = match registry == DOCKER && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        Some(Self { registry, path })
    }

    /// What a key of a release's `tags` names: `quay.io/kubesphere/ks-console:v3.4.1`.
    pub(crate) fn with_tag(text: &str) -> Option<(Self, &str)> {
        let (name, tag) = text.rsplit_once(':')?;
        let (registry, path) = name.split_once('/')?;
        is_tag(tag).then_some(())?;
        Some((Self::new(registry, path)?, tag))
    }

    /// What a package URL of an image names.
    pub(crate) fn of_purl(purl: &Purl) -> Option<Self> {
        let parsed: packageurl::PackageUrl<'_> = purl.as_str().parse().ok()?;
        let from = parsed.qualifiers().get("repository_url").map_or(DOCKER, |url| url.as_ref());
        let from = from.split_once("://").map_or(from, |(_, rest)| rest).trim_end_matches('/');
        let (registry, above) =
            from.split_once('/').map_or((from, None), |(host, path)| (host, Some(path)));
        let parts = [above, purl.namespace(), Some(purl.name())];
        Self::new(registry, &parts.into_iter().flatten().collect::<Vec<_>>().join("/"))
    }

    /// The package URL of a version of it.
    pub(crate) fn purl(&self, version: &str) -> Result<Purl, String> {
        let (namespace, name) =
            self.path.rsplit_once('/').map_or((None, &*self.path), |(a, b)| (Some(a), b));
        let text = |e: packageurl::Error| e.to_string();
        let mut purl = packageurl::PackageUrl::new("docker", name).map_err(text)?;
        if let Some(namespace) = namespace {
            purl.with_namespace(namespace).map_err(text)?;
        }
        purl.with_version(version).map_err(text)?;
        purl.add_qualifier("repository_url", self.registry.as_str()).map_err(text)?;
        Purl::parse(&purl.to_string()).map_err(|e| e.to_string())
    }

    /// The name to pull it by here: a port is written with `_`, as a colon would begin a tag.
    pub(crate) fn prefixed(&self) -> String {
        format!("{}/{}", self.registry.replace(':', "_"), self.path)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl Named {
    /// Reads the name in a request's path, with containerd's `ns` where that is given; none where it breaks the grammar.
    pub(crate) fn parse(name: &str, ns: Option<&str>) -> Option<Self> {
        if !is_name(name) {
            return None;
        }
        if let Some(ns) = ns {
            return Repository::new(ns, name).map(Self::Full);
        }
        if let Some((first, path)) = name.split_once('/')
            && let Some(registry) = registry_of(first)
        {
            return Repository::new(&registry, path).map(Self::Full);
        }
        Some(Self::Bare(name.to_owned()))
    }

    /// Where a push under this name goes: a bare one to [`HERE`], never to docker.io, which others publish at.
    pub(crate) fn target(self) -> Option<Repository> {
        match self {
            Self::Full(repository) => Some(repository),
            Self::Bare(path) => Repository::new(HERE, &path),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(repository) => repository.fmt(f),
            Self::Bare(path) => f.write_str(path),
        }
    }
}

/// The registry that the first component of a name stands for, if it does.
fn registry_of(first: &str) -> Option<String> {
    let ported = first.rsplit_once('_').filter(|(host, port)| !host.is_empty() && is_port(port));
    match ported {
        Some((host, port)) => Some(format!("{host}:{port}")),
        None => (first.contains('.') || first == HERE).then(|| first.to_owned()),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `host[:port]`, of letters, digits, dots and dashes.
fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let part = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        plain && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= MAX_NAME && host.split('.').all(part) && port.is_none_or(is_port)
}

/// `<name>` of the specification: components of lower-case letters and digits, with single separators between them.
fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && separators
        .filter(|s| !s.is_empty())
        .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

/// `<reference>` of the specification, where it is a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = text.bytes();
    text.len() <= 128
        && bytes.next().is_some_and(word)
        && bytes.all(|b| word(b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(registry: &str, path: &str) -> Option<Named> {
        Some(Named::Full(Repository { registry: registry.into(), path: path.into() }))
    }

    #[test]
    fn names_tell_their_registry_in_three_ways() {
        for (name, ns, expected) in [
            ("quay.io/kubesphere/ks-console", None, full("quay.io", "kubesphere/ks-console")),
            ("127.0.0.1_5000/x/y", None, full("127.0.0.1:5000", "x/y")),
            ("registry_5000/x", None, full("registry:5000", "x")),
            ("localhost/x", None, full("localhost", "x")),
            ("kubesphere/ks-console", Some("quay.io"), full("quay.io", "kubesphere/ks-console")),
            ("x/y", Some("127.0.0.1:5000"), full("127.0.0.1:5000", "x/y")),
            ("docker.io/alpine", None, full("docker.io", "library/alpine")),
            ("alpine", Some("registry-1.docker.io"), full("docker.io", "library/alpine")),
            ("kubesphere/ks-console", None, Some(Named::Bare("kubesphere/ks-console".into()))),
            ("my_app/x", None, Some(Named::Bare("my_app/x".into()))),
            ("quay.io", None, Some(Named::Bare("quay.io".into()))),
            ("x", Some("a/b"), None),
            ("x", Some("../.."), None),
            ("x", Some(""), None),
        ] {
            assert_eq!(Named::parse(name, ns), expected, "{name} {ns:?}");
        }
    }

    #[test]
    fn hostile_names_are_none() {
        let huge = "a/".repeat(200) + "a";
        for name in [
            "", "/", "a//b", "../a", "a/..", "a/%2e%2e", "A", "a b", "a/", "-a", "a..b", "a___b",
            "a\0", &huge,
        ] {
            assert_eq!(Named::parse(name, None), None, "{name}");
        }
        for name in ["a", "a-b", "a--b", "a.b", "a__b", "a_b/c.d/e-f", "0"] {
            assert!(is_name(name), "{name}");
        }
        for tag in ["", ".a", "-a", "a/b", "a b", "é", &"a".repeat(129)] {
            assert!(!is_tag(tag), "{tag}");
        }
        assert!(is_tag("_v1.0-rc.1") && is_tag(&"a".repeat(128)));
    }

    #[test]
    fn package_urls_and_tags_name_repositories_and_back() {
        for (purl, registry, path) in [
            (
                "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io",
                "quay.io",
                "kubesphere/ks-console",
            ),
            (
                "pkg:docker/x@1?repository_url=https://127.0.0.1:5000/team/",
                "127.0.0.1:5000",
                "team/x",
            ),
            ("pkg:docker/alpine@3", "docker.io", "library/alpine"),
        ] {
            let purl = Purl::parse(purl).expect("a package URL");
            let repository = Repository::of_purl(&purl).expect("a repository");
            assert_eq!((repository.registry.as_str(), repository.path.as_str()), (registry, path));
            let version = purl.version().expect("a version");
            let again = repository.purl(version).expect("a package URL");
            assert_eq!(
                (Repository::of_purl(&again), again.version()),
                (Some(repository), Some(version))
            );
        }
        let (repository, tag) = Repository::with_tag("127.0.0.1:5000/x/y:v1").expect("a tag");
        assert_eq!((repository.to_string().as_str(), tag), ("127.0.0.1:5000/x/y", "v1"));
        assert_eq!(repository.prefixed(), "127.0.0.1_5000/x/y");
        assert_eq!(Repository::with_tag("127.0.0.1:5000/x/y"), None);
        let digest = format!("sha256:{}", "a".repeat(64));
        assert!(repository.purl(&digest).is_ok_and(|purl| purl.version() == Some(&digest)));
    }
}
