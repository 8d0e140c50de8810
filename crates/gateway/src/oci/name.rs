//! The name by which a request refers to a repository, and how such a name states its registry.
//!
//! The grammar is that of [`perennial_oci`]. Nothing here knows which repositories exist.

use std::fmt;

use perennial_oci::{Repository, is_port, is_repository_name};

/// The registry of images that are pushed to this node under a bare name.
pub(crate) const HERE: &str = "localhost";

/// A repository as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// A name with its registry.
    Full(Repository),
    /// A path alone.
    Bare(String),
}

/// The name to pull a repository by from this node: a port is written with `_`, because a colon
/// starts a tag.
pub(crate) fn prefixed(repository: &Repository) -> String {
    format!("{}/{}", repository.registry().replace(':', "_"), repository.path())
}

impl Named {
    /// Parses the name in a request's path, with containerd's `ns` parameter if given; `None` if
    /// the name breaks the grammar.
    pub(crate) fn parse(name: &str, ns: Option<&str>) -> Option<Self> {
        if !is_repository_name(name) {
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

    /// The repository that a push under this name goes to. A bare name goes to [`HERE`], never to
    /// docker.io, where others publish.
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

/// The registry that a name's first component denotes, if it denotes one.
fn registry_of(first: &str) -> Option<String> {
    let ported = first.rsplit_once('_').filter(|(host, port)| !host.is_empty() && is_port(port));
    match ported {
        Some((host, port)) => Some(format!("{host}:{port}")),
        None => (first.contains('.') || first == HERE).then(|| first.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(registry: &str, path: &str) -> Option<Named> {
        Repository::new(registry, path).map(Named::Full)
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
    fn hostile_names_are_not_names() {
        let huge = "a/".repeat(200) + "a";
        for name in [
            "", "/", "a//b", "../a", "a/..", "a/%2e%2e", "A", "a b", "a/", "-a", "a..b", "a___b",
            "a\0", &huge,
        ] {
            assert_eq!(Named::parse(name, None), None, "{name}");
        }
    }
}
