//! Paths that cannot be in one list, because some file system would make them one.

use crate::ArtifactPath;

/// Two paths of which some file system would make one, or of which one is the other's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The path that comes first.
    pub first: ArtifactPath,
    /// The other one.
    pub second: ArtifactPath,
    /// `first` would be a file and a directory.
    pub nested: bool,
}

/// All clashes among the paths of a list, each with the path next to it.
#[must_use]
pub fn clashes<'a>(paths: impl IntoIterator<Item = &'a ArtifactPath>) -> Vec<Clash> {
    // With NUL, which no path contains, in place of `/`, a file sorts right before what would be
    // inside it, so that comparing neighbours is enough. Keys are folded, so `docs` with `Docs/a`
    // is found too.
    let mut keys: Vec<(String, &ArtifactPath)> =
        paths.into_iter().map(|path| (path.twin_key().replace('/', "\0"), path)).collect();
    keys.sort();
    let mut clashes = Vec::new();
    let Some((mut first, rest)) = keys.split_first() else { return clashes };
    for second in rest {
        let nested = match second.0.strip_prefix(first.0.as_str()) {
            Some("") => false,
            Some(rest) if rest.starts_with('\0') => true,
            _ => {
                first = second;
                continue;
            }
        };
        // The next one is compared with the same path: there may be three of a kind.
        clashes.push(Clash { first: first.1.clone(), second: second.1.clone(), nested });
    }
    clashes
}
