//! The meaning of a name on this node: through its own publisher and those that the user follows by
//! name.

use perennial_manifest::{Candidate, PublisherId, Purl, Resolution, Selector, resolve};

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::store::Store;

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
    /// Failures of the index.
    pub fn resolve(
        &self,
        selector: &Selector,
        own: &PublisherId,
        only: Option<&PublisherId>,
    ) -> Result<Resolution, StoreError> {
        let filter = ReleaseFilter { selector: Some(selector.clone()), ..ReleaseFilter::default() };
        let rows = self.releases(&filter)?;
        let candidates =
            rows.iter().map(|row| self.candidate(row)).collect::<Result<Vec<_>, StoreError>>()?;
        let follows = self.follows();
        let trusted = |publisher: &PublisherId| publisher == own || follows.names(publisher);
        Ok(resolve(selector, trusted, only, candidates))
    }

    /// At most `limit` known names that are nearest to one that means nothing, nearest first.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn near(&self, selector: &Selector, limit: usize) -> Result<Vec<Purl>, StoreError> {
        self.inner().read(|catalog| catalog.near(selector, limit))
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
            artifacts: row.artifacts.blob,
            seq: row.seq,
            forked: self.feed(&row.publisher)?.is_forked(),
        })
    }
}
