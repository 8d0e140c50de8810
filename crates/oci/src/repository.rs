//! Repositories: the grammar of their names, and one spelling for each.
//!
//! Owns the grammar of the distribution specification for registries, names and tags. Knows nothing
//! of what exists.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use packageurl::PackageUrl;
use perennial_manifest::{Purl, PurlError};

/// Longest name of a registry or repository, in bytes, as in the reference registry.
const MAX_NAME: usize = 255;
/// Longest tag, in bytes.
const MAX_TAG: usize = 128;
/// The registry of names that state none, for docker and for package URLs.
const DOCKER: &str = "docker.io";

/// A repository of a registry: `quay.io/kubesphere/ks-console`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// The repository `path` of a registry (`host[:port]`). Hosts get one spelling, Docker Hub
    /// gets its one name, and its official images their `library/`.
    ///
    /// `None` if either part breaks the grammar.
    #[must_use]
    pub fn new(registry: &str, path: &str) -> Option<Self> {
        let registry = match one_spelling(registry).as_str() {
            "index.docker.io" | "registry-1.docker.io" | "hub.docker.com" => DOCKER.to_owned(),
            host => host.to_owned(),
        };
        if !is_registry(&registry) || !is_repository_name(path) {
            return None;
        }
        let path = match registry == DOCKER && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        Some(Self { registry, path })
    }

    /// Reads a name as docker does: one without a registry is Docker Hub's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.split_once('/') {
            Some((registry, path)) if starts_with_registry(name) => Self::new(registry, path),
            _ => Self::new(DOCKER, name),
        }
    }

    /// Reads a tag with its repository, as the `tags` of a release hold it:
    /// `quay.io/kubesphere/ks-console:v3.4.1`.
    #[must_use]
    pub fn with_tag(text: &str) -> Option<(Self, &str)> {
        let (name, tag) = text.rsplit_once(':')?;
        let (registry, path) = name.split_once('/')?;
        is_tag(tag).then_some(())?;
        Some((Self::new(registry, path)?, tag))
    }

    /// The repository that a package URL of an image names.
    #[must_use]
    pub fn of_purl(purl: &Purl) -> Option<Self> {
        let parsed: PackageUrl<'_> = purl.as_str().parse().ok()?;
        let from = parsed.qualifiers().get("repository_url").map_or(DOCKER, |url| url.as_ref());
        let from = from.split_once("://").map_or(from, |(_, rest)| rest).trim_end_matches('/');
        let (registry, above) =
            from.split_once('/').map_or((from, None), |(host, path)| (host, Some(path)));
        let parts = [above, purl.namespace(), Some(purl.name())];
        Self::new(registry, &parts.into_iter().flatten().collect::<Vec<_>>().join("/"))
    }

    /// The package URL of a version of it:
    /// `pkg:docker/<path>@<version>?repository_url=<registry>`.
    ///
    /// # Errors
    /// [`PurlError`] if the result is too long or the version cannot stand in a package URL.
    pub fn purl(&self, version: &str) -> Result<Purl, PurlError> {
        let failed = |error: packageurl::Error| PurlError::Grammar {
            text: format!("{self}@{version}"),
            reason: error.to_string(),
        };
        let (namespace, name) =
            self.path.rsplit_once('/').map_or((None, &*self.path), |(a, b)| (Some(a), b));
        let mut purl = PackageUrl::new("docker", name).map_err(failed)?;
        if let Some(namespace) = namespace {
            purl.with_namespace(namespace).map_err(failed)?;
        }
        purl.with_version(version).map_err(failed)?;
        purl.add_qualifier("repository_url", self.registry.as_str()).map_err(failed)?;
        Purl::parse(&purl.to_string())
    }

    /// The registry's `host[:port]`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Whether the registry is that of a machine itself (`localhost`, `127.0.0.1:5000`): a name
    /// that every machine has, for registries that have nothing to do with each other.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let (host, _) = host_and_port(&self.registry);
        let is_loopback = host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || ipv6(host).is_some_and(|address| address.is_loopback());
        host == "localhost" || is_loopback
    }

    /// The path at the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// Whether a name begins with a registry, by docker's rule: a first component that holds a dot or a
/// colon, or is `localhost`.
#[must_use]
pub fn starts_with_registry(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

/// The host of a registry, with its brackets if it is an IPv6 address, and the port.
fn host_and_port(registry: &str) -> (&str, Option<&str>) {
    let end = if registry.starts_with('[') { registry.find(']') } else { None };
    match registry[end.unwrap_or(0)..].find(':').map(|at| at + end.unwrap_or(0)) {
        Some(at) => (&registry[..at], Some(&registry[at + 1..])),
        None => (registry, None),
    }
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// A registry in its one spelling: in lower case, without the dot with which a full name of the
/// DNS may end, and with the shortest form of an IPv6 address.
fn one_spelling(registry: &str) -> String {
    let (host, port) = host_and_port(registry);
    let host = match ipv6(host) {
        Some(address) => format!("[{address}]"),
        None => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    };
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

/// Whether a text is a port: digits, from 1 to 65535.
#[must_use]
pub fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `host[:port]`, of lower-case letters, digits, dots and dashes, or with an IPv6 address.
fn is_registry(text: &str) -> bool {
    let (host, port) = host_and_port(text);
    let part = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        plain && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    let is_host = ipv6(host).is_some() || host.split('.').all(part);
    text.len() <= MAX_NAME && is_host && port.is_none_or(is_port)
}

/// `<name>` of the specification: components of lower-case letters and digits with single
/// separators between them.
#[must_use]
pub fn is_repository_name(text: &str) -> bool {
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

/// Whether a text is a tag: letters, digits, `_`, `.` and `-`, at most 128, the first neither `.`
/// nor `-`.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = text.bytes();
    text.len() <= MAX_TAG
        && bytes.next().is_some_and(word)
        && bytes.all(|b| word(b) || matches!(b, b'.' | b'-'))
}
