//! A catalog in memory, with the same feed rules as the store.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{
    Admit, BlobId, EntryId, FeedState, Holding, Keypair, Known, PublisherId, ReleaseId, Selector,
    Sha256Digest, SignedEntry,
};
use perennial_protocol::{BlobClaim, Catalog, EntryBytes, Follows, Scope, Verdict, Wanted};

/// One publisher's feed.
#[derive(Default)]
pub(crate) struct Feed {
    pub(crate) state: FeedState,
    seqs: BTreeMap<EntryId, u64>,
}

impl Known for Feed {
    fn seq_of(&self, id: &EntryId) -> Option<u64> {
        self.seqs.get(id).copied()
    }
    fn at_seq(&self, seq: u64) -> Option<EntryId> {
        self.seqs.iter().find(|(_, s)| **s == seq).map(|(id, _)| *id)
    }
}

/// Entries, blobs and releases of one host.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) entries: BTreeMap<EntryId, SignedEntry>,
    pub(crate) feeds: BTreeMap<PublisherId, Feed>,
    pub(crate) releases: BTreeMap<ReleaseId, EntryId>,
    pub(crate) held: BTreeSet<ReleaseId>,
    pub(crate) blobs: BTreeMap<BlobId, u64>,
    /// The number of entries that the feed rules rejected.
    pub(crate) rejected: usize,
}

impl Memory {
    pub(crate) fn put(&mut self, entry: &SignedEntry) -> Verdict {
        let feed = self.feeds.entry(entry.entry().publisher).or_default();
        let mut state = feed.state.clone();
        let verdict = match state.admit(entry, feed) {
            Admit::New => Verdict::New,
            Admit::Known => return Verdict::Known,
            Admit::Fork(_) => Verdict::Fork,
            Admit::Orphan(missing) => return Verdict::Orphan { missing },
            Admit::Reject(_) => {
                self.rejected += 1;
                return Verdict::Rejected;
            }
        };
        feed.state = state;
        feed.seqs.insert(entry.id(), entry.entry().seq);
        self.entries.insert(entry.id(), entry.clone());
        if let Some((release, _)) = entry.release() {
            self.releases.insert(release, entry.id());
        }
        verdict
    }

    /// Signs the next entry of a feed, from this node's view of it.
    pub(crate) fn sign(
        &self,
        key: &Keypair,
        issued_at: u64,
        body: perennial_manifest::Body,
    ) -> SignedEntry {
        let state = self.feeds.get(&key.id()).map(|feed| feed.state.clone()).unwrap_or_default();
        let next = state.next(None).expect("the simulated publisher's feed is in order");
        next.entry(key.id(), issued_at, body).sign(key).expect("the simulated entry is sound")
    }

    pub(crate) fn release(&self, id: &ReleaseId) -> Option<&perennial_manifest::Release> {
        self.entries.get(self.releases.get(id)?)?.release().map(|(_, release)| release)
    }
}

impl Catalog for Memory {
    fn generation(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }
    fn has_entry(&self, id: &EntryId) -> bool {
        self.entries.contains_key(id)
    }
    fn entry(&self, id: &EntryId) -> Option<EntryBytes> {
        self.entries.get(id).map(|entry| EntryBytes(entry.encode()))
    }
    fn times(&self, scope: &Scope) -> Vec<(u64, EntryId)> {
        let wanted = |entry: &&SignedEntry| match scope {
            Scope::All => true,
            Scope::Publishers(some) => some.contains(&entry.entry().publisher),
        };
        self.entries
            .values()
            .filter(wanted)
            .map(|entry| (entry.entry().issued_at, entry.id()))
            .collect()
    }
    fn takes(&self, _: &PublisherId) -> bool {
        true
    }
    fn find(
        &self,
        selector: &Selector,
        publisher: Option<&PublisherId>,
        limit: usize,
    ) -> Vec<EntryBytes> {
        let fits = |entry: &&SignedEntry| {
            publisher.is_none_or(|wanted| entry.entry().publisher == *wanted)
                && entry.release().is_some_and(|(id, release)| {
                    selector.is_release(&id) || selector.matches(&release.purl)
                })
        };
        let found = self.entries.values().filter(fits).take(limit);
        found.map(|entry| EntryBytes(entry.encode())).collect()
    }
    fn holding(&self, release: &ReleaseId) -> Option<Holding> {
        match self.release(release) {
            None => None,
            Some(_) if self.held.contains(release) => Some(Holding::Held),
            Some(release) if self.blobs.contains_key(&release.artifacts.blob) => {
                Some(Holding::Partial)
            }
            Some(_) => Some(Holding::Known),
        }
    }
    fn blob_size(&self, blob: &BlobId) -> Option<u64> {
        self.blobs.get(blob).copied()
    }
    fn sha256(&self, _: &Sha256Digest) -> Option<BlobClaim> {
        None
    }
    fn wanted(&self, follows: &Follows, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted> {
        let later = self.releases.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        later
            .filter(|(id, _)| !self.held.contains(*id))
            .filter_map(|(id, entry)| {
                let entry = self.entries.get(entry)?;
                let publisher = entry.entry().publisher;
                let artifacts = entry.release()?.1.artifacts;
                follows.covers(&publisher).then_some(Wanted { release: *id, publisher, artifacts })
            })
            .take(limit)
            .collect()
    }
}
