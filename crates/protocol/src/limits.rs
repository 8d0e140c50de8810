//! Limits the requests of peers: bytes per peer, per address prefix and in total.
//!
//! Owns the token buckets and the slots for blob streams. Charges for the bytes requested, not for
//! the bytes sent. The maps shrink once peers have disconnected and their buckets have refilled.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::input::{Prefix, Token};
use crate::message::Request;
use crate::peer::PeerId;
use crate::time::Time;

/// Bytes of responses that a peer may request in a burst.
pub(crate) const PEER_BURST: u64 = 32 << 20;
/// Bytes of responses that a peer may request per second, sustained.
pub(crate) const PEER_RATE: u64 = 2 << 20;
/// Bytes that all peers of one address prefix may request in a burst.
pub(crate) const PREFIX_BURST: u64 = 4 * PEER_BURST;
/// Bytes that all peers of one address prefix may request per second, sustained.
pub(crate) const PREFIX_RATE: u64 = 4 * PEER_RATE;
/// Bytes that all peers together may request in a burst.
pub(crate) const ALL_BURST: u64 = 16 * PEER_BURST;
/// Bytes that all peers together may request per second, sustained.
pub(crate) const ALL_RATE: u64 = 16 * PEER_RATE;
/// Blob streams served concurrently per peer, at most.
pub(crate) const STREAMS_PER_PEER: usize = 4;
/// Blob streams served concurrently, at most.
pub(crate) const STREAMS: usize = 64;
/// Longest wait under the upload cap; a blob stream that would wait longer is refused.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Buckets of each kind, at most. When all are in use, new peers and prefixes are refused.
pub(crate) const BUCKETS: usize = 8192;

/// A token bucket: tokens flow in at a rate, up to a capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    capacity: u64,
    per_second: u64,
    /// In thousandths of a token, so that the refill per millisecond is an integer.
    level: u128,
    at: Time,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub(crate) fn full(capacity: u64, per_second: u64, now: Time) -> Self {
        Self { capacity, per_second, level: u128::from(capacity) * 1000, at: now }
    }

    fn refill(&mut self, now: Time) {
        let grown = now.since(self.at).as_millis().saturating_mul(u128::from(self.per_second));
        self.level = self.level.saturating_add(grown).min(u128::from(self.capacity) * 1000);
        self.at = self.at.max(now);
    }

    /// Takes tokens if there are enough.
    pub(crate) fn take(&mut self, now: Time, tokens: u64) -> bool {
        self.refill(now);
        let cost = u128::from(tokens) * 1000;
        let enough = self.level >= cost;
        if enough {
            self.level -= cost;
        }
        enough
    }

    /// Takes as many tokens as there are, at most this many.
    pub(crate) fn take_up_to(&mut self, now: Time, tokens: u64) -> u64 {
        self.refill(now);
        let whole = u64::try_from(self.level / 1000).unwrap_or(u64::MAX);
        let taken = whole.min(tokens);
        self.level -= u128::from(taken) * 1000;
        taken
    }

    /// Returns whether the bucket is full.
    #[must_use]
    pub(crate) fn is_full(&mut self, now: Time) -> bool {
        self.refill(now);
        self.level == u128::from(self.capacity) * 1000
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
        if let Some(bucket) = self.by_key.get_mut(key) {
            return bucket.take(now, tokens);
        }
        if self.by_key.len() >= self.limit {
            self.sweep(now);
        }
        if self.by_key.len() >= self.limit {
            return false;
        }
        let mut bucket = Bucket::full(self.capacity, self.per_second, now);
        let taken = bucket.take(now, tokens);
        self.by_key.insert(key.clone(), bucket);
        taken
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

/// Every limit on the requests of peers.
#[derive(Debug)]
pub(crate) struct Limits {
    peers: Buckets<PeerId>,
    prefixes: Buckets<Prefix>,
    all: Bucket,
    /// Cap on all blob streams, in bytes per second.
    upload: Option<u64>,
    /// When the bytes granted so far will have been sent under the cap.
    line_free: Time,
    streams: BTreeMap<Token, PeerId>,
}

impl Limits {
    pub(crate) fn new(upload: Option<u64>) -> Self {
        Self {
            peers: Buckets::new(PEER_BURST, PEER_RATE, BUCKETS),
            prefixes: Buckets::new(PREFIX_BURST, PREFIX_RATE, BUCKETS),
            all: Bucket::full(ALL_BURST, ALL_RATE, Time::ZERO),
            upload,
            line_free: Time::ZERO,
            streams: BTreeMap::new(),
        }
    }

    /// Charges a peer for a request of this many bytes; returns whether it is within the limits.
    pub(crate) fn ask(&mut self, now: Time, peer: &PeerId, prefix: Prefix, bytes: u64) -> bool {
        self.peers.take(now, peer, bytes)
            && (prefix == Prefix::default() || self.prefixes.take(now, &prefix, bytes))
            && self.all.take(now, bytes)
    }

    /// When a blob stream may start; `None` if it is refused.
    pub(crate) fn serve(
        &mut self,
        now: Time,
        peer: &PeerId,
        token: Token,
        bytes: u64,
    ) -> Option<Time> {
        let mine = self.streams.values().filter(|other| *other == peer).count();
        if mine >= STREAMS_PER_PEER
            || self.streams.len() >= STREAMS
            || self.streams.contains_key(&token)
        {
            return None;
        }
        let mut start = now;
        if let Some(rate) = self.upload {
            start = self.line_free.max(now);
            if start.since(now) > LONGEST_WAIT {
                return None;
            }
            let millis = bytes.saturating_mul(1000) / rate.max(1);
            self.line_free = start + Duration::from_millis(millis);
        }
        self.streams.insert(token, peer.clone());
        Some(start)
    }

    pub(crate) fn served(&mut self, token: Token) {
        self.streams.remove(&token);
    }

    pub(crate) fn sweep(&mut self, now: Time) {
        self.peers.sweep(now);
        self.prefixes.sweep(now);
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len() + self.prefixes.len() + self.streams.len()
    }
}

/// The highest cost of answering a request, in bytes: the response, and the work of finding it.
pub(crate) fn cost(request: &Request) -> u64 {
    const ENTRY: usize = 2048;
    const LOOK: usize = 256;
    // A search visits many rows, also for an answer without entries.
    const SEARCH: usize = 512 * 1024;
    let bytes = match request {
        Request::Reconcile { message, .. } => 64 * 1024 + 2 * message.len(),
        Request::Entries { ids } => LOOK + ids.len() * ENTRY,
        Request::Find { limit, .. } => 16 * LOOK + usize::from(*limit) * ENTRY,
        Request::Have { releases, blobs } => LOOK + (releases.len() + blobs.len()) * 64,
        Request::Search { limit, .. } => SEARCH + usize::from(*limit) * ENTRY,
        Request::ResolveSha256 { .. } => LOOK,
    };
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Buckets, Limits, STREAMS_PER_PEER};
    use crate::input::{Prefix, Token};
    use crate::time::Time;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_bucket_gives_its_capacity_and_then_its_rate() {
        let mut bucket = Bucket::full(10, 5, at(0));
        assert!(bucket.take(at(0), 10));
        assert!(!bucket.take(at(199), 1));
        assert!(bucket.take(at(200), 1));
        assert!(!bucket.take(at(200), 1));
        assert!(bucket.take(at(1_000_000), 10));
        assert!(!bucket.take(at(1_000_000), 1), "never more than its capacity");
        assert!(!bucket.take(at(5), 1), "time that goes back brings nothing");
        assert_eq!(bucket.take_up_to(at(1_000_700), 10), 3, "what there is");
        assert_eq!(bucket.take_up_to(at(2_000_000), 4), 4);
        assert!(bucket.take(at(2_000_000), 6) && !bucket.take(at(2_000_000), 1));
    }

    #[test]
    fn buckets_are_bounded_and_shrink() {
        let mut buckets = Buckets::new(2, 1, 3);
        for key in 0..3 {
            assert!(buckets.take(at(0), &key, 1));
        }
        assert!(!buckets.take(at(0), &3, 1), "no room while the others are in use");
        assert!(buckets.take(at(1000), &3, 1), "full ones were swept");
        buckets.sweep(at(9000));
        assert_eq!(buckets.len(), 0);
    }

    #[test]
    fn one_prefix_cannot_use_up_every_share() {
        let mut limits = Limits::new(None);
        let granted = (0..64)
            .filter(|n| {
                let peer = format!("p{n}").parse().unwrap();
                limits.ask(at(0), &peer, Prefix(7), super::PEER_BURST)
            })
            .count();
        assert_eq!(granted, 4);
        assert!(limits.ask(at(0), &"other".parse().unwrap(), Prefix(8), super::PEER_BURST));
    }

    #[test]
    fn streams_and_upload_are_capped() {
        let mut limits = Limits::new(Some(1000));
        let peer = "p".parse().unwrap();
        assert_eq!(limits.serve(at(0), &peer, Token(0), 2000), Some(at(0)));
        assert_eq!(limits.serve(at(0), &peer, Token(1), 4000), Some(at(2000)));
        assert_eq!(limits.serve(at(0), &peer, Token(2), 1), None, "its turn is too far away");
        limits.served(Token(0));
        limits.served(Token(1));
        let mut limits = Limits::new(None);
        let granted = (0..9).filter(|n| limits.serve(at(0), &peer, Token(*n), 1).is_some()).count();
        assert_eq!(granted, STREAMS_PER_PEER);
        limits.served(Token(0));
        assert!(limits.serve(at(0), &peer, Token(20), 1).is_some());
    }
}
