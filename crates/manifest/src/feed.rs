//! The rules of a feed: the entries that continue it, and forks.
//!
//! Owns the state of one publisher's feed as plain data, so that the store can keep it and tests
//! can compare it. Promises that a fork is never forgotten, and that every admitted entry comes
//! after entries that were admitted. `entry` verifies signatures.

use serde::{Deserialize, Serialize};

use crate::entry::{MAX_PREVS, MAX_SEQ};
use crate::{Body, Entry, EntryId, PublisherId, SignedEntry};

/// Most forks remembered per feed; the first ones are proof enough.
pub const MAX_FORKS: usize = 16;
/// Most branch heads followed at once. A feed with more is refused further branches.
pub const MAX_HEADS: usize = 16;

/// Two entries of one publisher with one sequence number: proof of a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForkProof {
    /// The sequence number of both.
    pub seq: u64,
    /// The smaller id.
    pub one: EntryId,
    /// The larger id.
    pub other: EntryId,
}

/// One publisher's feed, as far as a node knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// The heads of its branches with their sequence numbers, by id; one unless it is forked.
    pub heads: Vec<(EntryId, u64)>,
    /// Number of admitted entries.
    pub entries: u64,
    /// Forks seen, oldest first. A merge joins the heads and forgets nothing here.
    pub forks: Vec<ForkProof>,
    /// Where the feed was handed over: the sequence number of the `rotate`, and the successor key.
    /// A rotation decides nothing if there is another one, or a branch as long or longer beside it,
    /// whichever of them came first: whoever has stolen a key can sign one behind any entry, and a
    /// branch as long as they like.
    pub rotated: Option<(u64, PublisherId)>,
    /// The heads that are rotations, and the keys that they name. Nothing follows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotations: Vec<(EntryId, PublisherId)>,
}

/// Look-ups of entries that were admitted before.
pub trait Known {
    /// The sequence number of an admitted entry of this feed.
    fn seq_of(&self, id: &EntryId) -> Option<u64>;
    /// An admitted entry with this sequence number; any of them if the feed is forked.
    fn at_seq(&self, seq: u64) -> Option<EntryId>;
}

/// The verdict on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admit {
    /// It continues the feed.
    New,
    /// It was admitted before.
    Known,
    /// It was admitted, and proves that the publisher signed two histories.
    Fork(ForkProof),
    /// It names entries that are not here yet: fetch them, then try again.
    Orphan(Vec<EntryId>),
    /// It can never be part of this feed.
    Reject(FeedError),
}

/// Why an entry cannot be part of a feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// `seq` is not one more than the highest of `prevs`.
    #[error("sequence number {found}, but its predecessors require {expected}")]
    Seq {
        /// The sequence number of the entry.
        found: u64,
        /// The sequence number that its predecessors require.
        expected: u64,
    },
    /// Signed with a key after that key handed the feed over.
    #[error("signed with a key that handed its feed over to {0}")]
    Rotated(PublisherId),
    /// The publisher has too many branches.
    #[error("more than {MAX_HEADS} branches in one feed")]
    TooManyHeads,
}

/// The place of the next entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextEntry {
    /// Its sequence number.
    pub seq: u64,
    /// Its predecessors, sorted.
    pub prevs: Vec<EntryId>,
}

impl NextEntry {
    /// The entry with this statement at this place of the publisher's feed.
    #[must_use]
    pub fn entry(self, publisher: PublisherId, issued_at: u64, body: Body) -> Entry {
        Entry { publisher, seq: self.seq, prevs: self.prevs, issued_at, body }
    }
}

/// Why nothing may be signed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignRefusal {
    /// The feed has two heads: only a merge may come next.
    #[error(
        "this key's feed is forked ({0} branches): another machine signs with the same key; sign a \
        merge first"
    )]
    Forked(usize),
    /// A higher entry of this key was seen than is here: a restored backup, or a second machine.
    #[error(
        "entry {seen} of this key was seen, but {} here: a restored backup, or a second machine \
        with the same key",
        .have.map_or_else(|| "none is".to_owned(), |have| format!("only those up to {have} are"))
    )]
    Behind {
        /// Highest sequence number seen anywhere.
        seen: u64,
        /// Highest sequence number that is here.
        have: Option<u64>,
    },
    /// The key handed the feed over.
    #[error("this key handed its feed over to {0}; sign with that key")]
    Rotated(PublisherId),
    /// No sequence number is left.
    #[error("the feed is at its last sequence number")]
    Full,
}

impl FeedState {
    /// Judges an entry of this publisher, and takes it in if it fits.
    pub fn admit(&mut self, signed: &SignedEntry, known: &impl Known) -> Admit {
        self.name_rotation();
        let entry = signed.entry();
        let id = signed.id();
        if known.seq_of(&id).is_some() {
            return Admit::Known;
        }
        let missing: Vec<EntryId> =
            entry.prevs.iter().filter(|prev| known.seq_of(prev).is_none()).copied().collect();
        if !missing.is_empty() {
            return Admit::Orphan(missing);
        }
        let expected =
            entry.prevs.iter().filter_map(|prev| known.seq_of(prev)).max().map_or(0, |seq| seq + 1);
        if entry.seq != expected {
            return Admit::Reject(FeedError::Seq { found: entry.seq, expected });
        }
        if let Some((_, next)) =
            self.rotations.iter().find(|(rotation, _)| entry.prevs.contains(rotation))
        {
            return Admit::Reject(FeedError::Rotated(*next));
        }
        if let Some((at, next)) = self.rotated
            && entry.seq > at
        {
            return Admit::Reject(FeedError::Rotated(next));
        }
        let fork = known.at_seq(entry.seq).map(|there| ForkProof {
            seq: entry.seq,
            one: id.min(there),
            other: id.max(there),
        });
        let kept: Vec<_> =
            self.heads.iter().filter(|(head, _)| !entry.prevs.contains(head)).copied().collect();
        if kept.len() >= MAX_HEADS {
            return Admit::Reject(FeedError::TooManyHeads);
        }
        self.heads = kept;
        self.heads.push((id, entry.seq));
        self.heads.sort_unstable();
        self.entries += 1;
        if let Body::Rotate(rotate) = &entry.body {
            self.rotations.push((id, rotate.next));
            self.rotations.sort_unstable();
        }
        self.rotated = self.handed_over();
        match fork {
            Some(proof) => {
                if self.forks.len() < MAX_FORKS && !self.forks.contains(&proof) {
                    self.forks.push(proof);
                }
                Admit::Fork(proof)
            }
            None => Admit::New,
        }
    }

    /// States of earlier versions do not name the rotation, which is a head of its number.
    fn name_rotation(&mut self) {
        let (Some((at, next)), true) = (self.rotated, self.rotations.is_empty()) else { return };
        let mut there = self.heads.iter().filter(|(_, seq)| *seq == at);
        if let (Some((rotation, _)), None) = (there.next(), there.next()) {
            self.rotations.push((*rotation, next));
            self.rotated = self.handed_over();
        }
    }

    /// Leaves so many entries, which end in these: the later ones are no longer there.
    pub fn cut(&mut self, heads: Vec<(EntryId, u64)>, entries: u64) {
        self.name_rotation();
        self.rotations.retain(|(rotation, _)| heads.iter().any(|(head, _)| head == rotation));
        (self.heads, self.entries) = (heads, entries);
        self.rotated = self.handed_over();
    }

    /// The rotation that decides: the only one, at the end of the longest branch, if no other is as
    /// long.
    fn handed_over(&self) -> Option<(u64, PublisherId)> {
        let [(rotation, next)] = self.rotations[..] else { return None };
        let (seq, _) = self.highest()?;
        let mut longest = self.heads.iter().filter(|(_, at)| *at == seq);
        match (longest.next(), longest.next()) {
            (Some((head, _)), None) if *head == rotation => Some((seq, next)),
            _ => None,
        }
    }

    /// The heads that entries can follow.
    fn open_heads(&self) -> impl Iterator<Item = &(EntryId, u64)> {
        let is_rotation = |id: &EntryId| self.rotations.iter().any(|(rotation, _)| rotation == id);
        self.heads.iter().filter(move |(head, _)| !is_rotation(head))
    }

    /// Whether a rotation names this key as the next one, decisive or not.
    #[must_use]
    pub fn names_successor(&self, next: &PublisherId) -> bool {
        self.rotations.iter().any(|(_, named)| named == next)
    }

    /// The successor keys that rotations name which decide nothing.
    pub fn disputed(&self) -> impl Iterator<Item = PublisherId> {
        let decides = self.rotated.map(|(_, next)| next);
        self.rotations.iter().map(|(_, next)| *next).filter(move |next| Some(*next) != decides)
    }

    /// The highest sequence number and its entry; the smaller id if two have it.
    #[must_use]
    pub fn highest(&self) -> Option<(u64, EntryId)> {
        let top = self.heads.iter().map(|(_, seq)| *seq).max()?;
        self.heads.iter().find(|(_, seq)| *seq == top).map(|(id, seq)| (*seq, *id))
    }

    /// Whether it has two heads. Tags stay as they were until a merge.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        self.heads.len() > 1
    }

    /// The place of the next entry. `seen` is the highest sequence number seen for this key
    /// anywhere.
    ///
    /// # Errors
    /// [`SignRefusal`]: signing would fork the feed.
    pub fn next(&self, seen: Option<u64>) -> Result<NextEntry, SignRefusal> {
        // A rotation that decides nothing is a branch that nothing can join: it is in the way of
        // no entry.
        let branches = self.open_heads().count();
        if branches > 1 && self.rotated.is_none() {
            return Err(SignRefusal::Forked(branches));
        }
        self.next_after(seen)
    }

    /// The place of a merge: after every head, or as many as one entry can name.
    ///
    /// # Errors
    /// [`SignRefusal`]: signing would fork the feed.
    pub fn next_merge(&self, seen: Option<u64>) -> Result<NextEntry, SignRefusal> {
        self.next_after(seen)
    }

    fn next_after(&self, seen: Option<u64>) -> Result<NextEntry, SignRefusal> {
        if let Some((_, next)) = self.rotated {
            return Err(SignRefusal::Rotated(next));
        }
        let have = self.highest().map(|(seq, _)| seq);
        if let Some(seen) = seen
            && have.is_none_or(|have| have < seen)
        {
            return Err(SignRefusal::Behind { seen, have });
        }
        let mut ends: Vec<_> = self.open_heads().copied().collect();
        if let (true, Some((_, next))) = (ends.is_empty(), self.rotations.first()) {
            return Err(SignRefusal::Rotated(*next));
        }
        ends.sort_unstable_by_key(|(id, seq)| (std::cmp::Reverse(*seq), *id));
        ends.truncate(MAX_PREVS);
        let seq = ends.first().map_or(0, |(_, highest)| highest + 1);
        let mut prevs: Vec<EntryId> = ends.into_iter().map(|(id, _)| id).collect();
        prevs.sort_unstable();
        if seq > MAX_SEQ { Err(SignRefusal::Full) } else { Ok(NextEntry { seq, prevs }) }
    }
}
