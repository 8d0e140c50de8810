//! The releases in numbers: a row of the index that changes with the rows of releases, in the same
//! write, so that asking costs one look-up however many releases are known.

use std::collections::HashMap;

use perennial_manifest::Holding;

use super::Catalog;
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::rows::{self, ReleaseValue};

/// Releases by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) releases: u64,
    pub(super) held: u64,
    pub(super) partial: u64,
    pub(super) invalid: u64,
    /// Bytes of the held ones.
    pub(super) logical_bytes: u64,
}

impl Tally {
    fn encode(&self) -> Vec<u8> {
        let Self { releases, held, partial, invalid, logical_bytes } = *self;
        [releases, held, partial, invalid, logical_bytes].map(u64::to_be_bytes).concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes.get(8 * at..8 * at + 8).and_then(rows::number);
        Some(Self {
            releases: number(0)?,
            held: number(1)?,
            partial: number(2)?,
            invalid: number(3)?,
            logical_bytes: number(4)?,
        })
    }

    fn add(&mut self, value: &ReleaseValue) {
        self.count(value, u64::saturating_add);
    }

    fn remove(&mut self, value: &ReleaseValue) {
        self.count(value, u64::saturating_sub);
    }

    fn count(&mut self, value: &ReleaseValue, change: impl Fn(u64, u64) -> u64) {
        self.releases = change(self.releases, 1);
        match value.state {
            Holding::Held => {
                self.held = change(self.held, 1);
                self.logical_bytes = change(self.logical_bytes, value.artifacts.bytes);
            }
            Holding::Partial => self.partial = change(self.partial, 1),
            Holding::Invalid => self.invalid = change(self.invalid, 1),
            Holding::Known => {}
        }
    }
}

impl Catalog<'_> {
    /// The releases in numbers.
    pub(super) fn tally(&self) -> Result<Tally, StoreError> {
        let noted = self.index.get(rows::TALLY)?.and_then(|value| Tally::decode(&value));
        noted.map_or_else(|| self.walk_tally(), Ok)
    }

    /// Counts all releases.
    fn walk_tally(&self) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        self.index.walk(b"R", b"R", &mut |_, value| {
            if let Some(value) = ReleaseValue::decode(value) {
                tally.add(&value);
            }
            true
        })?;
        Ok(tally)
    }

    /// Counts all releases, and makes the row if it is missing or wrong: a long change that was cut
    /// short by a crash may have reached the releases and not the row.
    pub(crate) fn begin_tally(&self) -> Result<(), StoreError> {
        let tally = self.walk_tally()?.encode();
        if self.index.get(rows::TALLY)?.as_ref() == Some(&tally) {
            return Ok(());
        }
        self.index.apply(&[Change::Put(rows::TALLY.to_vec(), tally)])
    }

    /// Applies changes, and keeps the tally in step with them. The caller holds the writing lock.
    pub(super) fn apply(&self, mut changes: Vec<Change>) -> Result<(), StoreError> {
        // Of several changes of one row, the last one counts.
        let mut after: HashMap<&[u8], Option<ReleaseValue>> = HashMap::new();
        for change in &changes {
            match change {
                Change::Put(key, value) if key.first() == Some(&b'R') => {
                    after.insert(key, ReleaseValue::decode(value));
                }
                Change::Remove(key) if key.first() == Some(&b'R') => {
                    after.insert(key, None);
                }
                Change::Put(..) | Change::Remove(_) => {}
            }
        }
        if !after.is_empty() {
            let mut tally = self.tally()?;
            for (key, after) in after {
                let before = self.index.get(key)?;
                if let Some(before) = before.and_then(|value| ReleaseValue::decode(&value)) {
                    tally.remove(&before);
                }
                if let Some(after) = &after {
                    tally.add(after);
                }
            }
            changes.push(Change::Put(rows::TALLY.to_vec(), tally.encode()));
        }
        self.index.apply(&changes)
    }
}

#[cfg(test)]
mod tests {
    use crate::gc::GcOptions;
    use crate::state::Pin;
    use crate::store::tests::fixtures::{bytes, id, key, open, release, statement};

    /// The row agrees with a count of all releases, whatever happens to them.
    #[test]
    fn the_tally_is_what_a_count_gives() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let check = |what: &str, expected: (u64, u64, u64)| {
            let (noted, counted) = store
                .inner()
                .read(|catalog| Ok((catalog.tally()?, catalog.walk_tally()?)))
                .unwrap();
            assert_eq!(noted, counted, "{what}");
            assert_eq!((noted.releases, noted.held, noted.invalid), expected, "{what}");
        };
        check("empty", (0, 0, 0));
        let (one, added) = release(&store, &key(1), "one", &[bytes(100_000, 1), bytes(10, 2)]);
        check("an add", (1, 1, 0));
        let claim = one.release().unwrap().1.artifacts;
        let lie = perennial_manifest::ArtifactListRef { size: 5, ..claim };
        let lies = [statement(&key(2), 0, None, "lie", lie)];
        store.put_from_peers(&lies).unwrap();
        store.put_from_peers(&lies).unwrap();
        check("one that is invalid, twice", (2, 1, 1));
        store.set_pin(Pin::Blob(added[0].blob), true).unwrap();
        store.gc(GcOptions { grace: std::time::Duration::ZERO, dry_run: false }).unwrap();
        check("its bytes went", (2, 0, 1));
        store.refresh_state(&id(&one)).unwrap();
        check("counted again", (2, 0, 1));
        store.forget(&key(2).id()).unwrap();
        check("a publisher was forgotten", (1, 0, 0));
        store.rebuild_index().unwrap();
        check("after a rebuild", (1, 0, 0));
    }
}
