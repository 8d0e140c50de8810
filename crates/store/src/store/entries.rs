//! Signed entries as the store's users put them and ask for them, and the states of feeds.
//!
//! Promises that an admitted entry is durable, and that the highest entry ever seen of a followed
//! publisher is remembered outside the index. `perennial-manifest` decides what a feed admits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use perennial_manifest::{
    Admit, Entry, EntryId, FeedState, PublisherId, PublisherKind, SignedEntry,
};

use super::rotations::may_hand_over;
use crate::catalog::{PutOutcome, Source};
use crate::error::StoreError;
use crate::pack::Kind;
use crate::space::Space;
use crate::state::OwnFeed;
use crate::store::Store;

impl Store {
    /// Takes entries of this node's user in, in order. Those that were admitted are durable on
    /// return. The highest entries seen of followed feeds are remembered outside the index, orphans
    /// included.
    ///
    /// Puts are serialised. Two puts with entries of one feed must come in order, or the later
    /// entry is judged an orphan: give them to one writer.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`], failures of the disk and the index. Nothing is acknowledged then;
    /// the put can be repeated.
    pub fn put_entries(&self, entries: &[SignedEntry]) -> Result<Vec<PutOutcome>, StoreError> {
        self.put(entries, Source::Outside)
    }

    /// As [`Store::put_entries`], of entries that peers sent: those of publishers that are not
    /// followed are taken in within their [`Share`](crate::Share), whatever way they came. If they
    /// have more than it, the largest of their feeds lose their newest entries.
    ///
    /// # Errors
    /// As for [`Store::put_entries`].
    pub fn put_from_peers(&self, entries: &[SignedEntry]) -> Result<Vec<PutOutcome>, StoreError> {
        let puts = self.put(entries, Source::Peers)?;
        self.cut_excess()?;
        Ok(puts)
    }

    fn put(&self, entries: &[SignedEntry], source: Source) -> Result<Vec<PutOutcome>, StoreError> {
        if !self.denies_publishers() {
            return self.put_allowed(entries, source);
        }
        let denies = |signed: &SignedEntry| self.denies_publisher(&signed.entry().publisher);
        let allowed: Vec<_> = entries.iter().filter(|signed| !denies(signed)).cloned().collect();
        let mut puts = self.put_allowed(&allowed, source)?.into_iter().peekable();
        let content = self.denied_content();
        let passed = |signed: &SignedEntry| {
            let id = signed.id();
            puts.next_if(|put| put.id == id).unwrap_or_else(|| {
                content.refuse(id);
                PutOutcome { id, admit: Some(Admit::Known) }
            })
        };
        Ok(entries.iter().map(passed).collect())
    }

    fn put_allowed(
        &self,
        entries: &[SignedEntry],
        source: Source,
    ) -> Result<Vec<PutOutcome>, StoreError> {
        // Refused as a whole: an entry in a pack that the index lacks makes it doubtful.
        let bytes: u64 = entries.iter().map(|signed| signed.encode().len() as u64).sum();
        self.0.blobs.space().check(bytes + Space::of_index(bytes), &self.0.layout.packs())?;
        let (puts, follows) = self.0.write(|catalog| {
            // Read under the lock, so that a follow that comes meanwhile finds these entries, or
            // they find it.
            let follows = self.0.state.follows();
            let puts = catalog.put(entries, source, &follows, &*self.0)?;
            let mut counts = self.0.entry_counts();
            for (signed, put) in entries.iter().zip(&puts) {
                let publisher = signed.entry().publisher;
                let fork = matches!(put.admit, Some(Admit::Fork(_)));
                if fork || put.admit == Some(Admit::New) {
                    counts.add(publisher, 1);
                }
                // Only a fork or, of a forked feed, a merge changes whether it has several heads.
                if fork || counts.forked().contains(&publisher) {
                    let value = catalog.publisher(&publisher)?;
                    counts.set_forked(publisher, value.is_some_and(|v| v.feed.is_forked()));
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
                is_of_feed(put)
                    && (follows.names(publisher) || self.0.state.seen(publisher).is_some())
            })
            .map(|(signed, put)| (signed.entry().publisher, signed.entry().seq, put.id))
            .collect();
        self.0.state.see(&seen)?;
        for put in puts.iter().filter(|put| is_of_feed(put)) {
            self.damaged_entries().remove(&put.id);
        }
        let new = |put: &PutOutcome| matches!(put.admit, Some(Admit::New | Admit::Fork(_)));
        let grown = entries.iter().zip(&puts).filter(|(_, put)| new(put));
        let grown = grown.map(|(signed, _)| signed.entry().publisher).collect();
        self.0.feeds_changed(grown, false);
        if entries.iter().zip(&puts).any(|(signed, put)| may_hand_over(&follows, signed, put)) {
            self.follow_rotations()?;
        }
        Ok(puts)
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
        self.0.state.set_own_feed(own)?;
        self.0.entry_counts().decide(&self.0.state);
        Ok(())
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

    /// What a stored entry states. Reads one record from a pack and compares it with its hash; the
    /// signature was verified when the entry came.
    ///
    /// # Errors
    /// As for [`Store::entry`].
    pub fn statement(&self, id: &EntryId) -> Result<Option<Entry>, StoreError> {
        self.noting_damage(self.0.read(|catalog| catalog.statement(id)))
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

    pub(super) fn damaged_entries(&self) -> MutexGuard<'_, BTreeSet<EntryId>> {
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

    /// Publishers with several heads, of whom nothing can be said to be newest: those that are
    /// followed by name and this node's own, and the number of all others. Answered from memory.
    #[must_use]
    pub fn forked(&self) -> (Vec<PublisherId>, usize) {
        let follows = self.follows();
        let own = self.own_feed().map(|own| own.publisher);
        let counts = self.0.entry_counts();
        let ours = |id: &&PublisherId| follows.names(id) || own == Some(**id);
        let ours: Vec<_> = counts.forked().iter().filter(ours).copied().collect();
        let others = counts.forked().len() - ours.len();
        (ours, others)
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

    /// The ids of a publisher's entries from a number on that state no release, or one whose
    /// package URL has this type, in feed order, except those found damaged. Reads one row per
    /// entry and no entry itself.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn entries_of_type(
        &self,
        publisher: &PublisherId,
        ty: &str,
        from: u64,
    ) -> Result<Vec<EntryId>, StoreError> {
        let mut ids = self.0.read(|catalog| catalog.of_type(publisher, ty, from))?;
        let damaged = self.damaged_entries();
        ids.retain(|id| !damaged.contains(id));
        Ok(ids)
    }

    /// The ids of a publisher's entries after `seq` that state no release, in feed order. Reads one
    /// row per entry and no entry itself.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn remarks(&self, publisher: &PublisherId, seq: u64) -> Result<Vec<EntryId>, StoreError> {
        self.0.read(|catalog| catalog.remarks(publisher, seq))
    }

    /// How many entries are stored of publishers that are not followed. Answered from memory.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.0.entry_counts().of_strangers()
    }

    /// Whether one more entry of a publisher would be taken in, if a peer sent it. Answered from
    /// memory.
    #[must_use]
    pub fn takes(&self, publisher: &PublisherId) -> bool {
        self.0.entry_counts().takes(publisher, 0, 0)
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
}

/// Whether an entry belongs to its feed, as far as that is known.
const fn is_of_feed(put: &PutOutcome) -> bool {
    !matches!(put.admit, Some(Admit::Reject(_)) | None)
}
