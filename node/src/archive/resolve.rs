//! Resolves the user's selectors to releases and blobs.
//!
//! Names resolve through trust (`perennial_manifest::resolve`) and, if this node has no answer,
//! through peers; digests need no trust (`resolve/digest`). Releases of untrusted publishers are
//! never fetched by name.

mod digest;
mod meaning;

use std::collections::BTreeSet;
use std::time::Duration;

use perennial_manifest::{
    Admit, Candidate, MIN_PREFIX, Name, PublisherId, PublisherKind, Purl, Resolution, Selector,
    SignedEntry, resolve,
};
use perennial_operation::{ErrorKind, Progress, Stage};
use perennial_store::{Store, StoreError};
use tokio::time::Instant;

use super::error::ASK_A_PEER;
use super::{Archive, ArchiveError, Observer};

pub use digest::FetchedBlob;
pub(super) use digest::likely_size;
pub(crate) use meaning::Meaning;
pub(super) use meaning::is_unknown;

/// Near misses named in one error, at most.
const NEAR: usize = 5;

/// How long an entry from a peer waits for the earlier entries of its feed.
const FEED_WAIT: Duration = Duration::from_secs(10);

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
        None => format!("{selector} was signed only by publishers that you do not follow"),
    }
}

impl Unresolved {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Strangers { .. } => ErrorKind::Strangers,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Ambiguous { .. } => ErrorKind::Ambiguous,
        }
    }

    pub(super) fn hint(&self) -> Option<&'static str> {
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
                 follow: give the whole id, which needs no trust",
            ),
            Self::Strangers { .. } => Some(
                "nothing was fetched; follow one of them (`perennial follow DID`), name one for \
                 this command with --publisher DID, or ask for the release id, which needs no \
                 trust",
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

    pub(super) fn claims(&self) -> &[Claim] {
        match self {
            Self::NotFound { .. } => &[],
            Self::Strangers { claims, .. }
            | Self::Conflict { claims, .. }
            | Self::Ambiguous { claims, .. } => claims,
        }
    }
}

/// One publisher's statement about a name.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The release, its name and its publisher.
    pub candidate: Candidate,
    /// The kind that the publisher declares in its profile.
    pub kind: PublisherKind,
    /// The name under which the user follows the publisher.
    pub name: Option<String>,
    /// Number of files.
    pub artifacts: u64,
    /// Total size of all files in bytes.
    pub bytes: u64,
    /// When the publisher claims to have signed it, in Unix seconds.
    pub issued_at: u64,
}

impl Claim {
    fn of(store: &Store, candidate: Candidate) -> Result<Self, StoreError> {
        let row = store.release(&candidate.release)?;
        Ok(Self {
            kind: store.publisher_kind(&candidate.publisher)?.unwrap_or_default(),
            name: store.follows().publishers.get(&candidate.publisher).cloned().flatten(),
            artifacts: row.as_ref().map_or(0, |row| u64::from(row.artifacts.count)),
            bytes: row.as_ref().map_or(0, |row| row.artifacts.bytes),
            issued_at: row.as_ref().map_or(0, |row| row.issued_at),
            candidate,
        })
    }
}

impl Archive {
    /// Resolves a name by the publishers that this node follows, or by `only`. If this node has no
    /// answer and `ask` is set, peers are asked. All candidates agree on the bytes; the first is
    /// the one to fetch. Never empty.
    ///
    /// # Errors
    /// [`Unresolved`], or the store's error.
    pub async fn resolve(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        ask: bool,
        observer: &dyn Observer,
    ) -> Result<Vec<Candidate>, ArchiveError> {
        let mut resolution = self.resolve_here(selector, only).await?;
        let (mut asked, mut unreached) = (None, Vec::new());
        if ask && !matches!(resolution, Resolution::Found(_) | Resolution::Conflict(_)) {
            observer.progress(Progress::of(Stage::Connecting));
            unreached = self.network.connected().await;
            observer.progress(Progress::of(Stage::Finding));
            let answer = self.network.lookup(selector.clone(), only).await;
            asked = Some(answer.answered);
            self.take_in(answer.entries).await?;
            resolution = self.resolve_here(selector, only).await?;
        }
        let selector = selector.clone();
        let unresolved = match resolution {
            Resolution::Found(agreeing) => return Ok(agreeing),
            Resolution::NotFound if asked == Some(0) && !unreached.is_empty() => {
                return Err(ArchiveError::Unreached(unreached));
            }
            Resolution::NotFound => {
                let near = self.near(&selector, asked).await?;
                Unresolved::NotFound { selector, near, asked }
            }
            Resolution::Strangers(all) => {
                Unresolved::Strangers { selector, only, claims: self.claims(all).await? }
            }
            Resolution::Conflict(all) => {
                Unresolved::Conflict { selector, claims: self.claims(all).await? }
            }
            Resolution::Ambiguous(all) => {
                Unresolved::Ambiguous { selector, claims: self.claims(all).await? }
            }
        };
        Err(Box::new(unresolved).into())
    }

    /// As [`Archive::resolve`], to look only: a name that only strangers signed means their
    /// release, if it is one.
    ///
    /// # Errors
    /// As for [`Archive::resolve`]; [`Unresolved::Ambiguous`] or [`Unresolved::Conflict`] if
    /// strangers signed several releases of the name.
    pub async fn look(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        observer: &dyn Observer,
    ) -> Result<Vec<Candidate>, ArchiveError> {
        let error = match self.meaning(selector, only, true, observer).await {
            Ok(Meaning::Release(found)) => return Ok(found),
            Ok(Meaning::Blob { sha256: Some(digest), .. }) => {
                return self.with_file(selector, digest).await;
            }
            Ok(Meaning::Blob { .. }) => {
                return self.resolve(selector, only, false, observer).await;
            }
            Err(ArchiveError::Unresolved(error)) => error,
            Err(other) => return Err(other),
        };
        let Unresolved::Strangers { selector, only: None, claims } = *error else {
            return Err(error.into());
        };
        let all = claims.iter().map(|claim| claim.candidate.clone()).collect();
        Err(match resolve(&selector, |_| true, None, all) {
            Resolution::Found(agreeing) => return Ok(agreeing),
            Resolution::Conflict(_) => Box::new(Unresolved::Conflict { selector, claims }).into(),
            _ => Box::new(Unresolved::Ambiguous { selector, claims }).into(),
        })
    }

    /// The names nearest to one that means nothing, known here or, if they were asked, to peers.
    async fn near(
        &self,
        selector: &Selector,
        asked: Option<usize>,
    ) -> Result<Vec<Purl>, ArchiveError> {
        let name = selector.clone();
        let mut near = self.blocking(move |archive| archive.store.near(&name, NEAR)).await?;
        if asked.is_some() {
            near.extend(self.near_elsewhere(selector).await);
        }
        let ranked = near.into_iter().filter_map(|purl| Some((selector.nearness(&purl)?, purl)));
        let ranked: BTreeSet<_> = ranked.collect();
        Ok(ranked.into_iter().take(NEAR).map(|(_, purl)| purl).collect())
    }

    /// Adds entries that a look-up found to the catalog. The rest of their feeds arrives with the
    /// same look-up: an entry waits for those before it, up to a deadline.
    pub(super) async fn take_in(&self, mut entries: Vec<SignedEntry>) -> Result<(), ArchiveError> {
        let give_up = Instant::now() + FEED_WAIT;
        let mut stored = self.network.stored();
        while !entries.is_empty() {
            stored.mark_unchanged();
            let put = entries.clone();
            let puts = self.blocking(move |archive| archive.store.put_entries(&put)).await?;
            let orphans = puts.iter().filter(|put| matches!(put.admit, Admit::Orphan(_)));
            let orphans: BTreeSet<_> = orphans.map(|put| put.id).collect();
            entries.retain(|entry| orphans.contains(&entry.id()));
            // The writer reports every stored batch; a closed channel means that the node is
            // stopping.
            if !entries.is_empty()
                && !matches!(tokio::time::timeout_at(give_up, stored.changed()).await, Ok(Ok(())))
            {
                break;
            }
        }
        Ok(())
    }

    async fn resolve_here(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
    ) -> Result<Resolution, ArchiveError> {
        let selector = selector.clone();
        self.blocking(move |archive| {
            archive.store.resolve(&selector, &archive.publisher(), only.as_ref())
        })
        .await
    }

    async fn claims(&self, candidates: Vec<Candidate>) -> Result<Vec<Claim>, ArchiveError> {
        self.blocking(move |archive| {
            let of = |candidate| Claim::of(&archive.store, candidate);
            candidates.into_iter().map(of).collect::<Result<Vec<_>, _>>()
        })
        .await
    }
}
