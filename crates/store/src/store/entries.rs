//! Signed entries as the store's users ask for them: feeds, releases, lists.
//!
//! Promises that an admitted entry is durable, and that the highest entry ever seen of a followed
//! publisher is remembered outside the index. `perennial-manifest` decides what a feed admits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use perennial_manifest::{
    Admit, ArtifactList, ArtifactListRef, Body, EntryId, FeedState, PublisherId, PublisherKind,
    ReleaseId, Sha256Digest, SignedEntry,
};

use crate::catalog::{Bounds, PutOutcome, ReleaseFilter, ReleaseRow, Source};
use crate::error::StoreError;
use crate::pack::Kind;
use crate::state::OwnFeed;
use crate::store::Store;
use perennial_manifest::Holding;

impl Store {
    /// Takes entries in, in order. Those that were admitted are durable on return. The highest
    /// entries seen of followed feeds are remembered outside the index, orphans included.
    ///
    /// Puts are serialised. Two puts with entries of one feed must come in order, or the later
    /// entry is judged an orphan: give them to one writer.
    ///
    /// # Errors
    /// Failures of the disk and the index. Nothing is acknowledged then; the put can be repeated.
    pub fn put_entries(&self, entries: &[SignedEntry]) -> Result<Vec<PutOutcome>, StoreError> {
        if !self.denies_publishers() {
            return self.put_allowed(entries);
        }
        let denies = |signed: &SignedEntry| self.denies_publisher(&signed.entry().publisher);
        let allowed: Vec<_> = entries.iter().filter(|signed| !denies(signed)).cloned().collect();
        let mut puts = self.put_allowed(&allowed)?.into_iter().peekable();
        let passed = |signed: &SignedEntry| {
            let is_put = puts.peek().is_some_and(|put| put.id == signed.id());
            let put = puts.next_if(|_| is_put);
            put.unwrap_or(PutOutcome { id: signed.id(), admit: Admit::Known })
        };
        Ok(entries.iter().map(passed).collect())
    }

    fn put_allowed(&self, entries: &[SignedEntry]) -> Result<Vec<PutOutcome>, StoreError> {
        let (puts, follows) = self.0.write(|catalog| {
            // Read under the lock, so that a follow that comes meanwhile finds these entries, or
            // they find it.
            let follows = self.0.state.follows();
            let puts = catalog.put(entries, Source::Outside, &follows)?;
            let mut counts = self.0.entry_counts();
            for (signed, put) in entries.iter().zip(&puts) {
                if matches!(put.admit, Admit::New | Admit::Fork(_)) {
                    counts.add(signed.entry().publisher, 1);
                }
            }
            Ok((puts, follows))
        })?;
        let seen: Vec<_> = entries
            .iter()
            .zip(&puts)
            .filter(|(signed, put)| {
                let publisher = &signed.entry().publisher;
                // Known entries too: one may be known only because remembering it failed last time.
                let counts = !matches!(put.admit, Admit::Reject(_));
                counts && (follows.names(publisher) || self.0.state.seen(publisher).is_some())
            })
            .map(|(signed, put)| (signed.entry().publisher, signed.entry().seq, put.id))
            .collect();
        self.0.state.see(&seen)?;
        for put in puts.iter().filter(|put| !matches!(put.admit, Admit::Reject(_))) {
            self.damaged_entries().remove(&put.id);
        }
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        let of_a_followed = entries.iter().zip(&puts).any(|(signed, put)| {
            follows.names(&signed.entry().publisher)
                && match put.admit {
                    Admit::New => matches!(signed.entry().body, Body::Rotate(_)),
                    Admit::Fork(_) => true,
                    _ => false,
                }
        });
        if of_a_followed {
            self.follow_rotations()?;
        }
        Ok(puts)
    }

    /// Follows the next keys of followed publishers that handed their feeds over.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn follow_rotations(&self) -> Result<(), StoreError> {
        let before = self.follows();
        let next = |publisher: &PublisherId| {
            let feed = self.feed(publisher).ok()?;
            feed.rotated.map(|(_, next)| next)
        };
        let now = before.after_rotations(&next);
        if now == before {
            return Ok(());
        }
        for (next, publisher) in &now.successors {
            if !before.successors.contains_key(next) {
                tracing::warn!(%publisher, %next, "a followed publisher handed its feed over: its \
                    next key is followed from now on");
            }
        }
        for (next, publisher) in &before.successors {
            if !now.successors.contains_key(next) {
                tracing::warn!(%publisher, %next, "a hand-over is disputed by another history of \
                    the same key, and decides nothing: its next key is no longer followed");
            }
        }
        self.set_follows(&now)
    }

    /// Starts to remember the highest entry of a publisher; used for this node's own key.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn watch(&self, publisher: &PublisherId) -> Result<(), StoreError> {
        match self.feed(publisher)?.highest() {
            _ if self.is_read_only() => Ok(()),
            Some((seq, id)) => self.0.state.see(&[(*publisher, seq, id)]),
            None => Ok(()),
        }
    }

    /// The noted state of this key's own feed; `None` before the first note.
    #[must_use]
    pub fn own_feed(&self) -> Option<OwnFeed> {
        self.0.state.own_feed()
    }

    /// Records the state of this node's own feed.
    ///
    /// # Errors
    /// Failures of the disk.
    pub fn set_own_feed(&self, own: OwnFeed) -> Result<(), StoreError> {
        self.0.state.set_own_feed(own)
    }

    /// The highest entry ever seen of a publisher that is followed or watched, stored or not.
    #[must_use]
    pub fn seen(&self, publisher: &PublisherId) -> Option<(u64, EntryId)> {
        self.0.state.seen(publisher)
    }

    /// Remembers that an entry of a publisher exists, stored or not.
    ///
    /// # Errors
    /// Failures of the disk.
    pub fn see(&self, publisher: &PublisherId, seq: u64, id: EntryId) -> Result<(), StoreError> {
        self.0.state.see(&[(*publisher, seq, id)])
    }

    /// A stored entry. Reads one record from a pack and verifies it, and its signature.
    ///
    /// # Errors
    /// [`StoreError::DamagedEntry`] if it does not read back; it counts as missing from then on.
    pub fn entry(&self, id: &EntryId) -> Result<Option<SignedEntry>, StoreError> {
        self.noting_damage(self.0.read(|catalog| catalog.entry(id)))
    }

    /// A stored entry as it was signed, for those who verify it themselves. Reads one record from a
    /// pack and compares it with its hash; the signature was verified when the entry came.
    ///
    /// # Errors
    /// As for [`Store::entry`].
    pub fn encoded_entry(&self, id: &EntryId) -> Result<Option<Vec<u8>>, StoreError> {
        self.noting_damage(self.0.read(|catalog| catalog.blobs.entry(id.as_bytes())))
    }

    fn noting_damage<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::DamagedEntry(id)) = &outcome {
            self.damaged_entries().insert(*id);
        }
        outcome
    }

    fn damaged_entries(&self) -> MutexGuard<'_, BTreeSet<EntryId>> {
        self.0.damaged_entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an entry is stored and not known to be damaged. Costs at most one binary search per
    /// sealed pack.
    ///
    /// # Errors
    /// Failures of the disk.
    pub fn has_entry(&self, id: &EntryId) -> Result<bool, StoreError> {
        Ok(self.0.blobs.packs().len_of(Kind::Entry, id.as_bytes())?.is_some()
            && !self.damaged_entries().contains(id))
    }

    /// The state of a feed; empty if no entry of it is known. Reads one row.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn feed(&self, publisher: &PublisherId) -> Result<FeedState, StoreError> {
        self.0.read(|catalog| {
            Ok(catalog.publisher(publisher)?.map(|value| value.feed).unwrap_or_default())
        })
    }

    /// The kind in a publisher's newest profile. Reads one row.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn publisher_kind(
        &self,
        publisher: &PublisherId,
    ) -> Result<Option<PublisherKind>, StoreError> {
        self.0.read(|catalog| Ok(catalog.publisher(publisher)?.and_then(|value| value.kind)))
    }

    /// All publishers with entries here, and the states of their feeds. Reads one row per
    /// publisher.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn publishers(&self) -> Result<BTreeMap<PublisherId, FeedState>, StoreError> {
        self.0.read(|catalog| {
            Ok(catalog.publishers()?.into_iter().map(|(id, value)| (id, value.feed)).collect())
        })
    }

    /// `(issued_at, id)` of all entries of some publishers, or of all, except those found damaged:
    /// what reconciliation compares. Reads one row per entry and no entry itself; callers keep the
    /// result as long as [`Store::generation`] stays.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn times(
        &self,
        publishers: Option<&[PublisherId]>,
    ) -> Result<Vec<(u64, EntryId)>, StoreError> {
        let mut times = self.0.read(|catalog| catalog.times(publishers))?;
        let damaged = self.damaged_entries();
        times.retain(|(_, id)| !damaged.contains(id));
        Ok(times)
    }

    /// The ids of all entries of a publisher that are in the index, those included that are known
    /// to be damaged. Reads one row per entry.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn entries_of(&self, publisher: &PublisherId) -> Result<Vec<EntryId>, StoreError> {
        let times = self.0.read(|catalog| catalog.times(Some(&[*publisher])))?;
        Ok(times.into_iter().map(|(_, id)| id).collect())
    }

    /// The ids of a publisher's entries after `seq` that state no release, in feed order. Reads one
    /// row per entry and no entry itself.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn remarks(&self, publisher: &PublisherId, seq: u64) -> Result<Vec<EntryId>, StoreError> {
        self.0.read(|catalog| catalog.remarks(publisher, seq))
    }

    /// How many entries are stored of publishers other than these. Answered from memory.
    #[must_use]
    pub fn strangers(&self, followed: &BTreeSet<PublisherId>) -> u64 {
        self.0.entry_counts().except(followed)
    }

    /// How many entries are stored. Reads one row.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn entry_count(&self) -> Result<u64, StoreError> {
        self.0.read(|catalog| catalog.count())
    }

    /// Grows with every put since the store was opened.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::SeqCst)
    }

    /// Releases that a filter selects, without those that are denied. With a release id, reads one entry and two rows; with a
    /// package URL, the rows under that name; with a publisher alone, two rows per release of its
    /// feed; otherwise (a plain name, no selector) every release row until the limit is reached.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn releases(&self, filter: &ReleaseFilter) -> Result<Vec<ReleaseRow>, StoreError> {
        let mut limit = filter.limit;
        loop {
            let rows = self.known_releases(&ReleaseFilter { limit, ..filter.clone() })?;
            let is_whole = limit == 0 || rows.len() < limit;
            let mut found = self.without_denied(rows);
            if is_whole || found.len() >= filter.limit {
                if filter.limit > 0 {
                    found.truncate(filter.limit);
                }
                return Ok(found);
            }
            limit = limit.saturating_mul(2);
        }
    }

    /// As [`Store::releases`], with those that are denied.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn known_releases(&self, filter: &ReleaseFilter) -> Result<Vec<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.releases(filter))
    }

    /// One release. Reads one entry and two rows.
    ///
    /// # Errors
    /// [`StoreError::Denied`], [`StoreError::DamagedEntry`], and failures of the index.
    pub fn release(&self, id: &ReleaseId) -> Result<Option<ReleaseRow>, StoreError> {
        let known = self.known_release(id)?;
        match known.as_ref().and_then(|row| self.denial_of_release(row)) {
            Some(denial) => Err(StoreError::Denied(Box::new(denial))),
            None => Ok(known),
        }
    }

    /// As [`Store::release`], denied or not.
    ///
    /// # Errors
    /// [`StoreError::DamagedEntry`], and failures of the index.
    pub fn known_release(&self, id: &ReleaseId) -> Result<Option<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.release(id))
    }

    /// Releases in which all words of `text` occur: in the name, the version, the registry or the
    /// names of files, or that have a file with the digest given.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn search(&self, text: &str, limit: usize) -> Result<Vec<ReleaseRow>, StoreError> {
        let found = self.0.read(|catalog| catalog.search(text, limit, Bounds::WIDE))?;
        Ok(self.without_denied(found))
    }

    /// As [`Store::search`], with a small bound on the time it takes: of many words, only the
    /// beginnings count.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn search_briefly(&self, text: &str, limit: usize) -> Result<Vec<ReleaseRow>, StoreError> {
        let found = self.0.read(|catalog| catalog.search(text, limit, Bounds::NARROW))?;
        Ok(self.without_denied(found))
    }

    /// The releases that are known to have a file with this SHA-256, by their lists as far as they
    /// are or were here.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn releases_with(
        &self,
        sha256: &Sha256Digest,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let found = self.0.read(|catalog| catalog.with_digest(sha256, limit))?;
        Ok(self.without_denied(found))
    }

    /// The artifact list of a release, if it is here.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] or [`StoreError::Format`] if the list or its entry is damaged,
    /// [`StoreError::InvalidList`] if the list does not fit the release.
    pub fn artifact_list(&self, id: &ReleaseId) -> Result<Option<ArtifactList>, StoreError> {
        self.record_damage(self.0.read(|catalog| catalog.artifact_list(id)))
    }

    /// An artifact list by what a release says of it, if it is here.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if its bytes are damaged, [`StoreError::InvalidList`] if they are
    /// not what the release says of them.
    pub fn read_list(&self, claim: &ArtifactListRef) -> Result<Option<ArtifactList>, StoreError> {
        self.record_damage(self.0.read(|catalog| catalog.read_list(claim)))
    }

    /// Recounts how much of a release is held; to be called when blobs of it came or went. `None`
    /// if the release is not known.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn refresh_state(&self, id: &ReleaseId) -> Result<Option<Holding>, StoreError> {
        self.0.write(|catalog| catalog.refresh(id, &self.0.state.follows()))
    }

    /// Notes the content of a release whose list has come, so that it is compared with other
    /// releases of its name.
    ///
    /// # Errors
    /// [`StoreError::InvalidList`] if its list does not fit it; failures of the disk and the index.
    pub fn note_content(&self, id: &ReleaseId) -> Result<(), StoreError> {
        let noted = self.0.write(|catalog| catalog.note_content(id));
        if let Err(StoreError::InvalidList { .. }) = &noted {
            self.refresh_state(id)?;
        }
        self.record_damage(noted)
    }

    /// Recounts how much of many releases is held, including those whose entry is damaged.
    pub(crate) fn refresh_rows(&self, rows: &[ReleaseRow]) -> Result<(), StoreError> {
        self.0.write(|catalog| catalog.refresh_rows(rows, &self.0.state.follows()))
    }

    /// Releases of followed publishers that are not held, by ascending id, after `after`. Reads two
    /// rows per release returned, at most `2 * limit`.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn wanted(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let read =
            |after: Option<&ReleaseId>, limit| self.0.read(|catalog| catalog.wanted(after, limit));
        self.undenied_page(after, limit, &read)
    }

    /// Of those, the releases of publishers followed by name; none unless all are followed.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn wanted_first(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let read = |after: Option<&ReleaseId>, limit| {
            self.0.read(|catalog| catalog.wanted_first(after, limit))
        };
        self.undenied_page(after, limit, &read)
    }
}
