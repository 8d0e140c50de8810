//! What a tag means, by the node's own policy: the publishers it trusts, of each the newest, and the most of them win.
//!
//! A pure decision over what the catalogue knows. As for all names, a forked feed means everything it said until it is
//! merged: where that is not one digest, it has no vote.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{PublisherId, ReleaseId};

use super::catalogue::{Catalogue, Image, Statement};
use super::digest::Digest;

/// What a tag means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// One digest, and the releases that say so; never empty.
    Found(Digest, Vec<ReleaseId>),
    /// No digest is signed by more publishers than another: who says what.
    Conflict(Vec<(PublisherId, Digest)>),
    /// Only these signed it, whom the user does not follow.
    Strangers(BTreeSet<PublisherId>),
    /// Trusted publishers took back what they had signed.
    Yanked,
    /// Nobody signed it.
    Unknown,
}

/// Decides what a tag of an image means.
pub(crate) fn meaning(
    catalogue: &Catalogue,
    image: &Image,
    tag: &str,
    trusted: &dyn Fn(&PublisherId) -> bool,
) -> Meaning {
    let statements = image.tags.get(tag).map(Vec::as_slice).unwrap_or_default();
    let (ours, strangers): (Vec<_>, Vec<_>) = statements.iter().partition(|s| trusted(&s.publisher));
    let valid: Vec<&Statement> =
        ours.iter().filter(|s| !catalogue.is_yanked(&s.publisher, &s.release)).copied().collect();
    if valid.is_empty() {
        return match (ours.is_empty(), strangers.is_empty()) {
            (false, _) => Meaning::Yanked,
            (true, true) => Meaning::Unknown,
            (true, false) => Meaning::Strangers(strangers.iter().map(|s| s.publisher).collect()),
        };
    }
    let said = said_by_each(catalogue, &valid);
    let mut votes: BTreeMap<Digest, (usize, Vec<ReleaseId>)> = BTreeMap::new();
    for statements in said.values() {
        // a fork that says two things has no vote
        if let [first, rest @ ..] = &statements[..]
            && rest.iter().all(|other| other.digest == first.digest)
        {
            let (count, releases) = votes.entry(first.digest).or_default();
            *count += 1;
            releases.extend(statements.iter().map(|s| s.release));
        }
    }
    let most = votes.values().map(|(count, _)| *count).max().unwrap_or(0);
    let mut winners = votes.into_iter().filter(|(_, (count, _))| *count == most);
    match (winners.next(), winners.next()) {
        (Some((digest, (_, releases))), None) => Meaning::Found(digest, releases),
        _ => {
            let said: BTreeSet<_> = said.values().flatten().map(|s| (s.publisher, s.digest)).collect();
            Meaning::Conflict(said.into_iter().collect())
        }
    }
}

/// The newest of each publisher; all of one whose feed is forked.
fn said_by_each<'a>(
    catalogue: &Catalogue,
    statements: &[&'a Statement],
) -> BTreeMap<PublisherId, Vec<&'a Statement>> {
    let mut said: BTreeMap<PublisherId, Vec<&Statement>> = BTreeMap::new();
    for statement in statements {
        let kept = said.entry(statement.publisher).or_default();
        if catalogue.is_forked(&statement.publisher) {
            kept.push(statement);
        } else if kept
            .first()
            .is_none_or(|last| (last.seq, last.release) < (statement.seq, statement.release))
        {
            *kept = vec![statement];
        }
    }
    said
}
