//! Resolves the user's selectors to releases and blobs.
//!
//! Names resolve through trust (`perennial_manifest::resolve`) and, if this node has no answer,
//! through peers; digests need no trust (`resolve/digest`). Releases of untrusted publishers are
//! never fetched by name.

mod agreement;
mod claim;
mod digest;
mod meaning;
mod unresolved;

use std::collections::BTreeSet;
use std::time::Duration;

use perennial_manifest::{
    Admit, Candidate, PublisherId, Purl, ReleaseId, Resolution, Selector, SignedEntry, resolve,
};
use perennial_operation::{Progress, Stage};
use perennial_store::StoreError;
use tokio::time::Instant;

use super::{Archive, ArchiveError, Observer};

pub use claim::Claim;
pub use digest::FetchedBlob;
pub(super) use digest::likely_size;
pub(crate) use meaning::Meaning;
pub(super) use meaning::is_unknown;
pub use unresolved::Unresolved;

/// Near misses named in one error, at most.
const NEAR: usize = 5;

/// How long an entry from a peer waits for the earlier entries of its feed: for the next of them,
/// and for all.
const FEED_SILENCE: Duration = Duration::from_secs(10);
const FEED_WAIT: Duration = Duration::from_secs(300);

impl Archive {
    /// Resolves a name by the publishers that this node follows, or by `only`. If this node has no
    /// answer, or knows nothing yet of one of those publishers, which may disagree, and `ask` is
    /// set, peers are asked. All candidates agree on the bytes; the first is
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
        let settled = match resolution {
            Resolution::Conflict(_) => true,
            Resolution::Found(_) => {
                only.is_some()
                    || selector.names().is_empty()
                    || !self.has_unheard_publisher().await?
            }
            _ => false,
        };
        if ask && !settled {
            observer.progress(Progress::of(Stage::Connecting));
            unreached = self.network.connected().await;
            observer.progress(Progress::of(Stage::Finding));
            let answer = self.network.lookup(selector.clone(), only).await;
            asked = Some(answer.answered);
            self.take_in(answer.entries).await?;
            resolution = self.resolve_here(selector, only).await?;
        }
        if ask && self.decide(&resolution).await? {
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
        let all = || claims.iter().map(|claim| claim.candidate.clone());
        let mut resolution = resolve(&selector, |_| true, None, all().collect());
        if self.decide(&resolution).await? {
            let releases: Vec<_> = all().map(|candidate| candidate.release).collect();
            let all = self.candidates(releases).await?;
            resolution = resolve(&selector, |_| true, None, all);
        }
        Err(match resolution {
            Resolution::Found(agreeing) => return Ok(agreeing),
            Resolution::Conflict(_) => Box::new(Unresolved::Conflict { selector, claims }).into(),
            _ => Box::new(Unresolved::Ambiguous { selector, claims }).into(),
        })
    }

    /// Whether no entry of some followed publisher is known here.
    async fn has_unheard_publisher(&self) -> Result<bool, ArchiveError> {
        self.blocking(|archive| {
            for publisher in archive.store.follows().publishers.keys() {
                if archive.store.feed(publisher)?.highest().is_none() {
                    return Ok(true);
                }
            }
            Ok::<_, StoreError>(false)
        })
        .await
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
    /// same look-up: an entry waits for those before it as long as some arrive, up to a deadline.
    pub(super) async fn take_in(&self, entries: Vec<SignedEntry>) -> Result<(), ArchiveError> {
        self.take_in_within(entries, FEED_SILENCE).await
    }

    pub(super) async fn take_in_within(
        &self,
        mut entries: Vec<SignedEntry>,
        silence: Duration,
    ) -> Result<(), ArchiveError> {
        let give_up = Instant::now() + FEED_WAIT;
        let mut stored = self.network.stored();
        while !entries.is_empty() {
            stored.mark_unchanged();
            let put = entries.clone();
            let puts = self.blocking(move |archive| archive.store.put_from_peers(&put)).await?;
            let orphans = puts.iter().filter(|put| matches!(put.admit, Some(Admit::Orphan(_))));
            let orphans: BTreeSet<_> = orphans.map(|put| put.id).collect();
            entries.retain(|entry| orphans.contains(&entry.id()));
            // The writer reports every stored batch; a closed channel means that the node is
            // stopping.
            let until = give_up.min(Instant::now() + silence);
            if !entries.is_empty()
                && !matches!(tokio::time::timeout_at(until, stored.changed()).await, Ok(Ok(())))
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

    async fn candidates(&self, releases: Vec<ReleaseId>) -> Result<Vec<Candidate>, ArchiveError> {
        self.blocking(move |archive| {
            let rows = releases.iter().map(|release| archive.store.release(release));
            let rows = rows.filter_map(Result::transpose);
            rows.map(|row| archive.store.candidate(&row?)).collect::<Result<Vec<_>, _>>()
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
