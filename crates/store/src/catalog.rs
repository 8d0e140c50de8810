//! All entries a node knows, and how much of their releases is here.
//!
//! Owns the tables of the index and the rules by which entries enter it. The entries themselves lie in packs; every row
//! here can be made again from them (`rebuild`). Promises that an entry is in the index only if its bytes are durable.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use perennial_manifest::{
    Admit, ArtifactList, BlobId, Body, EntryId, FeedState, Known, PublisherId, Purl, ReleaseId, Selector,
    SignedEntry, canonical,
};

use crate::blobs::Blobs;
use crate::error::StoreError;
use crate::keys::{self, PublisherValue, ReleaseState, ReleaseValue};
use crate::meta::{Change, MetaIndex};

/// What became of an entry that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Which entry.
    pub id: EntryId,
    /// What the feed's rules say.
    pub admit: Admit,
}

/// A release as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Its id.
    pub release: ReleaseId,
    /// What it is called.
    pub purl: Purl,
    /// Who signed it.
    pub publisher: PublisherId,
    /// Its artifact list.
    pub artifacts: perennial_manifest::ArtifactListRef,
    /// Its place in the feed.
    pub seq: u64,
    /// Unix seconds by the publisher's clock.
    pub issued_at: u64,
    /// How much is here.
    pub state: ReleaseState,
    /// Bytes of its artifacts that are here.
    pub held_bytes: u64,
}

/// Which releases to list.
#[derive(Debug, Clone, Default)]
pub struct ReleaseFilter {
    /// Only this publisher's.
    pub publisher: Option<PublisherId>,
    /// Only those that it names.
    pub selector: Option<Selector>,
    /// Only those in this state.
    pub state: Option<ReleaseState>,
    /// At most so many; 0 for all.
    pub limit: usize,
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
}

impl Known for FeedView<'_> {
    fn seq_of(&self, id: &EntryId) -> Option<u64> {
        if let Some((_, seq)) = self.value.feed.heads.iter().find(|(head, _)| head == id) {
            return Some(*seq);
        }
        if let Some((publisher, seq)) = self.pending.get(id) {
            return (*publisher == self.publisher).then_some(*seq);
        }
        // in a pack is not enough: a rebuild, or a put whose index write failed, has entries that are not admitted yet
        let signed = self.catalog.entry(id).ok()??;
        let (publisher, seq) = (signed.entry().publisher, signed.entry().seq);
        let indexed = self.catalog.index.get(&keys::feed(self.value.ordinal, seq, id)).ok()?.is_some();
        (publisher == self.publisher && indexed).then_some(seq)
    }

    fn at_seq(&self, seq: u64) -> Option<EntryId> {
        // the common case without a look-up: nothing is as high as this yet
        if self.value.feed.highest().is_none_or(|(highest, _)| highest < seq) {
            return None;
        }
        let pending =
            self.pending.iter().find(|(_, place)| **place == (self.publisher, seq)).map(|(id, _)| *id);
        pending.or_else(|| {
            let mut found = None;
            let prefix = keys::feed_at(self.value.ordinal, seq);
            let walked = self.catalog.index.walk(&prefix, &prefix, &mut |key, value| {
                found = keys::read_feed(key, value).map(|(_, id, _)| id);
                false
            });
            walked.ok().and(found)
        })
    }
}

impl Catalog<'_> {
    pub(crate) fn entry(&self, id: &EntryId) -> Result<Option<SignedEntry>, StoreError> {
        let Some(encoded) = self.blobs.entry(id.as_bytes())? else { return Ok(None) };
        SignedEntry::decode(&encoded).map(Some).map_err(|e| StoreError::Index(format!("entry {id}: {e}")))
    }

    /// Whether an entry's bytes are in a pack already: those of a put whose index write failed.
    fn has_bytes(&self, id: &EntryId) -> Result<bool, StoreError> {
        Ok(self.blobs.packs().len_of(crate::pack::Kind::Entry, id.as_bytes())?.is_some())
    }

    pub(crate) fn publisher(&self, id: &PublisherId) -> Result<Option<PublisherValue>, StoreError> {
        self.index.get(&keys::publisher(id))?.map(|bytes| decode(&bytes)).transpose()
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
        let value = self.index.get(keys::ENTRIES)?;
        Ok(value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    /// Takes entries in, in order. `append` writes an admitted one's bytes and `sync` makes them last; a rebuild, whose
    /// entries are in packs already, passes `false`. `keeps` says whose releases are wanted.
    pub(crate) fn put(
        &self,
        entries: &[SignedEntry],
        append: bool,
        keeps: &dyn Fn(&PublisherId) -> bool,
    ) -> Result<Vec<Put>, StoreError> {
        let mut publishers: BTreeMap<PublisherId, PublisherValue> = BTreeMap::new();
        let mut next_ordinal = None;
        let mut pending = HashMap::new();
        let (mut puts, mut changes, mut new) = (Vec::new(), Vec::new(), 0);
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
            let view = FeedView { catalog: self, value, pending: &pending, publisher: entry.publisher };
            let admit = feed.admit(signed, &view);
            if matches!(admit, Admit::New | Admit::Fork(_)) {
                value.feed = feed;
                if let Body::Profile(profile) = &entry.body {
                    value.kind = Some(profile.publisher_kind);
                }
                if append && !self.has_bytes(&signed.id())? {
                    self.blobs.append_entry(*signed.id().as_bytes(), signed.encode())?;
                }
                pending.insert(signed.id(), (entry.publisher, entry.seq));
                self.index_entry(signed, value.ordinal, keeps(&entry.publisher), &mut changes)?;
                new += 1;
            }
            puts.push(Put { id: signed.id(), admit });
        }
        if new == 0 {
            return Ok(puts);
        }
        if append {
            self.blobs.packs().sync()?;
        }
        for (id, value) in &publishers {
            changes.push(Change::Put(keys::publisher(id), encode(value)?));
        }
        changes.push(Change::Put(keys::ENTRIES.to_vec(), (self.count()? + new).to_be_bytes().to_vec()));
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
        let key = keys::feed(ordinal, entry.seq, &signed.id());
        changes.push(Change::Put(key, entry.issued_at.to_be_bytes().to_vec()));
        let Some((release, body)) = signed.release() else { return Ok(()) };
        // an add has its bytes here before it is signed: listed as held from its first moment, or not at all
        let (state, held_bytes) = self.count_held(&body.artifacts)?;
        let row = ReleaseValue {
            release,
            publisher: entry.publisher,
            artifacts: body.artifacts,
            seq: entry.seq,
            issued_at: entry.issued_at,
            state,
            held_bytes,
        };
        let place = keys::place(ordinal, entry.seq, &signed.id());
        let key = keys::release(body.purl.as_str(), &place);
        if kept && state != ReleaseState::Held {
            changes.push(Change::Put(keys::wanted(&release), key.clone()));
        }
        for term in keys::terms(&body.purl) {
            changes.push(Change::Put(keys::term(&term, &place), body.purl.as_str().as_bytes().to_vec()));
        }
        // a row that cannot be encoded is a row that a rebuild would lack too: the entry stays, unlisted
        if let Ok(value) = encode(&row) {
            changes.push(Change::Put(key, value));
        }
        Ok(())
    }

    /// The row of a release, and its key.
    pub(crate) fn release(&self, id: &ReleaseId) -> Result<Option<(Vec<u8>, ReleaseRow)>, StoreError> {
        let Some(signed) = self.entry(&id.entry())? else { return Ok(None) };
        let Some((_, body)) = signed.release() else { return Ok(None) };
        let Some(publisher) = self.publisher(&signed.entry().publisher)? else { return Ok(None) };
        let place = keys::place(publisher.ordinal, signed.entry().seq, &signed.id());
        let key = keys::release(body.purl.as_str(), &place);
        let Some(value) = self.index.get(&key)? else { return Ok(None) };
        let value: ReleaseValue = decode(&value)?;
        Ok(row(&key, &value).map(|row| (key, row)))
    }

    pub(crate) fn releases(&self, filter: &ReleaseFilter) -> Result<Vec<ReleaseRow>, StoreError> {
        if let Some(Selector::Release(id)) = &filter.selector {
            return Ok(self.release(id)?.map(|(_, row)| row).into_iter().collect());
        }
        if let (Some(publisher), None) = (&filter.publisher, &filter.selector) {
            return self.releases_of(publisher, filter);
        }
        let mut found = Vec::new();
        let prefix = keys::release_prefix(filter.selector.as_ref());
        self.index.walk(&prefix, &prefix, &mut |key, value| {
            let Some(purl) = keys::purl_of(key) else { return true };
            let fits = |purl: &Purl, release: &ReleaseId| {
                filter.selector.as_ref().is_none_or(|s| s.matches(purl) || s.is_release(release))
            };
            // parsing a purl costs more than the walk: a name is looked for in the text first
            if let Some(Selector::Name { name, .. }) = &filter.selector
                && !purl.contains(name.as_str())
                && name.chars().all(|c| c.is_ascii_alphanumeric())
            {
                return true;
            }
            let Ok(value) = decode::<ReleaseValue>(value) else { return true };
            let wanted = filter.publisher.is_none_or(|publisher| publisher == value.publisher)
                && filter.state.is_none_or(|state| state == value.state);
            if wanted
                && let Some(row) = row(key, &value)
                && fits(&row.purl, &row.release)
            {
                found.push(row);
            }
            filter.limit == 0 || found.len() < filter.limit
        })?;
        Ok(found)
    }

    /// A publisher's releases by its feed, newest first.
    fn releases_of(
        &self,
        publisher: &PublisherId,
        filter: &ReleaseFilter,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let mut ids = Vec::new();
        let Some(value) = self.publisher(publisher)? else { return Ok(Vec::new()) };
        let prefix = keys::feed_of(value.ordinal);
        self.index.walk(&prefix, &prefix, &mut |key, value| {
            ids.extend(keys::read_feed(key, value).map(|(_, id, _)| id));
            true
        })?;
        let mut found = Vec::new();
        for id in ids.into_iter().rev() {
            let row = self.release(&id.into())?.map(|(_, row)| row);
            found.extend(row.filter(|row| filter.state.is_none_or(|state| state == row.state)));
            if filter.limit != 0 && found.len() >= filter.limit {
                break;
            }
        }
        Ok(found)
    }

    /// Releases whose namespace and name have all the words of `text`, the last of them as a beginning.
    pub(crate) fn search(&self, text: &str, limit: usize) -> Result<Vec<ReleaseRow>, StoreError> {
        let words = keys::words(text);
        let Some(longest) = words.iter().max_by_key(|word| word.len()) else { return Ok(Vec::new()) };
        let mut places = Vec::new();
        let prefix = keys::term_prefix(longest);
        self.index.walk(&prefix, &prefix, &mut |key, purl| {
            let text = String::from_utf8_lossy(purl).to_lowercase();
            if words.iter().all(|word| text.contains(word.as_str())) {
                places.extend(keys::place_of_term(key).map(|place| (purl.to_vec(), place.to_vec())));
            }
            places.len() < limit.max(1) * 4
        })?;
        places.sort();
        places.dedup();
        let mut found = Vec::new();
        for (purl, place) in places.into_iter().take(limit) {
            let key = keys::release(&String::from_utf8_lossy(&purl), &place);
            if let Some(value) = self.index.get(&key)? {
                found.extend(row(&key, &decode(&value)?));
            }
        }
        Ok(found)
    }

    /// The artifact list of a release, if it is here.
    pub(crate) fn artifact_list(&self, id: &ReleaseId) -> Result<Option<ArtifactList>, StoreError> {
        let Some(signed) = self.entry(&id.entry())? else { return Ok(None) };
        let Some((_, body)) = signed.release() else { return Ok(None) };
        self.read_list(&body.artifacts)
    }

    pub(crate) fn read_list(
        &self,
        claim: &perennial_manifest::ArtifactListRef,
    ) -> Result<Option<ArtifactList>, StoreError> {
        let Some(size) = self.blobs.size(&claim.blob)? else { return Ok(None) };
        if size != claim.size {
            return Err(StoreError::Index(format!(
                "artifact list {} has {size} bytes, not {}",
                claim.blob, claim.size
            )));
        }
        let mut encoded = Vec::new();
        self.blobs.copy_out(&claim.blob, &mut encoded)?;
        let list = ArtifactList::decode(&encoded, claim);
        list.map(Some)
            .map_err(|e| StoreError::Format { path: claim.blob.to_string().into(), reason: e.to_string() })
    }

    /// Counts again how much of a release is here, and notes it.
    pub(crate) fn refresh(&self, id: &ReleaseId, kept: bool) -> Result<Option<ReleaseState>, StoreError> {
        let mut changes = Vec::new();
        let state = self.refreshed(id, kept, &mut changes)?;
        if !changes.is_empty() {
            self.index.apply(&changes)?;
        }
        Ok(state)
    }

    /// The same for many releases, behind one flush.
    pub(crate) fn refresh_all(&self, releases: &[(ReleaseId, bool)]) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for (id, kept) in releases {
            self.refreshed(id, *kept, &mut changes)?;
        }
        if changes.is_empty() { Ok(()) } else { self.index.apply(&changes) }
    }

    fn refreshed(
        &self,
        id: &ReleaseId,
        kept: bool,
        changes: &mut Vec<Change>,
    ) -> Result<Option<ReleaseState>, StoreError> {
        let Some((key, row)) = self.release(id)? else { return Ok(None) };
        let (state, held_bytes) = self.count_held(&row.artifacts)?;
        let Some(value) = self.index.get(&key)? else { return Ok(None) };
        let mut value: ReleaseValue = decode(&value)?;
        let wants = self.index.get(&keys::wanted(id))?.is_some();
        if value.state != state || value.held_bytes != held_bytes {
            (value.state, value.held_bytes) = (state, held_bytes);
            changes.push(Change::Put(key.clone(), encode(&value)?));
            if state == ReleaseState::Held
                && let Some(list) = self.read_list(&row.artifacts)?
            {
                self.claims(&list, changes);
            }
        }
        match (wants, kept && state != ReleaseState::Held) {
            (true, false) => changes.push(Change::Remove(keys::wanted(id))),
            (false, true) => changes.push(Change::Put(keys::wanted(id), key)),
            _ => {}
        }
        Ok(Some(state))
    }

    fn count_held(
        &self,
        claim: &perennial_manifest::ArtifactListRef,
    ) -> Result<(ReleaseState, u64), StoreError> {
        let Some(list) = self.read_list(claim).ok().flatten() else {
            return Ok((ReleaseState::Known, 0));
        };
        let (mut held, mut bytes) = (0, 0);
        for artifact in &list {
            if self.blobs.size(&artifact.blake3)? == Some(artifact.size) {
                held += 1;
                bytes += artifact.size;
            }
        }
        let state = if held == list.len() { ReleaseState::Held } else { ReleaseState::Partial };
        Ok((state, bytes))
    }

    /// Releases of kept publishers that are not held, by ascending id, after `after`.
    pub(crate) fn wanted(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let from = after.map_or(b"W".to_vec(), |id| [&keys::wanted(id)[..], &[0]].concat());
        let mut places = Vec::new();
        self.index.walk(b"W", &from, &mut |key, value| {
            places.push((key[1..].to_vec(), value.to_vec()));
            places.len() < limit
        })?;
        let mut found = Vec::new();
        for (id, _) in places {
            let Ok(bytes) = <[u8; 32]>::try_from(&id[..]) else { continue };
            found.extend(self.release(&EntryId::from_bytes(bytes).into())?.map(|(_, row)| row));
        }
        Ok(found)
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
                    prefixes.extend(self.publisher(id)?.map(|value| keys::feed_of(value.ordinal)));
                }
            }
        }
        let mut found = Vec::new();
        for prefix in prefixes {
            self.index.walk(&prefix, &prefix, &mut |key, value| {
                found.extend(keys::read_feed(key, value).map(|(_, id, issued_at)| (issued_at, id)));
                true
            })?;
        }
        Ok(found)
    }

    /// A large blob by the SHA-256 that was computed when it was added.
    pub(crate) fn large_of(&self, sha256: &[u8; 32]) -> Result<Option<BlobId>, StoreError> {
        let value = self.index.get(&keys::large_sha256(sha256))?;
        Ok(value.and_then(|value| value.try_into().ok()).map(BlobId::from_bytes))
    }

    /// A blob that a signed list says has this SHA-256, and that is here.
    pub(crate) fn claimed(&self, sha256: &[u8; 32]) -> Result<Option<BlobId>, StoreError> {
        let prefix = keys::claimed_sha256(sha256, &[]);
        let mut claimed = Vec::new();
        self.index.walk(&prefix, &prefix, &mut |key, _| {
            claimed.extend(key.get(33..65).and_then(|bytes| bytes.try_into().ok()).map(BlobId::from_bytes));
            true
        })?;
        for blob in claimed {
            if self.blobs.has(&blob)? {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    }

    /// Notes what the list of a held release says of its large blobs. Small ones were hashed when they were stored.
    fn claims(&self, list: &ArtifactList, changes: &mut Vec<Change>) {
        for artifact in list.iter().filter(|artifact| artifact.size > crate::large::SMALL) {
            let key = keys::claimed_sha256(artifact.sha256.as_bytes(), artifact.blake3.as_bytes());
            changes.push(Change::Put(key, Vec::new()));
        }
    }

    /// Lists releases as known only: before their bytes are deleted, so that a collection that is killed leaves none
    /// listed that is not whole.
    pub(crate) fn set_known(&self, rows: &[ReleaseRow]) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for row in rows {
            let Some((key, _)) = self.release(&row.release)? else { continue };
            let Some(value) = self.index.get(&key)? else { continue };
            let mut value: ReleaseValue = decode(&value)?;
            (value.state, value.held_bytes) = (ReleaseState::Known, 0);
            changes.push(Change::Put(key, encode(&value)?));
        }
        if changes.is_empty() { Ok(()) } else { self.index.apply(&changes) }
    }

    pub(crate) fn note_large(&self, pairs: &[([u8; 32], BlobId)]) -> Result<(), StoreError> {
        let changes: Vec<Change> = pairs
            .iter()
            .map(|(sha256, blob)| Change::Put(keys::large_sha256(sha256), blob.as_bytes().to_vec()))
            .collect();
        if changes.is_empty() { Ok(()) } else { self.index.apply(&changes) }
    }
}

fn row(key: &[u8], value: &ReleaseValue) -> Option<ReleaseRow> {
    Some(ReleaseRow {
        release: value.release,
        purl: Purl::parse(keys::purl_of(key)?).ok()?,
        publisher: value.publisher,
        artifacts: value.artifacts,
        seq: value.seq,
        issued_at: value.issued_at,
        state: value.state,
        held_bytes: value.held_bytes,
    })
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    canonical::to_vec(value).map_err(|e| StoreError::Index(e.to_string()))
}

fn decode<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    canonical::from_slice(bytes).map_err(|e| StoreError::Index(e.to_string()))
}
