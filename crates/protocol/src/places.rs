//! Places, of which there are few: connections, handshakes, streams, exchanges.
//!
//! Decides who gets one, and who leaves when all are taken: the least useful of the most crowded
//! address prefix. Every peer and every prefix has a share. Some places are kept for peers that
//! have earned them: those that the user chose, and those that brought something before. Owns no
//! connection; the caller closes what loses its place.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::peer::PeerId;
use crate::prefix::Prefix;
use crate::time::Time;

/// What a peer has earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Standing {
    /// Nothing so far.
    #[default]
    Stranger,
    /// It asked for something, as those do that join to take part.
    Active,
    /// It brought something that this node wanted: verified bytes, or new entries of a publisher
    /// that its user follows.
    Useful,
    /// This node's user chose it.
    Chosen,
}

impl Standing {
    /// Whether places are kept for such a peer.
    #[must_use]
    pub const fn is_earned(self) -> bool {
        matches!(self, Self::Useful | Self::Chosen)
    }
}

/// Peers whose standing is remembered, at most. Identities are free, standing is not.
const REMEMBERED: usize = 1024;

/// The standing of peers, connected or not.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    peers: BTreeMap<PeerId, (Standing, u64)>,
    /// Counts changes, so that the peer that earned something last is known.
    changes: u64,
}

impl Standings {
    /// The standing of a peer.
    #[must_use]
    pub fn of(&self, peer: &PeerId) -> Standing {
        self.peers.get(peer).map_or(Standing::Stranger, |(standing, _)| *standing)
    }

    /// Notes what a peer has earned; a standing never falls. Returns whether it rose. When too many
    /// are remembered, the lowest that earned nothing for longest is forgotten.
    pub fn earn(&mut self, peer: &PeerId, standing: Standing) -> bool {
        let before = self.of(peer);
        if standing == Standing::Stranger {
            return false;
        }
        self.changes += 1;
        self.peers.insert(peer.clone(), (before.max(standing), self.changes));
        if self.peers.len() > REMEMBERED {
            let least = self.peers.iter().min_by_key(|(_, (standing, at))| (*standing, *at));
            if let Some(least) = least.map(|(peer, _)| peer.clone()) {
                self.peers.remove(&least);
            }
        }
        standing > before
    }

    /// The number of peers remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether no peer has earned anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
}

/// How places are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Places, at most.
    pub most: usize,
    /// Of these, places that only peers get that have earned them.
    pub kept: usize,
    /// Places of one peer, at most.
    pub per_peer: usize,
    /// Places of one prefix, at most; those of chosen peers do not count.
    pub per_prefix: usize,
}

impl Shares {
    /// The shares of a kind of places with this many: a quarter is kept, and a prefix has half of
    /// the others.
    #[must_use]
    pub const fn of(most: usize, per_peer: usize) -> Self {
        let kept = most / 4;
        let half = (most - kept) / 2;
        Self { most, kept, per_peer, per_prefix: if half == 0 { 1 } else { half } }
    }

    /// Whether there is a free place for a guest, while these have theirs.
    pub(crate) fn admit<'a>(
        &self,
        guest: &Guest,
        taken: impl IntoIterator<Item = &'a Guest>,
    ) -> bool {
        let (mut all, mut strangers, mut of_peer, mut of_prefix) = (0, 0, 0, 0);
        for other in taken {
            all += 1;
            strangers += usize::from(!other.standing.is_earned());
            of_peer += usize::from(other.is_same_peer(guest));
            of_prefix += usize::from(other.shares_prefix(guest));
        }
        all < self.most
            && (guest.standing.is_earned() || strangers < self.most - self.kept)
            && of_peer < self.per_peer
            && (guest.is_chosen() || of_prefix < self.per_prefix)
    }
}

/// The answer to someone who wants a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<K> {
    /// There is one.
    Free,
    /// There is one, and the holder of this one loses it. The caller closes what it holds.
    InsteadOf(K),
    /// There is none.
    Full,
}

/// Who wants a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The peer; `None` while it is not known.
    pub peer: Option<PeerId>,
    /// Where it comes from.
    pub prefix: Prefix,
    /// What it has earned.
    pub standing: Standing,
}

impl Guest {
    fn is_chosen(&self) -> bool {
        self.standing == Standing::Chosen
    }

    fn is_same_peer(&self, other: &Self) -> bool {
        self.peer.is_some() && self.peer == other.peer
    }

    /// Whether both count against the share of one prefix.
    fn shares_prefix(&self, other: &Self) -> bool {
        let counts = self.prefix.is_shared() && !self.is_chosen() && !other.is_chosen();
        counts && self.prefix == other.prefix
    }
}

#[derive(Debug)]
struct Place {
    guest: Guest,
    /// When its holder was last seen to do something.
    active: Time,
    /// Whether it is kept until its holder is done.
    stays: bool,
}

/// Places of one kind, by the names that the caller gives to what it holds.
#[derive(Debug)]
pub struct Places<K> {
    shares: Shares,
    taken: BTreeMap<K, Place>,
}

impl<K: Ord + Copy> Places<K> {
    /// Places that are all free.
    #[must_use]
    pub const fn new(shares: Shares) -> Self {
        Self { shares, taken: BTreeMap::new() }
    }

    /// Takes a place, if there is one for such a guest.
    ///
    /// A peer whose share is used up, or a prefix whose share is, has to give one of its own away.
    /// When all places are taken, the least useful of the most crowded prefix leaves; nobody leaves
    /// for a guest with a lower standing.
    pub fn enter(&mut self, now: Time, key: K, guest: Guest) -> Entry<K> {
        let entry = self.entry(&guest);
        if let Entry::InsteadOf(leaving) = entry {
            self.taken.remove(&leaving);
        }
        if entry != Entry::Full {
            self.taken.insert(key, Place { guest, active: now, stays: false });
        }
        entry
    }

    fn entry(&self, guest: &Guest) -> Entry<K> {
        let guests = || self.taken.values().map(|place| &place.guest);
        if self.shares.admit(guest, guests()) {
            return Entry::Free;
        }
        let Shares { per_peer, per_prefix, .. } = self.shares;
        if guests().filter(|other| other.is_same_peer(guest)).count() >= per_peer {
            return self.instead_of_one(&|other| other.is_same_peer(guest));
        }
        if guests().filter(|other| other.shares_prefix(guest)).count() >= per_prefix {
            let below = rank(guest.standing);
            return self.instead_of_one(&|other| {
                other.shares_prefix(guest) && rank(other.standing) <= below
            });
        }
        let instead = self.instead_of_one(&|other| !other.standing.is_earned());
        if instead == Entry::Full && guest.is_chosen() {
            return self.instead_of_one(&|other| !other.is_chosen());
        }
        instead
    }

    fn instead_of_one(&self, may_leave: &dyn Fn(&Guest) -> bool) -> Entry<K> {
        let taken = self.taken.iter().map(|(key, place)| {
            let least = (place.guest.standing, place.active);
            (*key, place.guest.prefix, (!place.stays && may_leave(&place.guest)).then_some(least))
        });
        leaver(taken).map_or(Entry::Full, Entry::InsteadOf)
    }

    /// The holder of a place left. Returns whether it had one.
    pub fn leave(&mut self, key: &K) -> bool {
        self.taken.remove(key).is_some()
    }

    /// A peer did something, which makes it leave later than those that do nothing, and has this
    /// standing now.
    pub fn saw(&mut self, now: Time, peer: &PeerId, standing: Standing) {
        for place in self.taken.values_mut() {
            if place.guest.peer.as_ref() == Some(peer) {
                place.active = now;
                place.guest.standing = standing;
            }
        }
    }

    /// From now on nobody takes this place: its holder has shown what it needs it for.
    pub fn stays(&mut self, key: &K) {
        if let Some(place) = self.taken.get_mut(key) {
            place.stays = true;
        }
    }

    /// The number of places that are taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether all places are free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

/// Those below the earned standings are alike where newcomers of a prefix compete.
fn rank(standing: Standing) -> Standing {
    if standing.is_earned() { standing } else { Standing::Active }
}

/// Who leaves: of those that may, the one with the lowest rank from the most crowded prefix. One
/// without a rank may not leave, but counts in the crowd. Whoever has no shared prefix is a crowd
/// of one.
pub fn leaver<K: Copy, R: Ord + Copy>(
    taken: impl IntoIterator<Item = (K, Prefix, Option<R>)>,
) -> Option<K> {
    let taken: Vec<_> = taken.into_iter().collect();
    let mut crowds: BTreeMap<Prefix, usize> = BTreeMap::new();
    for (_, prefix, _) in &taken {
        *crowds.entry(*prefix).or_default() += 1;
    }
    let crowd = |prefix: Prefix| match prefix.is_shared() {
        true => crowds.get(&prefix).copied().unwrap_or(1),
        false => 1,
    };
    let may = taken.iter().filter_map(|(key, prefix, rank)| Some((key, *prefix, (*rank)?)));
    may.min_by_key(|(_, prefix, rank)| (Reverse(crowd(*prefix)), *rank)).map(|(key, ..)| *key)
}

#[cfg(test)]
mod tests;
