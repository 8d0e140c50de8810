//! All entries that a node knows, and how much of each release it holds.
//!
//! Owns the tables of the index and the rules by which entries enter it; listing is in `releases`,
//! look-ups by name are in `naming`, by SHA-256 in `sha256`. The entries themselves lie in packs,
//! and every row here can be rebuilt from them (`rebuild`). Promises that an entry is in the index
//! only if its bytes are durable.

mod admission;
mod feed_view;
mod holdings;
mod naming;
mod releases;
mod removal;
mod search;
mod sha256;
mod stats;
mod tally;

use perennial_manifest::{Admit, Entry, EntryId, PublisherId, SignedEntry, canonical};

use crate::blobs::Blobs;
use crate::error::StoreError;
use crate::index_trait::MetaIndex;
use crate::rows::{self, PublisherValue};
use crate::state::Follows;
use admission::Admission;
pub(crate) use holdings::{Place, Recount};
pub use releases::{ReleaseFilter, ReleaseRow};
pub(crate) use search::Bounds;
pub use stats::{ReleaseCounts, Stats};

/// The outcome of putting one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// The id of the entry.
    pub id: EntryId,
    /// The verdict of the feed's rules. `None` if there is no room for more entries of its
    /// publisher, who is not followed.
    pub admit: Option<Admit>,
}

/// How much room there is for publishers that are not followed.
pub(crate) trait Room {
    /// Whether a publisher is not followed.
    fn is_stranger(&self, publisher: &PublisherId) -> bool;
    /// Whether one more entry of a stranger is taken in, after `theirs` of this stranger and `all`
    /// of all strangers that are on their way into the index.
    fn takes(&self, publisher: &PublisherId, theirs: u64, all: u64) -> bool;
}

/// Room for all.
#[derive(Debug)]
pub(crate) struct Unbounded;

impl Room for Unbounded {
    fn is_stranger(&self, _: &PublisherId) -> bool {
        false
    }

    fn takes(&self, _: &PublisherId, _: u64, _: u64) -> bool {
        true
    }
}

/// Where the entries of a put come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// From this node's user: their bytes are written first.
    Outside,
    /// From peers: as `Outside`, within the room for strangers, and long lists are not read.
    Peers,
    /// From this store's packs, for a rebuild.
    Packs,
    /// As `Packs`, and missing predecessors count as lost: they were there when these entries were
    /// admitted.
    PacksWithGaps,
}

impl Source {
    /// Whether the entries' bytes may be new here.
    const fn is_new(self) -> bool {
        matches!(self, Self::Outside | Self::Peers)
    }
}

/// The catalog, over the index that is open at the moment.
pub(crate) struct Catalog<'a> {
    pub(crate) index: &'a dyn MetaIndex,
    pub(crate) blobs: &'a Blobs,
}

impl Catalog<'_> {
    pub(crate) fn entry(&self, id: &EntryId) -> Result<Option<SignedEntry>, StoreError> {
        let Some(encoded) = self.blobs.entry(id.as_bytes())? else { return Ok(None) };
        let signed = SignedEntry::decode(&encoded).map_err(|e| StoreError::Format {
            path: format!("entry {id}").into(),
            reason: e.to_string(),
        })?;
        // The hash of a record proves that its content is whole, not that it is the one asked for.
        if signed.id() == *id { Ok(Some(signed)) } else { Err(StoreError::DamagedEntry(*id)) }
    }

    /// What a stored entry states. Entries are stored once they are verified: their hash is enough.
    pub(crate) fn statement(&self, id: &EntryId) -> Result<Option<Entry>, StoreError> {
        let Some(encoded) = self.blobs.entry(id.as_bytes())? else { return Ok(None) };
        let stated = SignedEntry::statement(&encoded, id).map_err(|e| StoreError::Format {
            path: format!("entry {id}").into(),
            reason: e.to_string(),
        })?;
        // As for `entry`: the record is whole, and may be another one's.
        stated.map(Some).ok_or(StoreError::DamagedEntry(*id))
    }

    /// Whether an admitted entry names this one as its predecessor. If so, this one closes a gap
    /// and is not a head.
    fn has_successor(&self, signed: &SignedEntry, ordinal: u32) -> Result<bool, StoreError> {
        let prefix = rows::feed_at(ordinal, signed.entry().seq + 1);
        let mut next = Vec::new();
        self.index.walk(&prefix, &prefix, &mut |key, value| {
            next.extend(rows::read_feed(key, value).map(|row| row.id));
            true
        })?;
        let names = |id: &EntryId| {
            matches!(self.entry(id),
                Ok(Some(next)) if next.entry().prevs.contains(&signed.id()))
        };
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

    /// How many entries of the packs the index lacks, because they do not read back or do not fit.
    pub(crate) fn skipped(&self) -> Result<u64, StoreError> {
        self.number(rows::SKIPPED)
    }

    fn number(&self, key: &[u8]) -> Result<u64, StoreError> {
        Ok(self.index.get(key)?.and_then(|value| rows::number(&value)).unwrap_or_default())
    }

    /// The ordinal of the next new publisher.
    fn next_ordinal(&self) -> Result<u32, StoreError> {
        let noted = self.index.get(rows::ORDINALS)?.and_then(|value| rows::number(&value));
        let next = match noted {
            Some(next) => next,
            None => self.publishers()?.len() as u64,
        };
        Ok(u32::try_from(next).unwrap_or(u32::MAX))
    }

    /// Takes entries in, in order. `follows`: whose releases are wanted.
    pub(crate) fn put(
        &self,
        entries: &[SignedEntry],
        source: Source,
        follows: &Follows,
        room: &dyn Room,
    ) -> Result<Vec<PutOutcome>, StoreError> {
        let mut admission = Admission::new(self, source);
        let outcomes: Result<Vec<_>, StoreError> = entries
            .iter()
            .map(|signed| {
                let purl = signed.release().map_or("", |(_, body)| body.purl.as_str());
                admission.take(signed, follows.kept(&signed.entry().publisher, purl), room)
            })
            .collect();
        let outcomes = outcomes?;
        admission.commit()?;
        Ok(outcomes)
    }

    /// The ids of a publisher's entries after `seq` that state no release, in feed order. Reads one
    /// row per entry.
    pub(crate) fn remarks(
        &self,
        publisher: &PublisherId,
        seq: u64,
    ) -> Result<Vec<EntryId>, StoreError> {
        let Some(known) = self.publisher(publisher)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let (prefix, from) =
            (rows::feed_of(known.ordinal), rows::feed_at(known.ordinal, seq.saturating_add(1)));
        self.index.walk(&prefix, &from, &mut |key, value| {
            let row = rows::read_feed(key, value).filter(|row| row.purl.is_empty());
            found.extend(row.map(|row| row.id));
            true
        })?;
        Ok(found)
    }

    /// The ids of a publisher's entries from a number on that state no release, or one whose
    /// package URL has this type, in feed order. Reads one row per entry.
    pub(crate) fn of_type(
        &self,
        publisher: &PublisherId,
        ty: &str,
        from: u64,
    ) -> Result<Vec<EntryId>, StoreError> {
        let Some(known) = self.publisher(publisher)? else { return Ok(Vec::new()) };
        let (prefix, beginning) = (rows::feed_of(known.ordinal), format!("pkg:{ty}/"));
        let from = rows::feed_at(known.ordinal, from);
        let mut found = Vec::new();
        self.index.walk(&prefix, &from, &mut |key, value| {
            let row = rows::read_feed(key, value);
            let row = row.filter(|row| row.purl.is_empty() || row.purl.starts_with(&beginning));
            found.extend(row.map(|row| row.id));
            true
        })?;
        Ok(found)
    }

    /// `(issued_at, id)` of all entries of some publishers, or of all. Reads one row per entry.
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
