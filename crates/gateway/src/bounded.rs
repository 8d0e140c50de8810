//! A bounded map: the oldest entries are evicted for new ones.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Values by key, with a bound on their total weight. Beyond it, the entries inserted first are
/// evicted; the newest entry always stays, however heavy it is.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    limit: usize,
    max_age: Option<Duration>,
    entries: Mutex<Entries<K, V>>,
}

#[derive(Debug)]
struct Entries<K, V> {
    by_key: HashMap<K, Entry<V>>,
    /// The keys in the order of insertion.
    order: BTreeMap<u64, K>,
    next: u64,
    weight: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    place: u64,
    inserted: Instant,
}

impl<K: Eq + Hash + Clone, V: Clone> Bounded<K, V> {
    /// A map whose total weight is at most `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        let (by_key, order) = (HashMap::new(), BTreeMap::new());
        let entries = Mutex::new(Entries { by_key, order, next: 0, weight: 0 });
        Self { limit, max_age: None, entries }
    }

    /// Also drops entries older than `max_age` whenever an entry is inserted.
    pub(crate) fn with_max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.with(|entries| entries.by_key.get(key).map(|entry| entry.value.clone()))
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.with(|entries| entries.by_key.contains_key(key))
    }

    /// Inserts or replaces a value, which becomes the newest entry.
    pub(crate) fn insert(&self, key: K, value: V, weight: usize, now: Instant) {
        // Dropped outside the lock: a value's destructor may do work, as a lease's does.
        let _evicted: Vec<Option<V>> = self.with(|entries| {
            let mut evicted = vec![entries.remove(&key)];
            let place = entries.next;
            entries.next += 1;
            entries.weight = entries.weight.saturating_add(weight);
            entries.order.insert(place, key.clone());
            entries.by_key.insert(key, Entry { value, weight, place, inserted: now });
            while let Some(oldest) = entries.oldest(self.limit, self.max_age, now) {
                evicted.push(entries.remove(&oldest));
            }
            evicted
        });
    }

    pub(crate) fn remove(&self, key: &K) {
        let _removed = self.with(|entries| entries.remove(key));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Entries<K, V>) -> T) -> T {
        work(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Eq + Hash + Clone, V> Entries<K, V> {
    fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.by_key.remove(key)?;
        self.order.remove(&entry.place);
        self.weight = self.weight.saturating_sub(entry.weight);
        Some(entry.value)
    }

    /// The oldest entry's key, if that entry has to be evicted.
    fn oldest(&self, limit: usize, max_age: Option<Duration>, now: Instant) -> Option<K> {
        let (_, key) = self.order.first_key_value().filter(|_| self.order.len() > 1)?;
        let age = now.saturating_duration_since(self.by_key.get(key)?.inserted);
        let expired = max_age.is_some_and(|max_age| age >= max_age);
        (self.weight > limit || expired).then(|| key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_make_room_for_the_newest() {
        let (map, now) = (Bounded::new(10), Instant::now());
        for (key, weight) in [("a", 4), ("b", 4), ("a", 3), ("c", 5)] {
            map.insert(key, weight, weight, now);
        }
        let there = |keys: [&'static str; 4]| keys.map(|key| map.contains(&key));
        assert_eq!(there(["a", "b", "c", "d"]), [true, false, true, false], "a was newer than b");
        map.insert("d", 1000, 1000, now);
        assert_eq!(there(["a", "b", "c", "d"]), [false, false, false, true]);
        map.remove(&"d");
        map.insert("e", 10, 10, now);
        assert_eq!(map.get(&"e"), Some(10), "a removed value weighs nothing");
    }

    #[test]
    fn an_insertion_drops_expired_entries() {
        let (day, now) = (Duration::from_secs(86_400), Instant::now());
        let map = Bounded::new(10).with_max_age(day);
        map.insert(1, (), 1, now);
        map.insert(2, (), 1, now + day / 2);
        map.insert(3, (), 1, now + day);
        assert_eq!([1, 2, 3].map(|key| map.contains(&key)), [false, true, true]);
    }
}
