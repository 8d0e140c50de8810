//! The versions of a chart that an index lists, in their order.

use semver::Version;

use super::index::Listed;

/// Versions that an error names, at most.
const NAMED: usize = 5;

/// The version as written; or else the same one with or without a `v`, or with `_` for `+`, as tags
/// have it; or else the only one that differs from it in its build metadata, which is no part of a
/// version's order.
pub(super) fn exactly<'a>(all: &'a [Listed], wanted: &str) -> Option<&'a Listed> {
    let plain = |text: &str| text.strip_prefix('v').unwrap_or(text).replace('_', "+");
    let is = |listed: &&Listed| listed.version.as_deref() == Some(wanted);
    let is_nearly = |listed: &&Listed| listed.version.as_deref().map(plain) == Some(plain(wanted));
    let without_build = |listed: &Listed| {
        let text = plain(listed.version.as_deref()?);
        text.split_once('+').map(|(text, _)| text.to_owned())
    };
    let found = all.iter().find(is).or_else(|| all.iter().find(is_nearly));
    found.or_else(|| {
        let wanted = plain(wanted);
        let mut of_it = all.iter().filter(|listed| without_build(listed).as_ref() == Some(&wanted));
        of_it.next().filter(|_| of_it.next().is_none())
    })
}

/// The newest version that is not a pre-release.
pub(super) fn newest(all: &[Listed]) -> Option<&Listed> {
    let version = |listed: &Listed| {
        parsed(listed.version.as_deref()?).filter(|version| version.pre.is_empty())
    };
    let known = all.iter().filter_map(|listed| Some((version(listed)?, listed)));
    known.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, listed)| listed)
}

/// A version as Helm reads it: with a `v` or without, with one part or three, with zeros in front.
fn parsed(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let parts: Option<Vec<u64>> = text[..end].split('.').map(|part| part.parse().ok()).collect();
    let [major, minor, patch] = match parts?[..] {
        [major] => [major, 0, 0],
        [major, minor] => [major, minor, 0],
        [major, minor, patch] => [major, minor, patch],
        _ => return None,
    };
    Version::parse(&format!("{major}.{minor}.{patch}{}", &text[end..])).ok()
}

/// The newest versions that are listed, for an error.
pub(super) fn nearest(all: &[Listed]) -> String {
    let mut known: Vec<_> = all
        .iter()
        .filter_map(|listed| {
            Some((parsed(listed.version.as_deref()?)?, listed.version.as_deref()?))
        })
        .collect();
    known.sort_by(|(a, _), (b, _)| b.cmp(a));
    let named: Vec<_> = known.iter().take(NAMED).map(|(_, text)| *text).collect();
    match known.len().saturating_sub(NAMED) {
        0 if named.is_empty() => String::new(),
        0 => format!("; there are {}", named.join(", ")),
        more => format!("; there are {} and {more} more", named.join(", ")),
    }
}
