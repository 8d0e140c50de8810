//! Admitting a batch of entries: the bytes of each go to a pack, and one batch to the index makes
//! all of them known.
//!
//! Owns the order of the two. Decides nothing about a feed: `perennial-manifest` does.

use std::collections::{BTreeMap, HashMap};

use perennial_manifest::{
    Admit, ArtifactListRef, Body, EntryId, FeedState, PublisherId, SignedEntry,
};

use super::feed_view::FeedView;
use super::holdings::Counted;
use super::{Catalog, PutOutcome, Room, Source, encode};
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::rows::{self, PublisherValue};
use crate::state::Kept;

/// Longest list of a peer's entry that is read when the entry is put, in bytes. A longer one is
/// read when the release is fetched: entries are free to sign, and reading takes the time of other
/// puts.
const READ_AT_ONCE: u64 = 64 << 10;

/// The state of an entry in the packs before it was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Damaged,
    Good,
}

/// A batch of entries on its way into the index.
pub(super) struct Admission<'a> {
    catalog: &'a Catalog<'a>,
    source: Source,
    /// Rows of the publishers that the batch names, as they will be.
    publishers: BTreeMap<PublisherId, PublisherValue>,
    next_ordinal: Option<u32>,
    /// Entries admitted so far.
    pending: HashMap<EntryId, (PublisherId, u64)>,
    changes: Vec<Change>,
    /// How much is held of the list counted last, because many entries may name one.
    counted: Option<(ArtifactListRef, Counted)>,
    /// Entries admitted so far of each publisher for whom there is not always room.
    of_strangers: HashMap<PublisherId, u64>,
    /// Whether bytes were appended to a pack.
    appended: bool,
    /// Entries that a rebuild had to leave out, and that have come again.
    found_again: u64,
}

impl<'a> Admission<'a> {
    pub(super) fn new(catalog: &'a Catalog<'a>, source: Source) -> Self {
        Self {
            catalog,
            source,
            publishers: BTreeMap::new(),
            next_ordinal: None,
            pending: HashMap::new(),
            changes: Vec::new(),
            counted: None,
            of_strangers: HashMap::new(),
            appended: false,
            found_again: 0,
        }
    }

    /// Judges an entry, and takes it in if its feed admits it and there is room for it. `kept`: how
    /// far its publisher's releases are wanted.
    pub(super) fn take(
        &mut self,
        signed: &SignedEntry,
        kept: Kept,
        room: &dyn Room,
    ) -> Result<PutOutcome, StoreError> {
        let entry = signed.entry();
        let value = self.publisher(&entry.publisher)?;
        let mut feed = value.feed.clone();
        let view = FeedView {
            catalog: self.catalog,
            value: &value,
            pending: &self.pending,
            publisher: entry.publisher,
            own: (signed.id(), entry.seq),
            gaps: self.source == Source::PacksWithGaps,
        };
        let admit = feed.admit(signed, &view);
        let new = matches!(admit, Admit::New | Admit::Fork(_));
        if self.source == Source::Peers
            && (new || matches!(admit, Admit::Orphan(_)))
            && !self.has_room(&entry.publisher, new, room)
        {
            return Ok(PutOutcome { id: signed.id(), admit: None });
        }
        if new {
            self.admit(signed, value, feed, kept)?;
        } else if self.source.is_new() && admit == Admit::Known {
            // A damaged record is replaced by the good bytes at hand.
            self.appended |= self.append(signed)? != Before::Good;
        }
        Ok(PutOutcome { id: signed.id(), admit: Some(admit) })
    }

    /// Whether there is room for one more entry of a publisher; it is taken up if `taken`.
    fn has_room(&mut self, publisher: &PublisherId, taken: bool, room: &dyn Room) -> bool {
        if !room.is_stranger(publisher) {
            return true;
        }
        let all: u64 = self.of_strangers.values().sum();
        let theirs = self.of_strangers.get(publisher).copied().unwrap_or_default();
        let has = room.takes(publisher, theirs, all);
        if has && taken {
            *self.of_strangers.entry(*publisher).or_default() += 1;
        }
        has
    }

    /// Counts how much of the release that an entry states is held. An add has its bytes here
    /// before it is signed: it is listed as held from its first moment, or not at all.
    fn count(&mut self, signed: &SignedEntry) -> Result<(), StoreError> {
        let Some((_, body)) = signed.release() else { return Ok(()) };
        let claim = body.artifacts;
        if self.counted.as_ref().is_some_and(|(counted, _)| *counted == claim) {
            return Ok(());
        }
        let counted = if self.source == Source::Peers && claim.size > READ_AT_ONCE {
            Counted::UNSEEN
        } else {
            self.catalog.count_held(&claim, &mut self.changes)?
        };
        self.counted = Some((claim, counted));
        Ok(())
    }

    fn admit(
        &mut self,
        signed: &SignedEntry,
        mut value: PublisherValue,
        mut feed: FeedState,
        kept: Kept,
    ) -> Result<(), StoreError> {
        let entry = signed.entry();
        if feed.highest().is_some_and(|(seq, _)| seq > entry.seq)
            && self.catalog.has_successor(signed, value.ordinal)?
        {
            feed.heads.retain(|(head, _)| *head != signed.id());
        }
        value.feed = feed;
        if let Body::Profile(profile) = &entry.body {
            value.kind = Some(profile.publisher_kind);
        }
        if self.source.is_new() {
            let before = self.append(signed)?;
            self.appended |= before != Before::Good;
            self.found_again += u64::from(before != Before::Nothing);
        }
        self.pending.insert(signed.id(), (entry.publisher, entry.seq));
        self.count(signed)?;
        let unseen = Counted::UNSEEN;
        let counted = self.counted.as_ref().map_or(&unseen, |(_, counted)| counted);
        Catalog::index_entry(signed, value.ordinal, kept, counted, &mut self.changes);
        self.publishers.insert(entry.publisher, value);
        Ok(())
    }

    /// A publisher's row as the batch has it; a publisher that is new gets the next ordinal.
    fn publisher(&mut self, id: &PublisherId) -> Result<PublisherValue, StoreError> {
        if let Some(value) = self.publishers.get(id) {
            return Ok(value.clone());
        }
        let value = match self.catalog.publisher(id)? {
            Some(value) => value,
            None => {
                let ordinal = match self.next_ordinal {
                    Some(ordinal) => ordinal,
                    None => self.catalog.next_ordinal()?,
                };
                self.next_ordinal = Some(ordinal.saturating_add(1));
                PublisherValue { ordinal, feed: FeedState::default(), kind: None }
            }
        };
        self.publishers.insert(*id, value.clone());
        Ok(value)
    }

    /// Writes an entry's bytes, unless good ones are in a pack already.
    fn append(&self, signed: &SignedEntry) -> Result<Before, StoreError> {
        let blobs = self.catalog.blobs;
        let before = match blobs.entry(signed.id().as_bytes()) {
            Ok(Some(_)) => return Ok(Before::Good),
            Ok(None) => Before::Nothing,
            Err(StoreError::DamagedEntry(_)) => Before::Damaged,
            Err(error) => return Err(error),
        };
        blobs.append_entry(*signed.id().as_bytes(), signed.encode())?;
        Ok(before)
    }

    /// Makes the bytes durable, then the index.
    pub(super) fn commit(mut self) -> Result<(), StoreError> {
        let new = self.pending.len() as u64;
        // Also what an earlier put left in the buffer when the disk was full.
        if self.source.is_new() && (new > 0 || self.appended) {
            self.catalog.blobs.packs().sync()?;
        }
        if new == 0 {
            return Ok(());
        }
        if let Some(ordinal) = self.next_ordinal {
            let next = u64::from(ordinal).to_be_bytes();
            self.changes.push(Change::Put(rows::ORDINALS.to_vec(), next.to_vec()));
        }
        // A publisher of whom nothing was admitted has no row.
        for (id, value) in self.publishers.iter().filter(|(_, value)| value.feed.entries > 0) {
            self.changes.push(Change::Put(rows::publisher(id), encode(value)?));
        }
        let entries = self.catalog.count()? + new;
        self.changes.push(Change::Put(rows::ENTRIES.to_vec(), entries.to_be_bytes().to_vec()));
        if self.found_again > 0 {
            let skipped = self.catalog.skipped()?.saturating_sub(self.found_again);
            self.changes.push(Change::Put(rows::SKIPPED.to_vec(), skipped.to_be_bytes().to_vec()));
        }
        self.catalog.apply(self.changes)
    }
}
