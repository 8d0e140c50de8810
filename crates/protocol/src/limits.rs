//! Limits the requests of peers: bytes per peer, per address prefix and in total.
//!
//! Owns the token buckets and the slots for blob streams. Charges for the bytes requested, not for
//! the bytes sent, and for the work that a request turned out to be, as debt. Whoever is refused
//! and waits is not blamed. The maps shrink once peers have disconnected and their buckets have refilled.

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
/// Refusals of one peer in a burst that are no offence: it is told to wait, and has to learn so.
pub(crate) const REFUSALS_BURST: u64 = 32;
/// Refusals of one peer per second, sustained, that are no offence.
pub(crate) const REFUSALS_RATE: u64 = 1;
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

/// The verdict on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is answered.
    Granted,
    /// It is refused; the peer may ask again later.
    Busy,
    /// It is refused, and the peer goes on in spite of earlier refusals.
    Flood,
}

/// Every limit on the requests of peers.
#[derive(Debug)]
pub(crate) struct Limits {
    peers: Buckets<PeerId>,
    prefixes: Buckets<Prefix>,
    all: Bucket,
    refusals: Buckets<PeerId>,
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
            refusals: Buckets::new(REFUSALS_BURST, REFUSALS_RATE, BUCKETS),
            upload,
            line_free: Time::ZERO,
            streams: BTreeMap::new(),
        }
    }

    /// Charges a peer for a request of this many bytes, if it is within the limits.
    pub(crate) fn ask(&mut self, now: Time, peer: &PeerId, prefix: Prefix, bytes: u64) -> Asked {
        if self.peers.take(now, peer, bytes)
            && (prefix == Prefix::default() || self.prefixes.take(now, &prefix, bytes))
            && self.all.take(now, bytes)
        {
            Asked::Granted
        } else if self.refusals.take(now, peer, 1) {
            Asked::Busy
        } else {
            Asked::Flood
        }
    }

    /// Charges a peer for work that its request turned out to be.
    pub(crate) fn spend(&mut self, now: Time, peer: &PeerId, prefix: Prefix, bytes: u64) {
        self.peers.spend(now, peer, bytes);
        if prefix != Prefix::default() {
            self.prefixes.spend(now, &prefix, bytes);
        }
        self.all.spend(now, bytes);
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
        self.refusals.sweep(now);
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len() + self.prefixes.len() + self.refusals.len() + self.streams.len()
    }
}

/// The cost of reading a row for each of this many entries, in bytes: a set of 100,000 entries takes
/// about 100 ms.
pub(crate) const fn cost_of_rows(entries: u64) -> u64 {
    entries.saturating_mul(64)
}

/// The highest cost of answering a request, in bytes: the response, and the work of finding it. A
/// peer that spends 2 MiB a second takes some 30 ms of each second.
pub(crate) fn cost(request: &Request) -> u64 {
    const ENTRY: usize = 2048;
    const LOOK: usize = 256;
    // A look-up by name visits rows of names that do not match, too.
    const NAME: usize = 64 * 1024;
    // A search visits many rows, also for an answer without entries.
    const SEARCH: usize = 512 * 1024;
    let bytes = match request {
        Request::Reconcile { message, .. } => 64 * 1024 + 2 * message.len(),
        Request::Entries { ids } => LOOK + ids.len() * ENTRY,
        Request::Find { limit, .. } => NAME + usize::from(*limit) * ENTRY,
        Request::Have { releases, blobs } => LOOK + (releases.len() + blobs.len()) * LOOK,
        Request::Search { limit, .. } => SEARCH + usize::from(*limit) * ENTRY,
        Request::ResolveSha256 { .. } => LOOK,
    };
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Asked, Bucket, Buckets, Limits, STREAMS_PER_PEER, cost, cost_of_rows};
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
                limits.ask(at(0), &peer, Prefix(7), super::PEER_BURST) == Asked::Granted
            })
            .count();
        assert_eq!(granted, 4);
        let other = limits.ask(at(0), &"other".parse().unwrap(), Prefix(8), super::PEER_BURST);
        assert_eq!(other, Asked::Granted);
    }

    #[test]
    fn whoever_waits_after_a_refusal_is_not_blamed() {
        let mut limits = Limits::new(None);
        let (honest, flooder) = ("honest".parse().unwrap(), "flooder".parse().unwrap());
        let mut ask = |seconds: u64, peer| {
            limits.ask(at(seconds * 1000), peer, Prefix::default(), super::PEER_BURST)
        };
        assert_eq!((ask(0, &honest), ask(0, &flooder)), (Asked::Granted, Asked::Granted));
        // Twice a second at first, then once in two seconds.
        for seconds in 0..8 {
            assert_eq!(ask(seconds, &honest), Asked::Busy);
            assert_eq!(ask(seconds, &honest), Asked::Busy);
        }
        assert!((5..8).all(|n| ask(2 * n, &honest) == Asked::Busy));
        let refused: Vec<Asked> = (0..100).map(|_| ask(8, &flooder)).collect();
        assert_eq!(refused.iter().filter(|asked| **asked == Asked::Flood).count(), 68);
    }

    #[test]
    fn work_is_charged_when_it_is_known_and_owed_where_nothing_is_left() {
        let mut limits = Limits::new(None);
        let peer = "p".parse().unwrap();
        let ask = |limits: &mut Limits, seconds: u64| {
            limits.ask(at(seconds * 1000), &peer, Prefix(3), 1) == Asked::Granted
        };
        limits.spend(at(0), &peer, Prefix(3), cost_of_rows(10_000_000));
        // It owes as much as it may have: 16 seconds at its rate, and no more than that.
        assert!(!ask(&mut limits, 1) && !ask(&mut limits, 15));
        assert!(ask(&mut limits, 17));
        limits.spend(at(100_000), &peer, Prefix(3), cost_of_rows(100_000));
        assert!(ask(&mut limits, 100), "a smaller set is within its burst");
    }

    /// What costs time costs budget: no kind of request is free, whatever little it asks for.
    #[test]
    fn no_request_is_free() {
        use crate::message::{Bounded, Request, Scope};
        let id = |n: u8| perennial_manifest::BlobId::from_bytes([n; 32]);
        let digest = perennial_manifest::Sha256Digest::from_bytes([7; 32]);
        let find = Request::Find { selector: "tool".into(), publisher: None, limit: 0 };
        let have = |n: u8| Request::Have {
            releases: Bounded::empty(),
            blobs: Bounded::first_of((0..n).map(id)),
        };
        assert_eq!(cost(&find), 64 * 1024);
        assert_eq!((cost(&have(0)), cost(&have(3))), (256, 4 * 256));
        assert_eq!(cost(&Request::Search { text: "tool".into(), limit: 1 }), 514 * 1024);
        assert_eq!(cost(&Request::ResolveSha256 { digest }), 256);
        let message = vec![0; 10];
        assert_eq!(cost(&Request::Reconcile { scope: Scope::All, message }), 64 * 1024 + 20);
        assert_eq!(cost(&Request::Entries { ids: Bounded::empty() }), 256);
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
