//! The order in which people expect releases to be listed: by name, then by version, numbers as
//! numbers. It decides nothing; versions of different schemes have no order that means more.

use std::cmp::Ordering;

use crate::Purl;

impl Purl {
    /// Compares for lists: by type, namespace and name, then by version, where `10` comes after `9`
    /// and `1.0-rc1` before `1.0`, then by the rest.
    #[must_use]
    pub fn cmp_for_lists(&self, other: &Self) -> Ordering {
        let name = |purl: &Self| {
            (purl.ty().to_owned(), purl.namespace().map(str::to_owned), purl.name().to_owned())
        };
        let version = |purl: &Self| purl.version().unwrap_or_default().to_owned();
        name(self)
            .cmp(&name(other))
            .then_with(|| natural(&version(self), &version(other)))
            .then_with(|| self.as_str().cmp(other.as_str()))
    }
}

/// Compares runs of digits as numbers, and all else as text.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let order = rank(one).cmp(&rank(other));
        if order != Ordering::Equal || one.is_empty() {
            return order;
        }
        let (left, right) = (run(one), run(other));
        (one, other) = (&one[left.len()..], &other[right.len()..]);
        let order = if left.starts_with(digit) && right.starts_with(digit) {
            let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        } else {
            left.cmp(right)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// What a version goes on with: the mark of a version before it, nothing, or more.
fn rank(rest: &str) -> u8 {
    match (rest.is_empty(), is_before(rest)) {
        (true, _) => 1,
        (false, true) => 0,
        (false, false) => 2,
    }
}

/// Whether the end of a version makes it one from before the version without it: `-rc1`, `~beta`.
fn is_before(end: &str) -> bool {
    let mut chars = end.chars();
    matches!(chars.next(), Some('-' | '~')) && chars.next().is_some_and(|c| !digit(c))
}

fn digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// The digits, or the other characters, at the beginning.
fn run(text: &str) -> &str {
    let digits = text.starts_with(digit);
    let end = text.find(|c| digit(c) != digits).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        let versions = [
            "1.0-rc1",
            "1.0-rc10",
            "1.0",
            "1.0-1",
            "1.0.1",
            "1.2",
            "1.10",
            "1.10.0",
            "2",
            "10",
            "100000000000000000000000000000001",
            "v1.0.0-alpha",
            "v1.0.0",
            "v1.9",
            "v1.10",
        ];
        let purl = |version: &str| Purl::generic("thing", version).unwrap();
        for (at, one) in versions.iter().enumerate() {
            for (other_at, other) in versions.iter().enumerate() {
                let order = purl(one).cmp_for_lists(&purl(other));
                assert_eq!(order, at.cmp(&other_at), "{one} {other}");
            }
        }
        let other = Purl::generic("a-thing", "99").unwrap();
        assert_eq!(other.cmp_for_lists(&purl("1")), Ordering::Less);
    }
}
