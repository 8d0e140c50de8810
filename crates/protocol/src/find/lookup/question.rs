//! The question of a look-up: what peers are asked, and which of their answers fit.

use std::time::Duration;

use perennial_manifest::{PublisherId, ReleaseId, Selector, SignedEntry};

use crate::message::{Bounded, MAX_FOUND, Request};

/// Longest duration of a look-up.
pub(crate) const LONGEST: Duration = Duration::from_secs(12);
/// Longest duration of a search: its answer is a list, which a silent peer may shorten.
pub(crate) const LONGEST_SEARCH: Duration = Duration::from_secs(5);
/// The question of a look-up.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The meaning of a name or digest, by one publisher or any.
    Meaning(Selector, Option<PublisherId>),
    /// The releases in which these words occur. Their entries are returned and not stored.
    Words(String),
}

impl Asked {
    /// How long peers may take to answer.
    pub(super) const fn longest(&self) -> Duration {
        match self {
            Self::Meaning(..) => LONGEST,
            Self::Words(_) => LONGEST_SEARCH,
        }
    }

    /// The request to each peer.
    pub(super) fn request(&self) -> Request {
        let limit = u16::try_from(MAX_FOUND).unwrap_or(u16::MAX);
        match self {
            Self::Meaning(Selector::Blob(blob), _) => {
                Request::Have { releases: Bounded::empty(), blobs: Bounded::first_of([*blob]) }
            }
            Self::Meaning(Selector::Sha256(digest), _) => {
                Request::ResolveSha256 { digest: *digest }
            }
            Self::Meaning(selector, publisher) => {
                Request::Find { selector: selector.to_string(), publisher: *publisher, limit }
            }
            Self::Words(text) => Request::Search { text: text.clone(), limit },
        }
    }

    pub(super) fn fits(&self, entry: &SignedEntry) -> bool {
        let Some((id, release)) = entry.release() else { return false };
        match self {
            // A peer may have found a word in the names of files, which the entry does not hold.
            Self::Words(_) => true,
            Self::Meaning(selector, publisher) => {
                publisher.is_none_or(|publisher| publisher == entry.entry().publisher)
                    && (selector.is_release(&id) || selector.matches(&release.purl))
            }
        }
    }

    /// The release whose id is looked up, if it is one.
    pub(super) const fn release(&self) -> Option<ReleaseId> {
        match self {
            Self::Meaning(Selector::Release(release), _) => Some(*release),
            _ => None,
        }
    }
}
