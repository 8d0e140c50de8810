//! The protocol's queries about this node, answered by the store.
//!
//! A read that fails is logged and answered as "not held"; the protocol then asks other peers.

use perennial_manifest::{
    BlobId, EntryId, Holding, PublisherId, ReleaseId, Selector, Sha256Digest,
};
use perennial_protocol::{BlobClaim, Catalog, EntryBytes, Follows, Scope, Wanted};
use perennial_store::{ReleaseRow, Store, StoreError};

/// The store behind the protocol's catalog interface.
#[derive(Debug, Clone)]
pub(crate) struct CatalogView {
    pub(crate) store: Store,
    /// Whether wanted releases are fetched unasked. A command's own node fetches only what the
    /// command is for.
    pub(crate) keeps: bool,
}

fn wanted(row: ReleaseRow) -> Wanted {
    Wanted { release: row.release, publisher: row.publisher, artifacts: row.artifacts }
}

fn or_nothing<T: Default>(outcome: Result<T, StoreError>) -> T {
    outcome.unwrap_or_else(|error| {
        tracing::warn!(%error, "a look-up in the store failed");
        T::default()
    })
}

impl CatalogView {
    /// The entries in a scope, without those of publishers that are denied.
    fn times_allowed(&self, scope: &Scope) -> Result<Vec<(u64, EntryId)>, StoreError> {
        let mut publishers: Vec<PublisherId> = match scope {
            Scope::All => self.store.publishers()?.into_keys().collect(),
            Scope::Publishers(some) => some.to_vec(),
        };
        publishers.retain(|publisher| !self.store.denies_publisher(publisher));
        self.store.times(Some(&publishers))
    }
}

impl Catalog for CatalogView {
    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn has_entry(&self, id: &EntryId) -> bool {
        // What is not taken in need not be asked for at each exchange.
        self.store.has_refused(id) || or_nothing(self.store.has_entry(id))
    }

    fn entry(&self, id: &EntryId) -> Option<EntryBytes> {
        if self.store.denies_publishers() {
            let signed = or_nothing(self.store.entry(id))?;
            let is_denied = self.store.denies_publisher(&signed.entry().publisher);
            return (!is_denied).then(|| EntryBytes(signed.encode()));
        }
        or_nothing(self.store.encoded_entry(id)).map(EntryBytes)
    }

    fn times(&self, scope: &Scope) -> Vec<(u64, EntryId)> {
        or_nothing(match scope {
            _ if self.store.denies_publishers() => self.times_allowed(scope),
            Scope::All => self.store.times(None),
            Scope::Publishers(some) => self.store.times(Some(some)),
        })
    }

    fn takes(&self, publisher: &PublisherId) -> bool {
        self.store.takes(publisher)
    }

    fn denies(&self, publisher: &PublisherId) -> bool {
        self.store.denies_publisher(publisher)
    }

    fn find(
        &self,
        selector: &Selector,
        publisher: Option<&PublisherId>,
        limit: usize,
    ) -> Vec<EntryBytes> {
        let mut rows = or_nothing(self.store.named_briefly(selector, publisher, limit));
        rows.sort_by_key(|row| std::cmp::Reverse(row.issued_at));
        rows.iter().filter_map(|row| self.entry(&row.release.entry())).collect()
    }

    fn search(&self, text: &str, limit: usize) -> Vec<EntryBytes> {
        let rows = or_nothing(self.store.search_briefly(text, limit));
        rows.iter().filter_map(|row| self.entry(&row.release.entry())).collect()
    }

    fn holding(&self, release: &ReleaseId) -> Option<Holding> {
        let row = or_nothing(self.store.known_release(release))?;
        self.store.denial_of_release(&row).is_none().then_some(row.state)
    }

    fn blob_size(&self, blob: &BlobId) -> Option<u64> {
        or_nothing(self.store.blob_size(blob))
    }

    fn sha256(&self, digest: &Sha256Digest) -> Option<BlobClaim> {
        let blob = or_nothing(self.store.blob_of_sha256(digest))?;
        Some(BlobClaim { blob, size: self.blob_size(&blob)? })
    }

    fn wanted(&self, follows: &Follows, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted> {
        if !self.keeps {
            return Vec::new();
        }
        let rows = or_nothing(self.store.wanted(after, limit));
        rows.into_iter().filter(|row| follows.covers(&row.publisher)).map(wanted).collect()
    }

    fn wanted_first(&self, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted> {
        if !self.keeps {
            return Vec::new();
        }
        or_nothing(self.store.wanted_first(after, limit)).into_iter().map(wanted).collect()
    }
}
