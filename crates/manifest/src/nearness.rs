//! Near misses: the names that a user may have meant who gave one that means nothing.

use crate::{Purl, Selector};

/// Letters by which a name may differ from the one given.
const TYPOS: usize = 2;
/// Shortest name, in letters, in which typing errors are looked for.
const SHORTEST: usize = 4;

impl Selector {
    /// How near the name of `purl` is; the smallest is the nearest. `None` if it is too far away,
    /// and for ids and digests, which have no neighbours.
    #[must_use]
    pub fn nearness(&self, purl: &Purl) -> Option<u8> {
        let (path, version) = self.parts()?;
        let (path, name) = (path.to_lowercase(), purl.name().to_lowercase());
        let last = path.rsplit('/').next().unwrap_or_default();
        let name = match () {
            () if name == path || name == last => 0,
            () if last.len() >= SHORTEST && typos(last, &name) <= TYPOS => 4,
            () => return None,
        };
        Some(name + version.map_or(0, |given| of_versions(given, purl.version())))
    }
}

impl Selector {
    /// The last part of the name, for a search.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        self.parts().and_then(|(path, _)| path.rsplit('/').next())
    }

    fn parts(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Self::Name(name) => Some((name.path(), name.version())),
            Self::Purl(purl) => Some((purl.name(), purl.version())),
            Self::ReleasePrefix(text) => Some((text, None)),
            Self::Release(_) | Self::Blob(_) | Self::Sha256(_) => None,
        }
    }
}

fn of_versions(given: &str, theirs: Option<&str>) -> u8 {
    let plain = |text: &str| text.to_lowercase().trim_start_matches('v').to_owned();
    let (given, theirs) = (plain(given), plain(theirs.unwrap_or_default()));
    match () {
        () if given == theirs => 1,
        () if theirs.starts_with(&given) || given.starts_with(&theirs) => 2,
        () => 3,
    }
}

/// The letters to change, insert or leave out between two texts, or more than [`TYPOS`].
fn typos(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > TYPOS {
        return TYPOS + 1;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, theirs) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != theirs);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_ranked_and_others_left_out() {
        let purl = Purl::parse("pkg:generic/kubekey@v3.1.0").unwrap();
        let near = |given: &str| given.parse::<Selector>().unwrap().nearness(&purl);
        let ranks: Vec<_> = [
            "Kubekey",
            "kubekey:3.1.0",
            "kubekey@v3.1",
            "quay.io/x/kubekey@v2",
            "kubkey@v3.1.0",
            "KubeKye@9",
        ]
        .map(near)
        .into();
        let expected = [Some(0), Some(1), Some(2), Some(3), Some(5), Some(7)];
        assert_eq!(ranks, expected);
        for other in ["kube", "minio@v3.1.0", "sha256", "key"] {
            assert_eq!(near(other), None, "{other}");
        }
        assert_eq!(near(&"ab".repeat(32)), None);
    }
}
