//! Cutting the newest entries off a feed: of publishers that are to be forgotten, and of strangers
//! that have more than their share.
//!
//! Owns the rows that go. What is left is a feed as it was before the first entry that went.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{EntryId, PublisherId, Purl};

use super::Catalog;
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::rows;

/// An entry that goes.
struct Gone {
    id: EntryId,
    seq: u64,
    purl: String,
}

impl Catalog<'_> {
    /// Removes the rows of publishers' entries, of each from a number on. Returns the entries of
    /// each. The caller removes their bytes under the same lock.
    pub(crate) fn cut(
        &self,
        cuts: &BTreeMap<PublisherId, u64>,
    ) -> Result<BTreeMap<PublisherId, Vec<EntryId>>, StoreError> {
        let (mut removed, mut changes) = (BTreeMap::new(), Vec::new());
        for (publisher, seq) in cuts {
            let gone = self.cut_feed(publisher, *seq, &mut changes)?;
            removed.insert(*publisher, gone);
        }
        let count: u64 = removed.values().map(|gone: &Vec<EntryId>| gone.len() as u64).sum();
        if count > 0 {
            // Noted before a publisher's row goes, so that no ordinal is given twice.
            let next = u64::from(self.next_ordinal()?).to_be_bytes().to_vec();
            changes.push(Change::Put(rows::ORDINALS.to_vec(), next));
            let entries = self.count()?.saturating_sub(count).to_be_bytes().to_vec();
            changes.push(Change::Put(rows::ENTRIES.to_vec(), entries));
            self.apply(changes)?;
        }
        Ok(removed)
    }

    /// The number from which on a feed is cut, so that this many entries stay at most. `None` if it
    /// has no more.
    pub(crate) fn cut_after(
        &self,
        publisher: &PublisherId,
        stay: u64,
    ) -> Result<Option<u64>, StoreError> {
        let Some(value) = self.publisher(publisher)? else { return Ok(None) };
        let prefix = rows::feed_of(value.ordinal);
        let (mut left, mut cut) = (stay, None);
        self.index.walk(&prefix, &prefix, &mut |key, row| {
            match left {
                0 => cut = rows::read_feed(key, row).map(|row| row.seq),
                _ => left -= 1,
            }
            cut.is_none()
        })?;
        Ok(cut)
    }

    fn cut_feed(
        &self,
        publisher: &PublisherId,
        seq: u64,
        changes: &mut Vec<Change>,
    ) -> Result<Vec<EntryId>, StoreError> {
        let Some(mut value) = self.publisher(publisher)? else { return Ok(Vec::new()) };
        let (mut gone, mut last) = (Vec::new(), Vec::new());
        let prefix = rows::feed_of(value.ordinal);
        let from = rows::feed_at(value.ordinal, seq.saturating_sub(1));
        self.index.walk(&prefix, &from, &mut |key, row| {
            match rows::read_feed(key, row) {
                Some(row) if row.seq < seq => last.push((row.id, row.seq)),
                Some(row) => {
                    gone.push(Gone { id: row.id, seq: row.seq, purl: row.purl.to_owned() });
                }
                None => {}
            }
            true
        })?;
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut heads: BTreeSet<(EntryId, u64)> = last.into_iter().collect();
        heads.extend(value.feed.heads.iter().filter(|(_, head)| *head < seq));
        for gone in &gone {
            heads.extend(self.ends_before(&gone.id, seq)?);
            self.remove_rows(gone, value.ordinal, changes)?;
        }
        let left = value.feed.entries.saturating_sub(gone.len() as u64);
        value.feed.cut(heads.into_iter().collect(), left);
        changes.push(match value.feed.entries {
            0 => Change::Remove(rows::publisher(publisher)),
            _ => Change::Put(rows::publisher(publisher), super::encode(&value)?),
        });
        Ok(gone.into_iter().map(|gone| gone.id).collect())
    }

    /// The predecessors of an entry that goes, if they stay and nothing else follows them.
    fn ends_before(&self, gone: &EntryId, seq: u64) -> Result<Vec<(EntryId, u64)>, StoreError> {
        // A damaged entry names nothing any more.
        let Ok(Some(gone)) = self.entry(gone) else { return Ok(Vec::new()) };
        let mut ends = Vec::new();
        for prev in &gone.entry().prevs {
            let Ok(Some(prev)) = self.entry(prev) else { continue };
            let (at, publisher) = (prev.entry().seq, prev.entry().publisher);
            if at >= seq || publisher != gone.entry().publisher {
                continue;
            }
            let Some(known) = self.publisher(&publisher)? else { continue };
            // All that stay have lower numbers than the entry that goes.
            if at + 1 == seq || !self.has_successor(&prev, known.ordinal)? {
                ends.push((prev.id(), at));
            }
        }
        Ok(ends)
    }

    fn remove_rows(
        &self,
        gone: &Gone,
        ordinal: u32,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let Gone { id, seq, purl } = gone;
        changes.push(Change::Remove(rows::feed(ordinal, *seq, id)));
        let Ok(name) = Purl::parse(purl) else { return Ok(()) };
        let place = rows::place(ordinal, *seq, id);
        let key = rows::release(purl, &place);
        changes
            .extend(rows::terms(&name).iter().map(|term| Change::Remove(rows::term(term, &place))));
        if let Some(version) = name.version() {
            changes.push(Change::Remove(rows::version(name.name(), version, &place)));
        }
        let release = (*id).into();
        changes.push(Change::Remove(rows::wanted(&release)));
        changes.push(Change::Remove(rows::wanted_first(&release)));
        // Rows of the files of a list that is not here lead to no release, and are passed over.
        if let Some(value) = self.value(&key)?
            && let Ok(Some(list)) = self.read_list(&value.artifacts)
        {
            let of_files = rows::of_files(&list, &place, purl).into_iter();
            changes.extend(of_files.map(|change| match change {
                Change::Put(key, _) | Change::Remove(key) => Change::Remove(key),
            }));
        }
        changes.push(Change::Remove(key));
        Ok(())
    }
}
