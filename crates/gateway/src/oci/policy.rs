//! What a tag means, by the node's own policy: the publishers it trusts, of each the newest, and the most of them win.
//!
//! A pure decision over what the catalog knows. As for all names, a forked feed means everything it said until it is
//! merged: where that is not one digest, it has no vote.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use perennial_manifest::{PublisherId, ReleaseId};
use serde_json::json;

use super::digest::Digest;
use super::error::OciError;
use super::image_catalog::{Image, ImageCatalog, Statement};
use crate::http_error::HttpError;

/// Most publishers that an error names.
const TOLD: usize = 10;

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

impl Meaning {
    /// The digest and who says so, or why there is none. `full`: the tag with its repository.
    pub(crate) fn found(self, full: &str) -> Result<(Digest, Vec<ReleaseId>), OciError> {
        let missing =
            |message| Err(OciError::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message));
        match self {
            Self::Found(digest, releases) => Ok((digest, releases)),
            Self::Unknown => missing(HttpError::unknown(full).message),
            Self::Yanked => {
                missing(format!("{full} was taken back by who signed it; its digest still answers"))
            }
            Self::Strangers(who) => missing(strangers(full, &who)),
            Self::Conflict(said) => {
                let said =
                    said.iter().take(TOLD).map(|(who, digest)| format!("{who} says {digest}"));
                let said: Vec<String> = said.collect();
                let message = format!(
                    "{full} means different things to the publishers that this node follows: {}; ask by digest, or unfollow one",
                    said.join(", ")
                );
                // not a 404: it is there, and another mirror must not silently decide what we could not
                Err(OciError::new(StatusCode::CONFLICT, "DENIED", message).with(json!(said)))
            }
        }
    }
}

/// Says that only publishers signed something whom this node does not follow, and what to do about it.
pub(crate) fn strangers(what: &str, who: &BTreeSet<PublisherId>) -> String {
    let who: Vec<String> = who.iter().take(TOLD).map(ToString::to_string).collect();
    let first = who.first().map_or("PUBLISHER", String::as_str);
    format!(
        "{what} was signed only by publishers that this node does not follow: {}; `perennial follow {first}` makes it resolve",
        who.join(", "),
    )
}

/// Decides what a tag of an image means.
pub(crate) fn meaning(
    catalog: &ImageCatalog,
    image: &Image,
    tag: &str,
    trusted: &dyn Fn(&PublisherId) -> bool,
) -> Meaning {
    let statements = image.tags.get(tag).map(Vec::as_slice).unwrap_or_default();
    let (ours, strangers): (Vec<_>, Vec<_>) =
        statements.iter().partition(|s| trusted(&s.publisher));
    let valid: Vec<&Statement> =
        ours.iter().filter(|s| !catalog.is_yanked(&s.publisher, &s.release)).copied().collect();
    if valid.is_empty() {
        return match (ours.is_empty(), strangers.is_empty()) {
            (false, _) => Meaning::Yanked,
            (true, true) => Meaning::Unknown,
            (true, false) => Meaning::Strangers(strangers.iter().map(|s| s.publisher).collect()),
        };
    }
    let said = said_by_each(catalog, &valid);
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
            let said: BTreeSet<_> =
                said.values().flatten().map(|s| (s.publisher, s.digest)).collect();
            Meaning::Conflict(said.into_iter().collect())
        }
    }
}

/// The newest of each publisher; all of one whose feed is forked.
fn said_by_each<'a>(
    catalog: &ImageCatalog,
    statements: &[&'a Statement],
) -> BTreeMap<PublisherId, Vec<&'a Statement>> {
    let mut said: BTreeMap<PublisherId, Vec<&Statement>> = BTreeMap::new();
    for statement in statements {
        let kept = said.entry(statement.publisher).or_default();
        if catalog.is_forked(&statement.publisher) {
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
