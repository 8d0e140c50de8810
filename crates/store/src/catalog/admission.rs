//! Admitting a batch of entries: the bytes of each go to a pack, and one batch to the index makes
//! all of them known.
//!
//! Owns the order of the two. Decides nothing about a feed: `perennial-manifest` does.

use std::collections::{BTreeMap, HashMap};

use perennial_manifest::{Admit, Body, EntryId, FeedState, PublisherId, SignedEntry};

use super::feed_view::FeedView;
use super::{Catalog, PutOutcome, Source, encode};
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::rows::{self, PublisherValue};
use crate::state::Kept;

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
            appended: false,
            found_again: 0,
        }
    }

    /// Judges an entry, and takes it in if its feed admits it. `kept`: how far its publisher's
    /// releases are wanted.
    pub(super) fn take(
        &mut self,
        signed: &SignedEntry,
        kept: Kept,
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
        if matches!(admit, Admit::New | Admit::Fork(_)) {
            self.admit(signed, value, feed, kept)?;
        } else if self.source == Source::Outside && admit == Admit::Known {
            // A damaged record is replaced by the good bytes at hand.
            self.appended |= self.append(signed)? != Before::Good;
        }
        Ok(PutOutcome { id: signed.id(), admit })
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
        if self.source == Source::Outside {
            let before = self.append(signed)?;
            self.appended |= before != Before::Good;
            self.found_again += u64::from(before != Before::Nothing);
        }
        self.pending.insert(signed.id(), (entry.publisher, entry.seq));
        self.catalog.index_entry(signed, value.ordinal, kept, &mut self.changes)?;
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
                    None => u32::try_from(self.catalog.publishers()?.len()).unwrap_or(u32::MAX),
                };
                self.next_ordinal = Some(ordinal + 1);
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
        if self.source == Source::Outside && (new > 0 || self.appended) {
            self.catalog.blobs.packs().sync()?;
        }
        if new == 0 {
            return Ok(());
        }
        for (id, value) in &self.publishers {
            self.changes.push(Change::Put(rows::publisher(id), encode(value)?));
        }
        let entries = self.catalog.count()? + new;
        self.changes.push(Change::Put(rows::ENTRIES.to_vec(), entries.to_be_bytes().to_vec()));
        if self.found_again > 0 {
            let skipped = self.catalog.skipped()?.saturating_sub(self.found_again);
            self.changes.push(Change::Put(rows::SKIPPED.to_vec(), skipped.to_be_bytes().to_vec()));
        }
        self.catalog.index.apply(&self.changes)
    }
}
