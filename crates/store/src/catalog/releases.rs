//! Releases as lists show them.
//!
//! Promises that a list is answered from index rows alone: no entry is read or verified for it.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use perennial_manifest::{
    ArtifactList, Body, ContentId, Holding, PublisherId, Purl, ReleaseId, Selector, SignedEntry,
};

use super::Catalog;
use super::holdings::{Counted, Place};
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::rows::{self, ReleaseValue};
use crate::state::Kept;

/// A release as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// The id of the release.
    pub release: ReleaseId,
    /// Its package URL, with a version.
    pub purl: Purl,
    /// The publisher that signed it.
    pub publisher: PublisherId,
    /// Its reference to its artifact list.
    pub artifacts: perennial_manifest::ArtifactListRef,
    /// Its sequence number in the publisher's feed.
    pub seq: u64,
    /// Unix seconds by the publisher's clock.
    pub issued_at: u64,
    /// `issued_at`, or the time of arrival by this node's clock if that is earlier: the publisher's
    /// clock is ahead.
    pub listed_at: u64,
    /// How much of it is held.
    pub state: Holding,
    /// Bytes of its artifacts that are held.
    pub held_bytes: u64,
    /// The content of its artifact list, if that is or was here.
    pub content: Option<ContentId>,
}

/// Selects releases to list. The default selects all.
#[derive(Debug, Clone, Default)]
pub struct ReleaseFilter {
    /// Only releases of this publisher.
    pub publisher: Option<PublisherId>,
    /// Only releases that this selector matches.
    pub selector: Option<Selector>,
    /// Only releases in this state.
    pub state: Option<Holding>,
    /// The maximum number of rows; 0 for no limit.
    pub limit: usize,
    /// The maximum number of rows looked at for a name; 0 for no limit.
    pub looked_at: usize,
}

/// Turns values into rows. A publisher is checked to be a key once, not at each of its releases.
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
            listed_at: value.arrived.unwrap_or(u64::MAX).min(value.issued_at),
            state: value.state,
            held_bytes: value.held_bytes,
            content: value.content,
        })
    }
}

impl Catalog<'_> {
    /// The rows of an admitted entry: its place in the feed, and the release it states, if any.
    /// `counted`: how much of that release is held.
    pub(super) fn index_entry(
        signed: &SignedEntry,
        ordinal: u32,
        kept: Kept,
        counted: &Counted,
        changes: &mut Vec<Change>,
    ) {
        let entry = signed.entry();
        let purl = signed.release().map_or("", |(_, release)| release.purl.as_str());
        let key = rows::feed(ordinal, entry.seq, &signed.id());
        changes.push(Change::Put(key, rows::feed_value(entry.issued_at, purl)));
        let Some((release, body)) = signed.release() else { return };
        let place = rows::place(ordinal, entry.seq, &signed.id());
        if let Some(list) = &counted.list {
            changes.extend(rows::of_files(list, &place, body.purl.as_str()));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let arrived = now.unwrap_or_default().as_secs();
        let value = ReleaseValue {
            release,
            publisher: *entry.publisher.as_bytes(),
            artifacts: body.artifacts,
            seq: entry.seq,
            issued_at: entry.issued_at,
            state: counted.state,
            held_bytes: counted.held_bytes,
            arrived: Some(arrived),
            content: counted.list.as_ref().map(ArtifactList::content),
        };
        let key = rows::release(body.purl.as_str(), &place);
        if kept != Kept::Not && counted.state.is_wanting() {
            changes.extend(rows::wants(&release, &key, kept, true));
        }
        for term in rows::terms(&body.purl) {
            changes.push(Change::Put(
                rows::term(&term, &place),
                body.purl.as_str().as_bytes().to_vec(),
            ));
        }
        if let Some(version) = body.purl.version() {
            let at = rows::version(body.purl.name(), version, &place);
            changes.push(Change::Put(at, body.purl.as_str().as_bytes().to_vec()));
        }
        changes.push(Change::Put(key, value.encode()));
    }

    /// The key and value of a release.
    pub(crate) fn place_of(&self, id: &ReleaseId) -> Result<Place, StoreError> {
        let Some(entry) = self.statement(&id.entry())? else { return Ok(None) };
        let Body::Release(body) = &entry.body else { return Ok(None) };
        let Some(publisher) = self.publisher(&entry.publisher)? else { return Ok(None) };
        let place = rows::place(publisher.ordinal, entry.seq, &id.entry());
        let key = rows::release(body.purl.as_str(), &place);
        Ok(self.value(&key)?.map(|value| (key, value)))
    }

    /// The same for a row, without reading the entry, which may be damaged.
    pub(crate) fn place_of_row(&self, row: &ReleaseRow) -> Result<Place, StoreError> {
        let Some(publisher) = self.publisher(&row.publisher)? else { return Ok(None) };
        let place = rows::place(publisher.ordinal, row.seq, &row.release.entry());
        let key = rows::release(row.purl.as_str(), &place);
        Ok(self.value(&key)?.map(|value| (key, value)))
    }

    pub(super) fn value(&self, key: &[u8]) -> Result<Option<ReleaseValue>, StoreError> {
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
        match (&filter.selector, &filter.publisher) {
            (Some(Selector::Release(id)), _) => Ok(self.release(id)?.into_iter().collect()),
            (Some(selector), _) => self.named(selector, filter),
            (None, Some(publisher)) => self.releases_of(publisher, filter),
            (None, None) => self.all_releases(filter),
        }
    }

    /// Releases in the order of all, behind this one, at most `limit`. `None` if it is not known.
    pub(crate) fn releases_after(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Option<Vec<ReleaseRow>>, StoreError> {
        let mut from = b"R".to_vec();
        if let Some(after) = after {
            let Some((key, _)) = self.place_of(after)? else { return Ok(None) };
            from = [&key[..], &[0]].concat();
        }
        let (mut found, mut rows) = (Vec::new(), Rows::default());
        self.index.walk(b"R", &from, &mut |key, value| {
            found.extend(ReleaseValue::decode(value).and_then(|value| rows.row(key, &value)));
            found.len() < limit
        })?;
        Ok(Some(found))
    }

    fn all_releases(&self, filter: &ReleaseFilter) -> Result<Vec<ReleaseRow>, StoreError> {
        let (mut found, mut rows) = (Vec::new(), Rows::default());
        self.index.walk(b"R", b"R", &mut |key, value| {
            let value = ReleaseValue::decode(value);
            let value = value.filter(|value| filter.state.is_none_or(|state| state == value.state));
            found.extend(value.and_then(|value| rows.row(key, &value)));
            filter.limit == 0 || found.len() < filter.limit
        })?;
        Ok(found)
    }

    /// A publisher's releases by its feed, newest first. With a limit, the end of the feed is read
    /// and no more of it than needed.
    fn releases_of(
        &self,
        publisher: &PublisherId,
        filter: &ReleaseFilter,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let (mut found, mut rows) = (Vec::new(), Rows::default());
        let Some(known) = self.publisher(publisher)? else { return Ok(found) };
        let mut end = known.feed.highest().map_or(0, |(seq, _)| seq.saturating_add(1));
        let mut window = if filter.limit == 0 { end } else { filter.limit as u64 };
        while end > 0 {
            let begin = end.saturating_sub(window);
            for key in self.keys_between(known.ordinal, begin..end)?.iter().rev() {
                let value = self.value(key)?;
                let value = value.filter(|v| filter.state.is_none_or(|state| state == v.state));
                found.extend(value.and_then(|value| rows.row(key, &value)));
                if filter.limit != 0 && found.len() >= filter.limit {
                    return Ok(found);
                }
            }
            (end, window) = (begin, window.saturating_mul(2));
        }
        Ok(found)
    }

    /// The keys of a publisher's releases, oldest first.
    pub(super) fn keys_of(&self, publisher: &PublisherId) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(known) = self.publisher(publisher)? else { return Ok(Vec::new()) };
        self.keys_between(known.ordinal, 0..u64::MAX)
    }

    /// Those whose sequence numbers are in this range.
    fn keys_between(&self, ordinal: u32, seqs: Range<u64>) -> Result<Vec<Vec<u8>>, StoreError> {
        let (prefix, from) = (rows::feed_of(ordinal), rows::feed_at(ordinal, seqs.start));
        let mut found = Vec::new();
        self.index.walk(&prefix, &from, &mut |key, value| {
            let Some(row) = rows::read_feed(key, value) else { return true };
            if row.seq < seqs.end && !row.purl.is_empty() {
                found.push(rows::release(row.purl, &rows::place(ordinal, row.seq, &row.id)));
            }
            row.seq < seqs.end
        })?;
        Ok(found)
    }

    pub(super) fn rows(&self, keys: &[Vec<u8>]) -> Result<Vec<ReleaseRow>, StoreError> {
        let (mut found, mut rows) = (Vec::new(), Rows::default());
        for key in keys {
            found.extend(self.value(key)?.and_then(|value| rows.row(key, &value)));
        }
        Ok(found)
    }

    /// Releases of followed publishers that are not held, by ascending id, after `after`.
    pub(crate) fn wanted(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        self.wanted_in(b"W", after.map(rows::wanted), limit)
    }

    /// Of those, the releases of publishers followed by name, where all are followed.
    pub(crate) fn wanted_first(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        self.wanted_in(b"V", after.map(rows::wanted_first), limit)
    }

    fn wanted_in(
        &self,
        table: &[u8],
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let from = after.map_or(table.to_vec(), |key| [&key[..], &[0]].concat());
        let mut places = Vec::new();
        self.index.walk(table, &from, &mut |_, key| {
            places.push(key.to_vec());
            places.len() < limit
        })?;
        self.rows(&places)
    }
}
