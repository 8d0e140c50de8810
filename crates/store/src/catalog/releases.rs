//! Releases as lists show them, and how much of each is here.
//!
//! Promises that a list is answered from the rows of the index alone: no entry is read or verified again for it.

use std::collections::HashMap;

use perennial_manifest::{
    ArtifactList, ArtifactListRef, Holding, PublisherId, Purl, ReleaseId, Selector, SignedEntry,
};

use super::Catalog;
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::rows::{self, ReleaseValue};
use crate::state::Follows;
use crate::store::Stats;

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
    pub state: Holding,
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
    pub state: Option<Holding>,
    /// At most so many; 0 for all.
    pub limit: usize,
}

/// Makes rows of values; a publisher is checked to be a key once, not at each of its releases.
#[derive(Default)]
struct Rows(HashMap<[u8; 32], PublisherId>);

impl Rows {
    fn row(&mut self, key: &[u8], value: &ReleaseValue) -> Option<ReleaseRow> {
        let publisher = match self.0.get(&value.publisher) {
            Some(publisher) => *publisher,
            None => {
                let publisher = PublisherId::from_bytes(value.publisher).ok()?;
                *self.0.entry(value.publisher).or_insert(publisher)
            }
        };
        Some(ReleaseRow {
            release: value.release,
            purl: Purl::parse(rows::purl_of(key)?).ok()?,
            publisher,
            artifacts: value.artifacts,
            seq: value.seq,
            issued_at: value.issued_at,
            state: value.state,
            held_bytes: value.held_bytes,
        })
    }
}

impl Catalog<'_> {
    /// Indexes the release that an entry states, if it states one.
    pub(super) fn index_release(
        &self,
        signed: &SignedEntry,
        ordinal: u32,
        kept: bool,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let entry = signed.entry();
        let Some((release, body)) = signed.release() else { return Ok(()) };
        // an add has its bytes here before it is signed: listed as held from its first moment, or not at all
        let (state, held_bytes) = self.count_held(&body.artifacts, changes)?;
        let value = ReleaseValue {
            release,
            publisher: *entry.publisher.as_bytes(),
            artifacts: body.artifacts,
            seq: entry.seq,
            issued_at: entry.issued_at,
            state,
            held_bytes,
        };
        let place = rows::place(ordinal, entry.seq, &signed.id());
        let key = rows::release(body.purl.as_str(), &place);
        if kept && state != Holding::Held {
            changes.push(Change::Put(rows::wanted(&release), key.clone()));
        }
        for term in rows::terms(&body.purl) {
            changes.push(Change::Put(
                rows::term(&term, &place),
                body.purl.as_str().as_bytes().to_vec(),
            ));
        }
        changes.push(Change::Put(key, value.encode()));
        Ok(())
    }

    /// The key of a release and its value.
    fn place_of(&self, id: &ReleaseId) -> Result<Option<(Vec<u8>, ReleaseValue)>, StoreError> {
        let Some(signed) = self.entry(&id.entry())? else { return Ok(None) };
        let Some((_, body)) = signed.release() else { return Ok(None) };
        let Some(publisher) = self.publisher(&signed.entry().publisher)? else { return Ok(None) };
        let place = rows::place(publisher.ordinal, signed.entry().seq, &signed.id());
        let key = rows::release(body.purl.as_str(), &place);
        Ok(self.value(&key)?.map(|value| (key, value)))
    }

    /// The same from a row, which asks no entry: it may be damaged.
    fn place_of_row(
        &self,
        row: &ReleaseRow,
    ) -> Result<Option<(Vec<u8>, ReleaseValue)>, StoreError> {
        let Some(publisher) = self.publisher(&row.publisher)? else { return Ok(None) };
        let place = rows::place(publisher.ordinal, row.seq, &row.release.entry());
        let key = rows::release(row.purl.as_str(), &place);
        Ok(self.value(&key)?.map(|value| (key, value)))
    }

    fn value(&self, key: &[u8]) -> Result<Option<ReleaseValue>, StoreError> {
        let Some(bytes) = self.index.get(key)? else { return Ok(None) };
        let value = ReleaseValue::decode(&bytes);
        value
            .map(Some)
            .ok_or_else(|| StoreError::Index("a release's row does not read back".into()))
    }

    pub(crate) fn release(&self, id: &ReleaseId) -> Result<Option<ReleaseRow>, StoreError> {
        Ok(self.place_of(id)?.and_then(|(key, value)| Rows::default().row(&key, &value)))
    }

    pub(crate) fn releases(&self, filter: &ReleaseFilter) -> Result<Vec<ReleaseRow>, StoreError> {
        if let Some(Selector::Release(id)) = &filter.selector {
            return Ok(self.release(id)?.into_iter().collect());
        }
        if let (Some(publisher), None) = (&filter.publisher, &filter.selector) {
            return self.releases_of(publisher, filter);
        }
        let (mut found, mut rows) = (Vec::new(), Rows::default());
        let prefix = rows::release_prefix(filter.selector.as_ref());
        self.index.walk(&prefix, &prefix, &mut |key, value| {
            let Some(purl) = rows::purl_of(key) else { return true };
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
            let Some(value) = ReleaseValue::decode(value) else { return true };
            let wanted =
                filter.publisher.is_none_or(|publisher| *publisher.as_bytes() == value.publisher)
                    && filter.state.is_none_or(|state| state == value.state);
            if wanted
                && let Some(row) = rows.row(key, &value)
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
        let (mut found, mut rows) = (Vec::new(), Rows::default());
        for key in self.keys_of(publisher)?.iter().rev() {
            let value = self.value(key)?;
            let value = value.filter(|value| filter.state.is_none_or(|state| state == value.state));
            found.extend(value.and_then(|value| rows.row(key, &value)));
            if filter.limit != 0 && found.len() >= filter.limit {
                break;
            }
        }
        Ok(found)
    }

    /// The keys of a publisher's releases, oldest first.
    fn keys_of(&self, publisher: &PublisherId) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut found = Vec::new();
        let Some(known) = self.publisher(publisher)? else { return Ok(found) };
        let prefix = rows::feed_of(known.ordinal);
        self.index.walk(&prefix, &prefix, &mut |key, value| {
            if let Some(row) = rows::read_feed(key, value).filter(|row| !row.purl.is_empty()) {
                found.push(rows::release(row.purl, &rows::place(known.ordinal, row.seq, &row.id)));
            }
            true
        })?;
        Ok(found)
    }

    /// Counts entries and releases: all of them, those held, and the bytes of those.
    pub(crate) fn counts(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats { entries: self.count()?, ..Stats::default() };
        self.index.walk(b"R", b"R", &mut |_, value| {
            stats.releases += 1;
            if let Some(value) =
                ReleaseValue::decode(value).filter(|value| value.state == Holding::Held)
            {
                stats.held += 1;
                stats.logical_bytes += value.artifacts.bytes;
            }
            true
        })?;
        Ok(stats)
    }

    pub(super) fn rows(&self, keys: &[Vec<u8>]) -> Result<Vec<ReleaseRow>, StoreError> {
        let (mut found, mut rows) = (Vec::new(), Rows::default());
        for key in keys {
            found.extend(self.value(key)?.and_then(|value| rows.row(key, &value)));
        }
        Ok(found)
    }

    /// Releases of kept publishers that are not held, by ascending id, after `after`.
    pub(crate) fn wanted(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let from = after.map_or(b"W".to_vec(), |id| [&rows::wanted(id)[..], &[0]].concat());
        let mut places = Vec::new();
        self.index.walk(b"W", &from, &mut |_, key| {
            places.push(key.to_vec());
            places.len() < limit
        })?;
        self.rows(&places)
    }

    /// Makes the releases that are wanted those that these follows ask for. `before`: what they were made for, if known.
    pub(crate) fn follow(&self, before: Option<&Follows>, now: &Follows) -> Result<(), StoreError> {
        let differs =
            |id: &PublisherId| before.is_none_or(|before| before.keeps(id) != now.keeps(id));
        let mut publishers: Vec<PublisherId> = match before {
            Some(before) if before.all == now.all => {
                before.publishers.keys().chain(now.publishers.keys()).copied().collect()
            }
            _ => self.publishers()?.into_iter().map(|(id, _)| id).collect(),
        };
        publishers.retain(differs);
        let mut changes = Vec::new();
        for publisher in publishers {
            let keeps = now.keeps(&publisher);
            for key in self.keys_of(&publisher)? {
                let Some(value) = self.value(&key)? else { continue };
                let wanted = rows::wanted(&value.release);
                changes.push(match keeps && value.state != Holding::Held {
                    true => Change::Put(wanted, key),
                    false => Change::Remove(wanted),
                });
            }
        }
        // last: a process that is killed before it makes them again
        changes.push(Change::Put(rows::FOLLOWS.to_vec(), now.digest().to_vec()));
        self.index.apply(&changes)
    }

    /// Whether the releases that are wanted are those that these follows ask for.
    pub(crate) fn follows_are(&self, now: &Follows) -> Result<bool, StoreError> {
        Ok(self.index.get(rows::FOLLOWS)?.as_deref() == Some(&now.digest()[..]))
    }

    /// The artifact list of a release, if it is here.
    pub(crate) fn artifact_list(&self, id: &ReleaseId) -> Result<Option<ArtifactList>, StoreError> {
        let Some(signed) = self.entry(&id.entry())? else { return Ok(None) };
        let Some((_, body)) = signed.release() else { return Ok(None) };
        self.read_list(&body.artifacts)
    }

    pub(crate) fn read_list(
        &self,
        claim: &ArtifactListRef,
    ) -> Result<Option<ArtifactList>, StoreError> {
        let Some(size) = self.blobs.size(&claim.blob)? else { return Ok(None) };
        if size != claim.size {
            let reason = format!("it has {size} bytes, and the release says {}", claim.size);
            return Err(StoreError::Format {
                path: format!("artifact list {}", claim.blob).into(),
                reason,
            });
        }
        let mut encoded = Vec::new();
        self.blobs.copy_out(&claim.blob, &mut encoded)?;
        let list = ArtifactList::decode(&encoded, claim);
        list.map(Some).map_err(|e| StoreError::Format {
            path: format!("artifact list {}", claim.blob).into(),
            reason: e.to_string(),
        })
    }

    /// Counts again how much of a release is here, and notes it.
    pub(crate) fn refresh(
        &self,
        id: &ReleaseId,
        follows: &Follows,
    ) -> Result<Option<Holding>, StoreError> {
        let Some((key, value)) = self.place_of(id)? else { return Ok(None) };
        self.refresh_at(key, value, follows).map(Some)
    }

    /// Counts again for many, also those whose statement is damaged.
    pub(crate) fn refresh_rows(
        &self,
        rows: &[ReleaseRow],
        follows: &Follows,
    ) -> Result<(), StoreError> {
        for row in rows {
            if let Some((key, value)) = self.place_of_row(row)? {
                self.refresh_at(key, value, follows)?;
            }
        }
        Ok(())
    }

    fn refresh_at(
        &self,
        key: Vec<u8>,
        mut value: ReleaseValue,
        follows: &Follows,
    ) -> Result<Holding, StoreError> {
        let kept = PublisherId::from_bytes(value.publisher)
            .is_ok_and(|publisher| follows.keeps(&publisher));
        let mut changes = Vec::new();
        let (state, held_bytes) = self.count_held(&value.artifacts, &mut changes)?;
        if value.state != state || value.held_bytes != held_bytes {
            (value.state, value.held_bytes) = (state, held_bytes);
            changes.push(Change::Put(key.clone(), value.encode()));
        }
        let id = &value.release;
        let wants = self.index.get(&rows::wanted(id))?.is_some();
        match (wants, kept && state != Holding::Held) {
            (true, false) => changes.push(Change::Remove(rows::wanted(id))),
            (false, true) => changes.push(Change::Put(rows::wanted(id), key)),
            _ => {}
        }
        if !changes.is_empty() {
            self.index.apply(&changes)?;
        }
        Ok(state)
    }

    /// How much of a release is here. What its list says of large blobs that are here is noted on the way.
    fn count_held(
        &self,
        claim: &ArtifactListRef,
        changes: &mut Vec<Change>,
    ) -> Result<(Holding, u64), StoreError> {
        let Some(list) = self.read_list(claim).ok().flatten() else {
            return Ok((Holding::Known, 0));
        };
        let (mut held, mut bytes) = (0, 0);
        for artifact in &list {
            if self.blobs.size(&artifact.blake3)? == Some(artifact.size) {
                held += 1;
                bytes += artifact.size;
                self.claim(artifact, changes)?;
            }
        }
        let state = if held == list.len() { Holding::Held } else { Holding::Partial };
        Ok((state, bytes))
    }

    /// Lists releases as known only: before their bytes are deleted, so that a collection that is killed leaves none
    /// listed that is not whole.
    pub(crate) fn set_known(&self, rows: &[ReleaseRow]) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for row in rows {
            let Some((key, mut value)) = self.place_of_row(row)? else { continue };
            (value.state, value.held_bytes) = (Holding::Known, 0);
            changes.push(Change::Put(key, value.encode()));
        }
        if changes.is_empty() { Ok(()) } else { self.index.apply(&changes) }
    }
}
