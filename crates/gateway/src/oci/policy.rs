//! Resolves tags by the node's policy: each trusted publisher's newest statement is a
//! vote, and the digest with the most votes wins.
//!
//! A pure decision over a snapshot. As with all names, every statement of a forked feed counts
//! until the fork is merged: if they name more than one digest, the feed has no vote.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use perennial_manifest::{PublisherId, ReleaseId};
use perennial_oci::Digest;
use serde_json::json;

use super::error::OciError;
use super::image_catalog::{Image, Statement};
use super::snapshot::Snapshot;
use crate::http_error::HttpError;

/// Publishers named in one error, at most.
const NAMED: usize = 10;

/// The meaning of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// One digest, and the releases that say so; never empty.
    Found(Digest, Vec<ReleaseId>),
    /// No single digest has the most votes; holds each publisher's statement.
    Conflict(Vec<(PublisherId, Digest)>),
    /// Only these publishers signed the tag, and the user follows none of them.
    Strangers(BTreeSet<PublisherId>),
    /// Trusted publishers yanked every release of the tag.
    Yanked,
    /// All that is said of the tag is on this node's deny list; why.
    Denied(String),
    /// No publisher signed the tag.
    Unknown,
}

impl Meaning {
    /// The digest and the releases that say so, or the reason why there is none. `full` is the tag
    /// with its repository, for the error.
    pub(crate) fn found(self, full: &str) -> Result<(Digest, Vec<ReleaseId>), OciError> {
        let missing =
            |message| Err(OciError::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message));
        match self {
            Self::Found(digest, releases) => Ok((digest, releases)),
            Self::Unknown => missing(HttpError::unknown(full).message),
            Self::Denied(why) => {
                Err(OciError::new(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, "DENIED", why))
            }
            Self::Yanked => missing(format!("{full} was taken back by its publisher")),
            Self::Strangers(publishers) => missing(strangers(full, &publishers)),
            Self::Conflict(said) => {
                let said: Vec<String> = said
                    .iter()
                    .take(NAMED)
                    .map(|(publisher, digest)| format!("{publisher} says {digest}"))
                    .collect();
                let message = format!(
                    "the publishers that this node follows disagree on {full}: {}; ask by digest, \
                     or unfollow one",
                    said.join(", ")
                );
                // Not a 404: the tag exists, and the client must not silently ask another mirror.
                Err(OciError::new(StatusCode::CONFLICT, "DENIED", message).with(json!(said)))
            }
        }
    }
}

/// The message for a tag signed only by publishers this node does not follow, and what to do about
/// it.
pub(crate) fn strangers(what: &str, publishers: &BTreeSet<PublisherId>) -> String {
    let publishers: Vec<String> = publishers.iter().take(NAMED).map(ToString::to_string).collect();
    let first = publishers.first().map_or("PUBLISHER", String::as_str);
    format!(
        "{what} was signed only by publishers that this node does not follow: {}; \
         `perennial follow {first}` makes it resolve",
        publishers.join(", "),
    )
}

/// Resolves a tag of an image.
pub(crate) fn meaning(snapshot: &Snapshot, image: &Image, tag: &str) -> Meaning {
    let statements = image.tags.get(tag).map(Vec::as_slice).unwrap_or_default();
    let denial = |said: &Statement| snapshot.denial(&said.publisher, &said.release);
    let mut denied = statements.iter().filter_map(denial);
    if let Some(why) = denied.next()
        && denied.count() + 1 == statements.len()
    {
        return Meaning::Denied(why.to_owned());
    }
    let statements = statements.iter().filter(|said| denial(said).is_none());
    let (ours, strangers): (Vec<_>, Vec<_>) =
        statements.partition(|statement| snapshot.counts(image, &statement.publisher));
    let is_yanked = |s: &Statement| snapshot.images.is_yanked(&s.publisher, &s.release);
    let valid: Vec<&Statement> = ours.iter().filter(|s| !is_yanked(s)).copied().collect();
    if valid.is_empty() {
        let is_stranger = |s: &&&Statement| !snapshot.trusts(&s.publisher);
        let strangers: BTreeSet<PublisherId> =
            strangers.iter().filter(is_stranger).map(|s| s.publisher).collect();
        return match (ours.is_empty(), strangers.is_empty()) {
            (false, _) => Meaning::Yanked,
            (true, true) => Meaning::Unknown,
            (true, false) => Meaning::Strangers(strangers),
        };
    }
    let said = said_by_each(snapshot, &valid);
    let mut votes: BTreeMap<Digest, (usize, Vec<ReleaseId>)> = BTreeMap::new();
    for statements in said.values() {
        // A fork with two different statements has no vote.
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

/// Each publisher's newest statement; all statements of a publisher whose feed is forked.
fn said_by_each<'a>(
    snapshot: &Snapshot,
    statements: &[&'a Statement],
) -> BTreeMap<PublisherId, Vec<&'a Statement>> {
    let mut said: BTreeMap<PublisherId, Vec<&Statement>> = BTreeMap::new();
    for statement in statements {
        let kept = said.entry(statement.publisher).or_default();
        if snapshot.images.is_forked(&statement.publisher) {
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
