//! The releases in numbers, of all publishers and of each: rows of the index that change with the
//! rows of releases, in the same write, so that asking costs one look-up however many releases are
//! known.

use std::collections::{BTreeMap, HashMap};

use perennial_manifest::{Holding, PublisherId};

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

/// The rows that tallies are in, by their keys.
type Tallies = BTreeMap<Vec<u8>, Tally>;

/// The rows that count a release.
fn keys_for(value: &ReleaseValue) -> [Vec<u8>; 2] {
    [rows::TALLY.to_vec(), rows::tally_of(&value.publisher)]
}

impl Catalog<'_> {
    /// The releases in numbers.
    pub(super) fn tally(&self) -> Result<Tally, StoreError> {
        self.noted_tally(rows::TALLY)
    }

    /// The releases of one publisher in numbers.
    pub(super) fn tally_of(&self, publisher: &PublisherId) -> Result<Tally, StoreError> {
        self.noted_tally(&rows::tally_of(publisher.as_bytes()))
    }

    /// A row, which is missing for a publisher without releases.
    fn noted_tally(&self, key: &[u8]) -> Result<Tally, StoreError> {
        let noted = self.index.get(key)?;
        Ok(noted.and_then(|value| Tally::decode(&value)).unwrap_or_default())
    }

    /// Counts all releases.
    fn walk_tallies(&self) -> Result<Tallies, StoreError> {
        let mut tallies = Tallies::from([(rows::TALLY.to_vec(), Tally::default())]);
        self.index.walk(b"R", b"R", &mut |_, value| {
            if let Some(value) = ReleaseValue::decode(value) {
                for key in keys_for(&value) {
                    tallies.entry(key).or_default().add(&value);
                }
            }
            true
        })?;
        Ok(tallies)
    }

    /// The rows as they are.
    fn noted_tallies(&self) -> Result<Tallies, StoreError> {
        let mut noted = Tallies::new();
        self.index.walk(rows::TALLY, rows::TALLY, &mut |key, value| {
            noted.insert(key.to_vec(), Tally::decode(value).unwrap_or_default());
            true
        })?;
        Ok(noted)
    }

    /// Counts all releases, and puts right the rows that are missing or wrong: a long change that
    /// was cut short by a crash may have reached the releases and not these rows.
    pub(crate) fn begin_tally(&self) -> Result<(), StoreError> {
        let (counted, noted) = (self.walk_tallies()?, self.noted_tallies()?);
        let gone = noted.keys().filter(|key| !counted.contains_key(*key));
        let mut changes: Vec<_> = gone.cloned().map(Change::Remove).collect();
        let wrong = counted.into_iter().filter(|(key, tally)| noted.get(key) != Some(tally));
        changes.extend(wrong.map(|(key, tally)| Change::Put(key, tally.encode())));
        if changes.is_empty() { Ok(()) } else { self.index.apply(&changes) }
    }

    /// Applies changes, and keeps the tallies in step with them. The caller holds the writing lock.
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
        let mut tallies = Tallies::new();
        for (key, after) in after {
            let before = self.index.get(key)?.and_then(|value| ReleaseValue::decode(&value));
            if let Some(before) = before {
                self.count_in(&mut tallies, &before, Tally::remove)?;
            }
            if let Some(after) = after {
                self.count_in(&mut tallies, &after, Tally::add)?;
            }
        }
        changes.extend(tallies.into_iter().map(|(key, tally)| Change::Put(key, tally.encode())));
        self.index.apply(&changes)
    }

    /// Changes the tallies that count a release, which are read when they are first needed.
    fn count_in(
        &self,
        tallies: &mut Tallies,
        release: &ReleaseValue,
        change: impl Fn(&mut Tally, &ReleaseValue),
    ) -> Result<(), StoreError> {
        for key in keys_for(release) {
            if !tallies.contains_key(&key) {
                tallies.insert(key.clone(), self.noted_tally(&key)?);
            }
            if let Some(tally) = tallies.get_mut(&key) {
                change(tally, release);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gc::GcOptions;
    use crate::state::Pin;
    use crate::store::tests::fixtures::{bytes, id, key, open, release, statement};

    /// The rows agree with a count of all releases, whatever happens to them.
    #[test]
    fn the_tallies_are_what_a_count_gives() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let check = |what: &str, expected: (u64, u64, u64)| {
            let (noted, counted) = store
                .inner()
                .read(|catalog| Ok((catalog.noted_tallies()?, catalog.walk_tallies()?)))
                .unwrap();
            let has_any = |tally: &Tally| tally.releases > 0;
            let noted: Tallies = noted.into_iter().filter(|(_, tally)| has_any(tally)).collect();
            let counted: Tallies =
                counted.into_iter().filter(|(_, tally)| has_any(tally)).collect();
            assert_eq!(noted, counted, "{what}");
            let all = store.inner().read(|catalog| catalog.tally()).unwrap();
            assert_eq!((all.releases, all.held, all.invalid), expected, "{what}");
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
        let of = |key: u8| {
            let tally = store.inner().read(|catalog| catalog.tally_of(&self::key(key).id()));
            tally.map(|tally| (tally.releases, tally.held, tally.invalid)).unwrap()
        };
        assert_eq!([of(1), of(2), of(3)], [(1, 1, 0), (1, 0, 1), (0, 0, 0)]);
        store.set_pin(Pin::Blob(added[0].blob), true).unwrap();
        store.gc(GcOptions { grace: std::time::Duration::ZERO, dry_run: false }).unwrap();
        check("its bytes went", (2, 0, 1));
        store.refresh_state(&id(&one)).unwrap();
        check("counted again", (2, 0, 1));
        store.forget(&key(2).id()).unwrap();
        check("a publisher was forgotten", (1, 0, 0));
        assert_eq!([of(1), of(2)], [(1, 0, 0), (0, 0, 0)]);
        store.rebuild_index().unwrap();
        check("after a rebuild", (1, 0, 0));
    }
}
