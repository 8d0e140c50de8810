//! Names that do not resolve to one release: why, and what to do next.

use perennial_manifest::{MIN_PREFIX, Name, PublisherId, Purl, Selector};
use perennial_operation::ErrorKind;

use super::Claim;
use crate::archive::error::ASK_A_PEER;

/// A name that does not resolve to one release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unresolved {
    /// Neither this node nor a peer knows the name.
    #[error(
        "{selector} is not known on this node, and {}{}{}",
        asked_text(.asked),
        near_text(.near),
        short_id_text(.selector)
    )]
    NotFound {
        /// The name looked up.
        selector: Selector,
        /// Names that may be meant instead, nearest first.
        near: Vec<Purl>,
        /// Number of peers that answered; `None` if none were asked.
        asked: Option<usize>,
    },
    /// Only publishers that this node does not trust signed the name, or others than the one given.
    #[error("{}", strangers_text(.selector, .only))]
    Strangers {
        /// The name looked up.
        selector: Selector,
        /// The publisher that was asked for.
        only: Option<PublisherId>,
        /// Each publisher's statement.
        claims: Vec<Claim>,
    },
    /// Trusted publishers disagree, or a forked feed contradicts itself.
    #[error("{selector}: its publishers disagree on its bytes")]
    Conflict {
        /// The name looked up.
        selector: Selector,
        /// Each publisher's statement.
        claims: Vec<Claim>,
    },
    /// Several versions or packages match.
    #[error("{selector} can mean several releases")]
    Ambiguous {
        /// The name looked up.
        selector: Selector,
        /// Each publisher's statement.
        claims: Vec<Claim>,
    },
}

fn asked_text(asked: &Option<usize>) -> String {
    match asked {
        None => "no peer was asked".to_owned(),
        Some(0) => "no peer could be asked".to_owned(),
        Some(1) => "the one peer that answered does not know it".to_owned(),
        Some(peers) => format!("the {peers} peers that answered do not know it"),
    }
}

fn near_text(near: &[Purl]) -> String {
    let names: Vec<_> = near.iter().map(Name::shortest).collect();
    if names.is_empty() { String::new() } else { format!("; known are: {}", names.join(", ")) }
}

/// The rule that a few digits of a release id break.
fn short_id_text(selector: &Selector) -> String {
    match selector.is_short_id() {
        true => format!("; a release id takes at least {MIN_PREFIX} of its digits"),
        false => String::new(),
    }
}

fn strangers_text(selector: &Selector, only: &Option<PublisherId>) -> String {
    match only {
        Some(only) => format!("{only} signed no {selector}; these publishers did"),
        None => format!("{selector} was signed only by publishers that you do not trust"),
    }
}

impl Unresolved {
    pub(in crate::archive) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Strangers { .. } => ErrorKind::Strangers,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Ambiguous { .. } => ErrorKind::Ambiguous,
        }
    }

    pub(in crate::archive) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { near, .. } if !near.is_empty() => {
                Some("give one of these names, or ask another node: --peer HOST:PORT")
            }
            Self::NotFound { selector: Selector::ReleasePrefix(_), .. } => Some(
                "a release id may be cut to its first 4 or more digits, if no other begins with \
                 them; another node may know it: --peer HOST:PORT",
            ),
            Self::NotFound { asked: None | Some(0), .. } => Some(ASK_A_PEER),
            Self::NotFound { .. } => Some(
                "`perennial search WORD` finds parts of names; another node may know it: --peer \
                 HOST:PORT",
            ),
            Self::Strangers { only: Some(_), .. } => Some(
                "nothing was fetched; name one of them with --publisher DID, or give the release \
                 id, which needs no trust",
            ),
            Self::Strangers { selector: Selector::ReleasePrefix(_), .. } => Some(
                "nothing was fetched; the beginning of an id counts only for publishers that you \
                 trust: give the whole id, which needs no trust",
            ),
            Self::Strangers { .. } => Some(
                "nothing was fetched; trust one of them (`perennial trust DID`, or `follow DID` to \
                 keep its releases, too), name one for this command with --publisher DID, or ask \
                 for the release id, which needs no trust",
            ),
            Self::Conflict { .. } => Some("choose one with --publisher DID"),
            Self::Ambiguous { selector: Selector::ReleasePrefix(_), .. } => {
                Some("give more digits: the beginning of an id counts while no other begins so")
            }
            Self::Ambiguous { selector: Selector::Sha256(_) | Selector::Release(_), .. } => {
                Some("it is a part of each of them: get one by its release id")
            }
            Self::Ambiguous { .. } => {
                Some("add @VERSION, or give the package URL or the release id")
            }
        }
    }

    pub(in crate::archive) fn claims(&self) -> &[Claim] {
        match self {
            Self::NotFound { .. } => &[],
            Self::Strangers { claims, .. }
            | Self::Conflict { claims, .. }
            | Self::Ambiguous { claims, .. } => claims,
        }
    }
}
