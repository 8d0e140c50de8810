//! The Kademlia record store: which peers provide which key, according to other nodes.
//!
//! Owns the bounds on the records that other peers make a node remember: per peer, per key and in
//! total. This node's own records are not counted and never refused. Values (PUT_VALUE) are not
//! stored.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Instant;

use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};

/// Length of a key in bytes; keys of another length are refused.
const KEY: usize = 32;
/// Records of one peer, at most.
const MAX_PER_PEER: usize = 4096;
/// Peers per key, at most: as many as Kademlia hands out.
const MAX_PER_KEY: usize = 20;
/// Records of other peers, at most: about 16 MiB.
const MAX_RECORDS: usize = 32 * 1024;
/// Addresses of one record, at most.
const MAX_ADDRESSES: usize = 4;
/// Longest address of a record, in bytes.
const MAX_ADDRESS: usize = 128;

/// The record store, with the records of this node apart from those of others.
pub(crate) struct Providers {
    me: PeerId,
    own: HashMap<RecordKey, ProviderRecord>,
    others: HashMap<RecordKey, Vec<ProviderRecord>>,
    /// Number of records per peer in `others`.
    counts: HashMap<PeerId, usize>,
    /// Sum of `counts`.
    records: usize,
}

impl Providers {
    pub(crate) fn new(me: PeerId) -> Self {
        Self { me, own: HashMap::new(), others: HashMap::new(), counts: HashMap::new(), records: 0 }
    }

    /// Removes expired records.
    fn sweep(&mut self, now: Instant) {
        let (counts, records) = (&mut self.counts, &mut self.records);
        self.others.retain(|_, of_key| {
            of_key.retain(|record| {
                let keep = !record.is_expired(now);
                if !keep {
                    discount(counts, records, &record.provider);
                }
                keep
            });
            !of_key.is_empty()
        });
    }

    /// Makes room by dropping a record of the peer that has the most, unless that peer is `asking`.
    /// Returns whether there is room.
    fn evict_for(&mut self, asking: &PeerId) -> bool {
        let Some((&heaviest, &most)) = self.counts.iter().max_by_key(|(_, count)| **count) else {
            return true;
        };
        if most <= self.counts.get(asking).copied().unwrap_or(0) + 1 {
            return false;
        }
        let held =
            |of_key: &Vec<ProviderRecord>| of_key.iter().any(|record| record.provider == heaviest);
        let Some(key) =
            self.others.iter().find(|(_, of_key)| held(of_key)).map(|(key, _)| key.clone())
        else {
            return false;
        };
        self.remove_provider(&key, &heaviest);
        true
    }
}

fn discount(counts: &mut HashMap<PeerId, usize>, records: &mut usize, peer: &PeerId) {
    *records = records.saturating_sub(1);
    if let Some(count) = counts.get_mut(peer) {
        *count -= 1;
        if *count == 0 {
            counts.remove(peer);
        }
    }
}

impl RecordStore for Providers {
    type RecordsIter<'a> = std::iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = std::iter::Map<
        std::collections::hash_map::Values<'a, RecordKey, ProviderRecord>,
        fn(&'a ProviderRecord) -> Cow<'a, ProviderRecord>,
    >;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Err(Error::MaxRecords)
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        std::iter::empty()
    }

    fn add_provider(&mut self, mut record: ProviderRecord) -> Result<()> {
        if record.provider == self.me {
            self.own.insert(record.key.clone(), record);
            return Ok(());
        }
        if record.key.as_ref().len() != KEY {
            return Err(Error::ValueTooLarge);
        }
        record.addresses.retain(|address| address.len() <= MAX_ADDRESS);
        record.addresses.truncate(MAX_ADDRESSES);
        let mut of_key = self.others.get_mut(&record.key).into_iter().flatten();
        if let Some(known) = of_key.find(|known| known.provider == record.provider) {
            *known = record;
            return Ok(());
        }
        let now = Instant::now();
        let full = |all: &Self| {
            all.records >= MAX_RECORDS
                || all.counts.get(&record.provider).is_some_and(|count| *count >= MAX_PER_PEER)
                || all.others.get(&record.key).is_some_and(|of_key| of_key.len() >= MAX_PER_KEY)
        };
        if full(self) {
            self.sweep(now);
            if self.records >= MAX_RECORDS {
                self.evict_for(&record.provider);
            }
            if full(self) {
                return Err(Error::MaxProvidedKeys);
            }
        }
        *self.counts.entry(record.provider).or_default() += 1;
        self.records += 1;
        self.others.entry(record.key.clone()).or_default().push(record);
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let others = self.others.get(key).into_iter().flatten();
        self.own.get(key).into_iter().chain(others).cloned().collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        self.own.values().map(Cow::Borrowed)
    }

    fn remove_provider(&mut self, key: &RecordKey, peer: &PeerId) {
        if *peer == self.me {
            self.own.remove(key);
        }
        let Some(of_key) = self.others.get_mut(key) else { return };
        let Some(at) = of_key.iter().position(|record| record.provider == *peer) else { return };
        of_key.swap_remove(at);
        if of_key.is_empty() {
            self.others.remove(key);
        }
        discount(&mut self.counts, &mut self.records, peer);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use libp2p::PeerId;
    use libp2p::kad::store::RecordStore;
    use libp2p::kad::{ProviderRecord, RecordKey};

    use super::{KEY, MAX_ADDRESSES, MAX_PER_KEY, MAX_PER_PEER, MAX_RECORDS, Providers};

    fn key(n: usize) -> RecordKey {
        let mut key = [0; KEY];
        key[..8].copy_from_slice(&n.to_le_bytes());
        RecordKey::new(&key)
    }

    fn record(n: usize, peer: PeerId) -> ProviderRecord {
        ProviderRecord::new(key(n), peer, Vec::new())
    }

    #[test]
    fn one_peer_has_its_share_and_no_more() {
        let mut store = Providers::new(PeerId::random());
        let peer = PeerId::random();
        for n in 0..MAX_PER_PEER {
            store.add_provider(record(n, peer)).unwrap();
        }
        assert!(store.add_provider(record(MAX_PER_PEER, peer)).is_err());
        store.add_provider(record(0, peer)).unwrap(); // Repeated: not a new record.
        store.add_provider(record(MAX_PER_PEER, PeerId::random())).unwrap();
        store.remove_provider(&key(0), &peer);
        store.add_provider(record(MAX_PER_PEER, peer)).unwrap();
    }

    #[test]
    fn a_store_full_of_junk_has_room_for_own_keys_and_for_a_modest_peer() {
        let me = PeerId::random();
        let mut store = Providers::new(me);
        for peer in 0..MAX_RECORDS / MAX_PER_PEER {
            let junk = PeerId::random();
            for n in 0..MAX_PER_PEER {
                store.add_provider(record(peer * MAX_PER_PEER + n, junk)).unwrap();
            }
        }
        assert_eq!(store.records, MAX_RECORDS);
        store.add_provider(record(1 << 40, me)).unwrap();
        let modest = PeerId::random();
        store.add_provider(record(1 << 41, modest)).unwrap();
        assert_eq!(store.providers(&key(1 << 41)).len(), 1);
        assert_eq!(store.providers(&key(1 << 40)).len(), 1);
        assert_eq!(store.provided().count(), 1);
        assert_eq!(
            (store.records, store.counts.values().sum::<usize>()),
            (MAX_RECORDS, MAX_RECORDS)
        );
    }

    #[test]
    fn expired_records_make_room() {
        let mut store = Providers::new(PeerId::random());
        let past = Instant::now();
        for _ in 0..MAX_PER_KEY {
            let old = ProviderRecord { expires: Some(past), ..record(1, PeerId::random()) };
            store.add_provider(old).unwrap();
        }
        let fresh = ProviderRecord {
            expires: Some(past + Duration::from_secs(3600)),
            ..record(1, PeerId::random())
        };
        store.add_provider(fresh).unwrap();
        assert_eq!((store.providers(&key(1)).len(), store.records), (1, 1));
    }

    #[test]
    fn keys_other_than_release_ids_and_long_addresses_are_not_kept() {
        let mut store = Providers::new(PeerId::random());
        let odd = ProviderRecord::new(RecordKey::new(&[1; 33]), PeerId::random(), Vec::new());
        assert!(store.add_provider(odd).is_err());
        let many =
            (0..40).map(|n| format!("/ip4/127.0.0.1/tcp/{}", n + 1).parse().unwrap()).collect();
        store.add_provider(ProviderRecord::new(key(1), PeerId::random(), many)).unwrap();
        assert_eq!(store.providers(&key(1))[0].addresses.len(), MAX_ADDRESSES);
    }
}
