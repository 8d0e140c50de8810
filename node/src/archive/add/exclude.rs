//! The patterns of files that an add leaves out.

use std::cell::RefCell;
use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::archive::ArchiveError;

/// Patterns, as given: one with a `/` inside means paths below a source, any other means names at
/// any depth.
pub(super) struct Excludes {
    given: Vec<String>,
    /// In the order of `given`; a pattern for paths matches no name, and the other way round.
    names: GlobSet,
    paths: GlobSet,
    used: RefCell<BTreeSet<usize>>,
}

impl Excludes {
    pub(super) fn new(given: &[String]) -> Result<Self, ArchiveError> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in given {
            let bad = |reason: String| ArchiveError::Pattern { pattern: pattern.clone(), reason };
            let trimmed = pattern.trim_end_matches('/');
            if trimmed.is_empty() {
                return Err(bad("it is empty".into()));
            }
            let path = trimmed.strip_prefix("./").unwrap_or(trimmed);
            let is_path = path.contains('/');
            let path = path.trim_start_matches('/');
            let glob = |text: &str| GlobBuilder::new(text).literal_separator(true).build();
            let glob = |text: &str| glob(text).map_err(|error| bad(error.kind().to_string()));
            // Nothing is named `/`.
            let (name, path) = if is_path { ("/", path) } else { (path, "/") };
            names.add(glob(name)?);
            paths.add(glob(path)?);
        }
        let bad = |error: globset::Error| ArchiveError::Pattern {
            pattern: given.join(" "),
            reason: error.to_string(),
        };
        Ok(Self {
            given: given.to_vec(),
            names: names.build().map_err(bad)?,
            paths: paths.build().map_err(bad)?,
            used: RefCell::default(),
        })
    }

    /// Whether a file or directory is left out.
    pub(super) fn matches(&self, name: &str, path: &str) -> bool {
        let mut matching = self.names.matches(name);
        matching.extend(self.paths.matches(path));
        self.used.borrow_mut().extend(&matching);
        !matching.is_empty()
    }

    /// The patterns that matched nothing so far.
    pub(super) fn useless(&self) -> Vec<String> {
        let used = self.used.borrow();
        let useless = self.given.iter().enumerate().filter(|(at, _)| !used.contains(at));
        useless.map(|(_, pattern)| pattern.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_at_any_depth_and_paths_from_the_top() {
        let given = ["*.log", ".git/", "/build", "docs/*.tmp", "a/**/z"].map(str::to_owned);
        let excludes = Excludes::new(&given).unwrap();
        for (path, left_out) in [
            ("x.log", true),
            ("deep/er/x.log", true),
            (".git", true),
            ("sub/.git", true),
            ("build", true),
            ("sub/build", false),
            ("docs/x.tmp", true),
            ("docs/y/x.tmp", false),
            ("x.tmp", false),
            ("a/b/c/z", true),
            ("x.logs", false),
        ] {
            let name = path.rsplit('/').next().unwrap();
            assert_eq!(excludes.matches(name, path), left_out, "{path}");
        }
        assert!(excludes.useless().is_empty());
        for bad in ["", "/", "a[", "{a"] {
            assert!(Excludes::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
