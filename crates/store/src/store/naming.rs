//! The meaning of a name on this node: through its own publisher and those that the user follows by
//! name.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{Candidate, Holding, PublisherId, Purl, Resolution, Selector, resolve};

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::store::Store;

/// Statements of untrusted publishers about one name that are listed.
const OTHERS: usize = 256;
/// Rows looked at for them, and for a question that has to be brief: a millisecond for a thousand.
const LOOKED_AT: usize = 2048;
/// Followed publishers whose statements come first in such a question.
const FOLLOWED: usize = 64;
/// Packages whose names are compared with one that means nothing.
const PACKAGES: usize = 20_000;

impl Store {
    /// Whether names resolve through a publisher: `own`, or one that is followed by name.
    #[must_use]
    pub fn trusts(&self, own: &PublisherId, publisher: &PublisherId) -> bool {
        publisher == own || self.follows().names(publisher)
    }

    /// The meaning of a name, by the entries known here. With `only`, through that publisher alone,
    /// trusted or not.
    ///
    /// # Errors
    /// [`StoreError::Denied`] if it means only what is denied, and failures of the index.
    pub fn resolve(
        &self,
        selector: &Selector,
        own: &PublisherId,
        only: Option<&PublisherId>,
    ) -> Result<Resolution, StoreError> {
        if let Selector::Purl(purl) = selector {
            self.refuse_target(&purl.clone().into())?;
        }
        let follows = self.follows();
        let trusted = |publisher: &PublisherId| publisher == own || follows.names(publisher);
        let named = ReleaseFilter { selector: Some(selector.clone()), ..ReleaseFilter::default() };
        // Each publisher that counts is asked for, so that any number of statements of others
        // hides none of theirs. An id has one release, whoever signed it.
        let by: Vec<_> = match (selector, only) {
            (Selector::Release(_), _) => Vec::new(),
            (_, Some(only)) => vec![*only],
            (_, None) => follows.publishers.keys().chain([own]).copied().collect(),
        };
        let mut rows = BTreeMap::new();
        for publisher in by.into_iter().map(Some).chain([None]) {
            let (limit, looked_at) = if publisher.is_none() { (OTHERS, LOOKED_AT) } else { (0, 0) };
            let filter = ReleaseFilter { publisher, limit, looked_at, ..named.clone() };
            let found = self.known_releases(&filter)?;
            rows.extend(found.into_iter().map(|row| (row.release, row)));
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        rows.sort_by(|one, other| (&one.purl, one.release).cmp(&(&other.purl, other.release)));
        let counts = |row: &ReleaseRow| {
            only.map_or_else(|| trusted(&row.publisher), |only| row.publisher == *only)
        };
        let denied = rows.iter().find_map(|row| self.denial_of_release(row));
        rows.retain(|row| self.denial_of_release(row).is_none());
        if rows.iter().any(|row| row.state != Holding::Invalid && counts(row)) {
            // A release that has no files is meant only if it is the only one.
            rows.retain(|row| row.state != Holding::Invalid || !counts(row));
        }
        let candidates =
            rows.iter().map(|row| self.candidate(row)).collect::<Result<Vec<_>, StoreError>>()?;
        let mut resolution = resolve(selector, trusted, only, candidates);
        if let Resolution::Found(agreeing) = &mut resolution {
            // Releases that agree have lists of their own: one that is whole here needs no peer.
            let held = rows.iter().filter(|row| row.state == Holding::Held);
            let held: BTreeSet<_> = held.map(|row| row.release).collect();
            agreeing.sort_by_key(|candidate| !held.contains(&candidate.release));
        }
        match (denied, &resolution) {
            (Some(denial), Resolution::NotFound | Resolution::Strangers(_)) => {
                Err(StoreError::Denied(Box::new(denial)))
            }
            _ => Ok(resolution),
        }
    }

    /// At most `limit` releases that a name can mean, of one publisher or of any: those of this
    /// node's publisher and of followed ones first, then others, within a small bound on the time
    /// it takes.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn named_briefly(
        &self,
        selector: &Selector,
        publisher: Option<&PublisherId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (follows, own) = (self.follows(), self.own_feed().map(|own| own.publisher));
        let by: Vec<_> = match (selector, publisher) {
            (Selector::Release(_), _) => vec![None],
            (_, Some(publisher)) => vec![Some(*publisher)],
            (_, None) => {
                let ours = own.into_iter().chain(follows.publishers.keys().copied());
                ours.take(FOLLOWED).map(Some).chain([None]).collect()
            }
        };
        let looked_at = (LOOKED_AT / by.len()).max(1);
        let mut rows = BTreeMap::new();
        for publisher in by {
            let selector = Some(selector.clone());
            let state = None;
            let found =
                self.releases(&ReleaseFilter { publisher, selector, state, limit, looked_at })?;
            rows.extend(found.into_iter().map(|row| (row.release, row)));
            if rows.len() >= limit {
                break;
            }
        }
        Ok(rows.into_values().take(limit).collect())
    }

    /// At most `limit` known names that are nearest to one that means nothing, nearest first.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn near(&self, selector: &Selector, limit: usize) -> Result<Vec<Purl>, StoreError> {
        self.inner().read(|catalog| catalog.near(selector, limit, PACKAGES))
    }

    /// As [`Store::near`], with a small bound on the time it takes: only names that begin alike.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn near_briefly(&self, selector: &Selector, limit: usize) -> Result<Vec<Purl>, StoreError> {
        self.inner().read(|catalog| catalog.near(selector, limit, 0))
    }

    /// A release as one that a name could mean.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn candidate(&self, row: &ReleaseRow) -> Result<Candidate, StoreError> {
        Ok(Candidate {
            release: row.release,
            publisher: row.publisher,
            purl: row.purl.clone(),
            artifacts: row.artifacts,
            content: row.content,
            seq: row.seq,
            forked: self.feed(&row.publisher)?.is_forked(),
        })
    }
}
