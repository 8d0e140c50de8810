//! Limits the requests of peers: bytes per peer, per address prefix and in total.
//!
//! Owns the token buckets and the slots for blob streams. Charges for the bytes requested, not for
//! the bytes sent, and for the work that a request turned out to be, as debt. Whoever is refused
//! and waits is not blamed. The maps shrink once peers have disconnected and their buckets have
//! refilled.

mod bucket;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::input::Token;
use crate::message::Request;
use crate::peer::PeerId;
use crate::prefix::Prefix;
use crate::time::Time;
pub(crate) use bucket::{Bucket, Buckets};

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
    /// With the bytes that the cap was charged for.
    streams: BTreeMap<Token, (PeerId, u64)>,
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

    /// Whether a peer or its prefix still owes for earlier work.
    pub(crate) fn owes(&mut self, now: Time, peer: &PeerId, prefix: Prefix) -> bool {
        self.peers.owes(now, peer) || self.prefixes.owes(now, &prefix)
    }

    /// When a blob stream may start; `None` if it is refused.
    pub(crate) fn serve(
        &mut self,
        now: Time,
        peer: &PeerId,
        token: Token,
        bytes: u64,
    ) -> Option<Time> {
        let mine = self.streams.values().filter(|(other, _)| other == peer).count();
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
            self.line_free = start + time_at(rate, bytes);
        }
        self.streams.insert(token, (peer.clone(), bytes));
        Some(start)
    }

    /// A blob stream ended after so many bytes: what it asked for in vain, or did not wait for, is
    /// free for others.
    pub(crate) fn served(&mut self, token: Token, sent: u64) {
        let Some((_, charged)) = self.streams.remove(&token) else { return };
        if let Some(rate) = self.upload {
            let unused = time_at(rate, charged.saturating_sub(sent));
            let until = self.line_free.since(Time::ZERO).saturating_sub(unused);
            self.line_free = Time::ZERO + until;
        }
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

/// The time that bytes take at a rate per second.
fn time_at(rate: u64, bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1))
}

/// The cost of reading a row for each of this many entries, in bytes: a set of 100,000 entries
/// takes about 100 ms.
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
mod tests;
