//! A catalog for unit tests, filled by the test.

use perennial_manifest::{
    ArtifactListRef, BlobId, EntryId, Holding, PublisherId, ReleaseId, Selector, Sha256Digest,
    SignedEntry,
};

use crate::catalog::{Catalog, Wanted};
use crate::input::Follows;
use crate::message::{BlobClaim, EntryBytes, Scope};

#[derive(Debug, Default)]
pub(crate) struct FakeCatalog {
    pub(crate) entries: Vec<SignedEntry>,
    pub(crate) wanted: Vec<(ReleaseId, PublisherId)>,
    /// Publishers of whom no more is stored.
    pub(crate) full: Vec<PublisherId>,
    /// Publishers followed by name.
    pub(crate) named: Vec<PublisherId>,
    /// Publishers of which nothing is taken.
    pub(crate) denied: Vec<PublisherId>,
}

impl Catalog for FakeCatalog {
    fn generation(&self) -> u64 {
        self.entries.len().try_into().unwrap()
    }
    fn has_entry(&self, id: &EntryId) -> bool {
        self.entries.iter().any(|entry| entry.id() == *id)
    }
    fn entry(&self, id: &EntryId) -> Option<EntryBytes> {
        let entry = self.entries.iter().find(|entry| entry.id() == *id);
        entry.map(|entry| EntryBytes(entry.encode()))
    }
    fn times(&self, _: &Scope) -> Vec<(u64, EntryId)> {
        self.entries.iter().map(|entry| (entry.entry().issued_at, entry.id())).collect()
    }
    fn takes(&self, publisher: &PublisherId) -> bool {
        !self.full.contains(publisher)
    }
    fn denies(&self, publisher: &PublisherId) -> bool {
        self.denied.contains(publisher)
    }
    fn find(&self, _: &Selector, _: Option<&PublisherId>, limit: usize) -> Vec<EntryBytes> {
        self.entries.iter().take(limit).map(|entry| EntryBytes(entry.encode())).collect()
    }
    fn holding(&self, _: &ReleaseId) -> Option<Holding> {
        None
    }
    fn blob_size(&self, _: &BlobId) -> Option<u64> {
        None
    }
    fn sha256(&self, _: &Sha256Digest) -> Option<BlobClaim> {
        None
    }
    fn wanted_first(&self, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted> {
        let named = self.named.iter().copied().collect();
        self.wanted(&Follows::Publishers(named), after, limit)
    }
    fn wanted(&self, follows: &Follows, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted> {
        let later = self.wanted.iter().filter(|(id, _)| after.is_none_or(|after| id > after));
        let followed = later.filter(|(_, publisher)| follows.covers(publisher));
        let artifacts = ArtifactListRef { blob: BlobId::of(b""), count: 1, bytes: 1, size: 1 };
        followed
            .take(limit)
            .map(|(release, publisher)| Wanted {
                release: *release,
                publisher: *publisher,
                artifacts,
            })
            .collect()
    }
}
