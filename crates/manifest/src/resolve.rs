//! Resolution of names: only through publishers that the user follows, or through the one that is
//! given.
//!
//! Owns that decision, as a pure function over what is known. Digests and release ids need no trust
//! and never come here.

use std::collections::BTreeMap;

use crate::{ArtifactListRef, ContentId, PublisherId, Purl, ReleaseId, Selector};

/// A release that a name could mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The id of the release.
    pub release: ReleaseId,
    /// The publisher that signed it.
    pub publisher: PublisherId,
    /// Its package URL.
    pub purl: Purl,
    /// Its artifact list. Two releases with one list have the same content.
    pub artifacts: ArtifactListRef,
    /// The content of that list, if it was here. Lists with one content name the same bytes, and
    /// may differ in where these came from.
    pub content: Option<ContentId>,
    /// Its sequence number in the publisher's feed; the later of two wins.
    pub seq: u64,
    /// Whether the publisher's feed is forked: if so, no later release replaces an earlier one.
    pub forked: bool,
}

impl Candidate {
    /// Whether both name the same bytes under the same paths, as far as their lists are known.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.artifacts.blob == other.artifacts.blob
            || self.content.is_some() && self.content == other.content
    }

    /// Whether the lists, which are not all known, may turn out to have one content.
    #[must_use]
    pub fn may_agree_with(&self, other: &Self) -> bool {
        let numbers = |candidate: &Self| (candidate.artifacts.count, candidate.artifacts.bytes);
        self.agrees_with(other)
            || (self.content.is_none() || other.content.is_none())
                && numbers(self) == numbers(other)
    }
}

/// The meaning of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// One set of bytes, on which all trusted publishers that know the name agree. Never empty;
    /// fetch the first.
    Found(Vec<Candidate>),
    /// Trusted publishers disagree on the bytes, or a forked feed disagrees with itself.
    Conflict(Vec<Candidate>),
    /// Several versions or projects match: the name must be more specific.
    Ambiguous(Vec<Candidate>),
    /// It was signed only by publishers that the user does not follow.
    Strangers(Vec<Candidate>),
    /// No known release has the name.
    NotFound,
}

impl Resolution {
    /// The candidates whose lists are not known, if all candidates may turn out to agree once these
    /// are here.
    #[must_use]
    pub fn undecided(&self) -> Vec<&Candidate> {
        let (Self::Conflict(all) | Self::Ambiguous(all)) = self else { return Vec::new() };
        let may_agree = all.iter().all(|candidate| {
            candidate.purl.unqualified() == all[0].purl.unqualified()
                && all.iter().all(|other| candidate.may_agree_with(other))
        });
        all.iter().filter(|candidate| may_agree && candidate.content.is_none()).collect()
    }
}

/// Resolves `selector`. With `only`, that publisher alone is trusted.
#[must_use]
pub fn resolve(
    selector: &Selector,
    trusted: impl Fn(&PublisherId) -> bool,
    only: Option<&PublisherId>,
    candidates: Vec<Candidate>,
) -> Resolution {
    let counts =
        |c: &Candidate| only.map_or_else(|| trusted(&c.publisher), |only| c.publisher == *only);
    let (named, others): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|c| selector.matches(&c.purl));
    let (mut ours, mut strangers): (Vec<_>, Vec<_>) = named.into_iter().partition(counts);
    if ours.is_empty() {
        // A name goes before the beginning of an id, as in git. A whole id needs no trust; its
        // beginning does, because another id that begins so is found in minutes.
        let whole = matches!(selector, Selector::Release(_));
        let of_id = others.into_iter().filter(|c| selector.is_release(&c.release));
        let (trusted, unknown): (Vec<_>, Vec<_>) = of_id.partition(|c| whole || counts(c));
        ours = trusted;
        strangers.extend(unknown);
    }
    if ours.is_empty() {
        return if strangers.is_empty() {
            Resolution::NotFound
        } else {
            Resolution::Strangers(strangers)
        };
    }
    if let Selector::Purl(wanted) = selector
        && ours.iter().any(|c| c.purl == *wanted)
    {
        ours.retain(|c| c.purl == *wanted);
    }
    let ours = newest_of_each(ours);
    let differ = |differ: &dyn Fn(&Candidate, &Candidate) -> bool| {
        ours.iter().any(|candidate| differ(candidate, &ours[0]))
    };
    let bytes = differ(&|one, other| !one.agrees_with(other));
    // The same from two registries, with the same bytes, is one.
    if differ(&|one, other| one.purl.unqualified() != other.purl.unqualified())
        || (bytes && differ(&|one, other| one.purl != other.purl))
    {
        return Resolution::Ambiguous(ours);
    }
    if bytes {
        return Resolution::Conflict(ours);
    }
    Resolution::Found(ours)
}

/// A publisher that released one purl several times means the last release; one whose feed is
/// forked means all of them.
fn newest_of_each(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let mut newest: BTreeMap<(String, PublisherId), Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let key = (candidate.purl.to_string(), candidate.publisher);
        let kept = newest.entry(key).or_default();
        if candidate.forked {
            kept.push(candidate);
        } else if kept
            .first()
            .is_none_or(|last| (last.seq, last.release) < (candidate.seq, candidate.release))
        {
            *kept = vec![candidate];
        }
    }
    newest.into_values().flatten().collect()
}

#[cfg(test)]
mod tests;
