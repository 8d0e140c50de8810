//! Token buckets, one by one and by key.

use std::collections::BTreeMap;

use crate::time::Time;

/// A token bucket: tokens flow in at a rate, up to a capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    capacity: u64,
    per_second: u64,
    /// In thousandths of a token, so that the refill per millisecond is an integer. Negative: debt.
    level: i128,
    at: Time,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub(crate) fn full(capacity: u64, per_second: u64, now: Time) -> Self {
        Self { capacity, per_second, level: i128::from(capacity) * 1000, at: now }
    }

    fn refill(&mut self, now: Time) {
        let grown = now.since(self.at).as_millis().saturating_mul(u128::from(self.per_second));
        let grown = i128::try_from(grown).unwrap_or(i128::MAX);
        self.level = self.level.saturating_add(grown).min(self.most());
        self.at = self.at.max(now);
    }

    fn most(&self) -> i128 {
        i128::from(self.capacity) * 1000
    }

    /// Takes tokens whether or not there are enough: what is missing is owed, up to the capacity.
    pub(crate) fn spend(&mut self, now: Time, tokens: u64) {
        self.refill(now);
        self.level = (self.level - i128::from(tokens) * 1000).max(-self.most());
    }

    /// Takes tokens if there are enough.
    pub(crate) fn take(&mut self, now: Time, tokens: u64) -> bool {
        self.refill(now);
        let cost = i128::from(tokens) * 1000;
        let enough = self.level >= cost;
        if enough {
            self.level -= cost;
        }
        enough
    }

    /// Whether more was spent than there was.
    pub(crate) fn owes(&mut self, now: Time) -> bool {
        self.refill(now);
        self.level < 0
    }

    /// Takes as many tokens as there are, at most this many.
    pub(crate) fn take_up_to(&mut self, now: Time, tokens: u64) -> u64 {
        self.refill(now);
        let taken = u64::try_from(self.level / 1000).unwrap_or(0).min(tokens);
        self.level -= i128::from(taken) * 1000;
        taken
    }

    /// Returns whether the bucket is full.
    #[must_use]
    pub(crate) fn is_full(&mut self, now: Time) -> bool {
        self.refill(now);
        self.level == self.most()
    }
}

/// Token buckets by key, in bounded number.
#[derive(Debug, Clone)]
pub(crate) struct Buckets<K> {
    capacity: u64,
    per_second: u64,
    limit: usize,
    by_key: BTreeMap<K, Bucket>,
}

impl<K: Ord + Clone> Buckets<K> {
    /// An empty set of buckets; each bucket starts full.
    #[must_use]
    pub(crate) const fn new(capacity: u64, per_second: u64, limit: usize) -> Self {
        Self { capacity, per_second, limit, by_key: BTreeMap::new() }
    }

    /// Takes tokens from a key's bucket. Fails for a new key while there is no room for its bucket.
    pub(crate) fn take(&mut self, now: Time, key: &K, tokens: u64) -> bool {
        self.bucket(now, key).is_some_and(|bucket| bucket.take(now, tokens))
    }

    /// Takes tokens from a key's bucket, whether or not there are enough.
    pub(crate) fn spend(&mut self, now: Time, key: &K, tokens: u64) {
        if let Some(bucket) = self.bucket(now, key) {
            bucket.spend(now, tokens);
        }
    }

    /// Whether more was spent from a key's bucket than there was.
    pub(crate) fn owes(&mut self, now: Time, key: &K) -> bool {
        self.by_key.get_mut(key).is_some_and(|bucket| bucket.owes(now))
    }

    fn bucket(&mut self, now: Time, key: &K) -> Option<&mut Bucket> {
        if !self.by_key.contains_key(key) {
            if self.by_key.len() >= self.limit {
                self.sweep(now);
            }
            if self.by_key.len() >= self.limit {
                return None;
            }
        }
        let full = || Bucket::full(self.capacity, self.per_second, now);
        Some(self.by_key.entry(key.clone()).or_insert_with(full))
    }

    /// Drops full buckets: a new bucket is equivalent.
    pub(crate) fn sweep(&mut self, now: Time) {
        self.by_key.retain(|_, bucket| !bucket.is_full(now));
    }

    /// The number of buckets.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}
