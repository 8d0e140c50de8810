//! All entries a node knows, and how much of their releases is here.
//!
//! Owns the tables of the index and the rules by which entries enter it; what it lists is in `releases`, what is known by
//! SHA-256 in `sha256`. The entries themselves lie in packs; every row here can be made again from them (`rebuild`).
//! Promises that an entry is in the index only if its bytes are durable.

mod releases;
mod search;
mod sha256;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use perennial_manifest::{
    Admit, Body, EntryId, FeedState, Known, PublisherId, SignedEntry, canonical,
};

use crate::blobs::Blobs;
use crate::error::StoreError;
use crate::index_trait::{Change, MetaIndex};
use crate::rows::{self, PublisherValue};
pub use releases::{ReleaseFilter, ReleaseRow};

/// What became of an entry that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// Which entry.
    pub id: EntryId,
    /// What the feed's rules say.
    pub admit: Admit,
}

/// Where the entries come from that are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// From a publisher or a peer: their bytes are written first.
    Outside,
    /// From our own packs, for a rebuild.
    Packs,
    /// The same, and predecessors that are not there are lost: they were when these were admitted.
    PacksWithGaps,
}

/// What was in the packs of an entry that is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Damaged,
    Good,
}

/// The catalog, over the index of the moment.
pub(crate) struct Catalog<'a> {
    pub(crate) index: &'a dyn MetaIndex,
    pub(crate) blobs: &'a Blobs,
}

/// A feed as the index and the batch under way know it.
struct FeedView<'a> {
    catalog: &'a Catalog<'a>,
    value: &'a PublisherValue,
    pending: &'a HashMap<EntryId, (PublisherId, u64)>,
    publisher: PublisherId,
    /// The entry that is put.
    own: (EntryId, u64),
    /// Whether predecessors of it that are not here are taken for lost.
    gaps: bool,
}

impl Known for FeedView<'_> {
    fn seq_of(&self, id: &EntryId) -> Option<u64> {
        if let Some((_, seq)) = self.value.feed.heads.iter().find(|(head, _)| head == id) {
            return Some(*seq);
        }
        if let Some((publisher, seq)) = self.pending.get(id) {
            return (*publisher == self.publisher).then_some(*seq);
        }
        let (own, seq) = self.own;
        if *id == own {
            let key = rows::feed(self.value.ordinal, seq, id);
            return self.catalog.index.get(&key).ok()?.map(|_| seq);
        }
        self.seq_in_index(id).or_else(|| if self.gaps { seq.checked_sub(1) } else { None })
    }

    fn at_seq(&self, seq: u64) -> Option<EntryId> {
        // the common case without a look-up: nothing is as high as this yet
        if self.value.feed.highest().is_none_or(|(highest, _)| highest < seq) {
            return None;
        }
        let pending = self
            .pending
            .iter()
            .find(|(_, place)| **place == (self.publisher, seq))
            .map(|(id, _)| *id);
        pending.or_else(|| {
            let mut found = None;
            let prefix = rows::feed_at(self.value.ordinal, seq);
            let walked = self.catalog.index.walk(&prefix, &prefix, &mut |key, value| {
                found = rows::read_feed(key, value).map(|row| row.id);
                false
            });
            walked.ok().and(found)
        })
    }
}

impl FeedView<'_> {
    /// In a pack is not enough: a rebuild, or a put whose index write failed, has entries that are not admitted yet.
    fn seq_in_index(&self, id: &EntryId) -> Option<u64> {
        let Catalog { index, .. } = self.catalog;
        match self.catalog.entry(id) {
            Ok(signed) => {
                let signed = signed?;
                let (publisher, seq) = (signed.entry().publisher, signed.entry().seq);
                let indexed = index.get(&rows::feed(self.value.ordinal, seq, id)).ok()?.is_some();
                (publisher == self.publisher && indexed).then_some(seq)
            }
            // damaged here, and part of the feed all the same
            Err(_) => {
                let mut found = None;
                let prefix = rows::feed_of(self.value.ordinal);
                let walked = index.walk(&prefix, &prefix, &mut |key, value| {
                    found =
                        rows::read_feed(key, value).filter(|row| row.id == *id).map(|row| row.seq);
                    found.is_none()
                });
                walked.ok().and(found)
            }
        }
    }
}

impl Catalog<'_> {
    pub(crate) fn entry(&self, id: &EntryId) -> Result<Option<SignedEntry>, StoreError> {
        let Some(encoded) = self.blobs.entry(id.as_bytes())? else { return Ok(None) };
        let signed = SignedEntry::decode(&encoded).map_err(|e| StoreError::Format {
            path: format!("entry {id}").into(),
            reason: e.to_string(),
        })?;
        // the hash of a record says that its content is whole, not that it is the one that is asked for
        if signed.id() == *id { Ok(Some(signed)) } else { Err(StoreError::DamagedEntry(*id)) }
    }

    /// Writes an entry's bytes, unless good ones are in a pack already. Says what was there before.
    fn append(&self, signed: &SignedEntry) -> Result<Before, StoreError> {
        let before = match self.blobs.entry(signed.id().as_bytes()) {
            Ok(Some(_)) => return Ok(Before::Good),
            Ok(None) => Before::Nothing,
            Err(StoreError::DamagedEntry(_)) => Before::Damaged,
            Err(error) => return Err(error),
        };
        self.blobs.append_entry(*signed.id().as_bytes(), signed.encode())?;
        Ok(before)
    }

    /// Whether an admitted entry names this one as its predecessor: this one closes a gap then, and is no end.
    fn has_successor(&self, signed: &SignedEntry, ordinal: u32) -> Result<bool, StoreError> {
        let prefix = rows::feed_at(ordinal, signed.entry().seq + 1);
        let mut next = Vec::new();
        self.index.walk(&prefix, &prefix, &mut |key, value| {
            next.extend(rows::read_feed(key, value).map(|row| row.id));
            true
        })?;
        let names = |id: &EntryId| matches!(self.entry(id), Ok(Some(next)) if next.entry().prevs.contains(&signed.id()));
        Ok(next.iter().any(names))
    }

    pub(crate) fn publisher(&self, id: &PublisherId) -> Result<Option<PublisherValue>, StoreError> {
        self.index.get(&rows::publisher(id))?.map(|bytes| decode(&bytes)).transpose()
    }

    pub(crate) fn publishers(&self) -> Result<Vec<(PublisherId, PublisherValue)>, StoreError> {
        let mut found = Vec::new();
        let mut damaged = false;
        self.index.walk(b"P", b"P", &mut |key, value| {
            let id = key[1..].try_into().ok().and_then(|bytes| PublisherId::from_bytes(bytes).ok());
            match (id, decode(value)) {
                (Some(id), Ok(value)) => found.push((id, value)),
                _ => damaged = true,
            }
            true
        })?;
        if damaged {
            Err(StoreError::Index("a publisher's row does not read back".into()))
        } else {
            Ok(found)
        }
    }

    pub(crate) fn count(&self) -> Result<u64, StoreError> {
        self.number(rows::ENTRIES)
    }

    /// How many entries of the packs are not in the index, because they do not read back or do not fit.
    pub(crate) fn skipped(&self) -> Result<u64, StoreError> {
        self.number(rows::SKIPPED)
    }

    fn number(&self, key: &[u8]) -> Result<u64, StoreError> {
        let value = self.index.get(key)?;
        Ok(value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    /// Takes entries in, in order. `keeps` says whose releases are wanted.
    pub(crate) fn put(
        &self,
        entries: &[SignedEntry],
        source: Source,
        keeps: &dyn Fn(&PublisherId) -> bool,
    ) -> Result<Vec<PutOutcome>, StoreError> {
        let mut publishers: BTreeMap<PublisherId, PublisherValue> = BTreeMap::new();
        let mut next_ordinal = None;
        let mut pending = HashMap::new();
        let (mut puts, mut changes, mut new) = (Vec::new(), Vec::new(), 0);
        // entries that a rebuild had to leave out, and that came again
        let (mut appended, mut found_again) = (false, 0);
        for signed in entries {
            let entry = signed.entry();
            let value = match publishers.entry(entry.publisher) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(slot) => slot.insert(match self.publisher(&entry.publisher)? {
                    Some(value) => value,
                    None => {
                        let ordinal = match next_ordinal {
                            Some(ordinal) => ordinal,
                            None => u32::try_from(self.publishers()?.len()).unwrap_or(u32::MAX),
                        };
                        next_ordinal = Some(ordinal + 1);
                        PublisherValue { ordinal, feed: FeedState::default(), kind: None }
                    }
                }),
            };
            let mut feed = value.feed.clone();
            let (own, gaps) = ((signed.id(), entry.seq), source == Source::PacksWithGaps);
            let view = FeedView {
                catalog: self,
                value,
                pending: &pending,
                publisher: entry.publisher,
                own,
                gaps,
            };
            let admit = feed.admit(signed, &view);
            if matches!(admit, Admit::New | Admit::Fork(_)) {
                if feed.highest().is_some_and(|(seq, _)| seq > entry.seq)
                    && self.has_successor(signed, value.ordinal)?
                {
                    feed.heads.retain(|(head, _)| *head != signed.id());
                }
                value.feed = feed;
                if let Body::Profile(profile) = &entry.body {
                    value.kind = Some(profile.publisher_kind);
                }
                if source == Source::Outside {
                    let before = self.append(signed)?;
                    appended |= before != Before::Good;
                    found_again += u64::from(before != Before::Nothing);
                }
                pending.insert(signed.id(), (entry.publisher, entry.seq));
                self.index_entry(signed, value.ordinal, keeps(&entry.publisher), &mut changes)?;
                new += 1;
            } else if source == Source::Outside && admit == Admit::Known {
                // a damaged record is replaced by the good bytes at hand
                appended |= self.append(signed)? != Before::Good;
            }
            puts.push(PutOutcome { id: signed.id(), admit });
        }
        // not only what was appended here: what another put left in the buffer when the disk was full
        if source == Source::Outside && (new > 0 || appended) {
            self.blobs.packs().sync()?;
        }
        if new == 0 {
            return Ok(puts);
        }
        for (id, value) in &publishers {
            changes.push(Change::Put(rows::publisher(id), encode(value)?));
        }
        changes.push(Change::Put(
            rows::ENTRIES.to_vec(),
            (self.count()? + new).to_be_bytes().to_vec(),
        ));
        if found_again > 0 {
            let skipped = self.skipped()?.saturating_sub(found_again);
            changes.push(Change::Put(rows::SKIPPED.to_vec(), skipped.to_be_bytes().to_vec()));
        }
        self.index.apply(&changes)?;
        Ok(puts)
    }

    fn index_entry(
        &self,
        signed: &SignedEntry,
        ordinal: u32,
        kept: bool,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let entry = signed.entry();
        let purl = signed.release().map_or("", |(_, release)| release.purl.as_str());
        let key = rows::feed(ordinal, entry.seq, &signed.id());
        changes.push(Change::Put(key, rows::feed_value(entry.issued_at, purl)));
        self.index_release(signed, ordinal, kept, changes)
    }

    /// `(issued_at, id)` of all entries of some publishers, or of all.
    pub(crate) fn times(
        &self,
        publishers: Option<&[PublisherId]>,
    ) -> Result<Vec<(u64, EntryId)>, StoreError> {
        let mut prefixes = Vec::new();
        match publishers {
            None => prefixes.push(b"F".to_vec()),
            Some(some) => {
                for id in some {
                    prefixes.extend(self.publisher(id)?.map(|value| rows::feed_of(value.ordinal)));
                }
            }
        }
        let mut found = Vec::new();
        for prefix in prefixes {
            self.index.walk(&prefix, &prefix, &mut |key, value| {
                found.extend(rows::read_feed(key, value).map(|row| (row.issued_at, row.id)));
                true
            })?;
        }
        Ok(found)
    }
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    canonical::to_vec(value).map_err(|e| StoreError::Index(e.to_string()))
}

fn decode<T: serde::Serialize + serde::de::DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, StoreError> {
    canonical::from_slice(bytes).map_err(|e| StoreError::Index(e.to_string()))
}
