//! From what the user named to a release or a blob.
//!
//! Names go through trust (`perennial_manifest::resolve`) and, where nothing here answers, through
//! peers; digests need no trust (`resolve/digest`). Nothing that a stranger signed is fetched by
//! name.

mod digest;

use std::collections::BTreeSet;
use std::time::Duration;

use perennial_manifest::{
    Admit, Candidate, PublisherId, PublisherKind, Resolution, Selector, SignedEntry,
};
use perennial_store::{Store, StoreError};
use tokio::time::Instant;

use super::{Archive, ArchiveError, ErrorKind, Observer, Progress, Stage};

pub use digest::FetchedBlob;

/// How long an entry that peers gave waits for the earlier entries of its feed.
const FEED_WAIT: Duration = Duration::from_secs(10);

/// A name that does not mean one release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unresolved {
    /// Neither this node nor a peer knows the name.
    #[error("{selector} is not known on this node, and {}", asked_text(.asked))]
    NotFound {
        /// The name.
        selector: Selector,
        /// How many peers answered; `None` where none were to be asked.
        asked: Option<usize>,
    },
    /// Only publishers that this node does not trust signed it.
    #[error("{selector} was signed only by publishers that you do not follow")]
    Strangers {
        /// The name.
        selector: Selector,
        /// Who signed what.
        claims: Vec<Claim>,
    },
    /// Trusted publishers disagree, or a forked feed disagrees with itself.
    #[error("{selector}: publishers that you follow disagree on its bytes")]
    Conflict {
        /// The name.
        selector: Selector,
        /// Who signed what.
        claims: Vec<Claim>,
    },
    /// Several versions or things match.
    #[error("{selector} can mean several releases")]
    Ambiguous {
        /// The name.
        selector: Selector,
        /// Who signed what.
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

impl Unresolved {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Strangers { .. } => ErrorKind::Strangers,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Ambiguous { .. } => ErrorKind::Ambiguous,
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
    /// What the publisher says it is.
    pub kind: PublisherKind,
    /// What the user calls the publisher here.
    pub name: Option<String>,
    /// Number of files.
    pub artifacts: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// When the publisher says it signed, in Unix seconds.
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
    /// What a name means to this node: by the publishers it follows, or by `only`. Where nothing
    /// here answers and `ask` is set, peers are asked. All candidates agree on the bytes; the first
    /// is the one to fetch. Never empty.
    ///
    /// # Errors
    /// [`Unresolved`], or the store's.
    pub async fn resolve(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        ask: bool,
        observer: &dyn Observer,
    ) -> Result<Vec<Candidate>, ArchiveError> {
        let mut resolution = self.resolve_here(selector, only).await?;
        let mut asked = None;
        if ask && !matches!(resolution, Resolution::Found(_) | Resolution::Conflict(_)) {
            observer.progress(Progress::of(Stage::Connecting));
            self.network.connected().await;
            observer.progress(Progress::of(Stage::Finding));
            let answer = self.network.lookup(selector.clone(), only).await;
            asked = Some(answer.answered);
            self.take_in(answer.entries).await?;
            resolution = self.resolve_here(selector, only).await?;
        }
        let selector = selector.clone();
        let unresolved = match resolution {
            Resolution::Found(agreeing) => return Ok(agreeing),
            Resolution::NotFound => Unresolved::NotFound { selector, asked },
            Resolution::Strangers(all) => {
                Unresolved::Strangers { selector, claims: self.claims(all).await? }
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

    /// Puts entries that a look-up found into the catalog. The rest of their feeds is on its way
    /// with the same look-up: an entry waits for those before it, up to a deadline.
    async fn take_in(&self, mut entries: Vec<SignedEntry>) -> Result<(), ArchiveError> {
        let give_up = Instant::now() + FEED_WAIT;
        let mut stored = self.network.stored();
        while !entries.is_empty() {
            stored.mark_unchanged();
            let put = entries.clone();
            let puts = self.blocking(move |archive| archive.store.put_entries(&put)).await?;
            let orphans = puts.iter().filter(|put| matches!(put.admit, Admit::Orphan(_)));
            let orphans: BTreeSet<_> = orphans.map(|put| put.id).collect();
            entries.retain(|entry| orphans.contains(&entry.id()));
            // Told by the writer of every batch it stored; a closed channel means that the node is
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
