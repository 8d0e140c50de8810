//! The reputation of peers: points for each offence, forgiven over time; a ban at the limit.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::effect::Offence;
use crate::peer::PeerId;
use crate::time::Time;

/// Points at which a peer is banned.
pub(crate) const LIMIT: u64 = 100;
/// Time in which one point is forgiven.
pub(crate) const FORGIVE: Duration = Duration::from_secs(6);
/// How long a ban lasts.
pub(crate) const BAN: Duration = Duration::from_secs(600);
/// Peers remembered, at most; when full, the peer with the fewest points is forgotten.
pub(crate) const PEERS: usize = 4096;

const fn points(offence: Offence) -> u64 {
    match offence {
        Offence::BadBytes => 50,
        Offence::BadResponse => 25,
        Offence::BadGossip | Offence::Flood => 10,
        Offence::FalseClaim => 5,
        Offence::Stalled => 2,
    }
}

/// The points of each peer that has any, and when they were last updated.
#[derive(Debug, Default)]
pub(crate) struct Reputation {
    peers: BTreeMap<PeerId, (u64, Time)>,
}

impl Reputation {
    /// Records an offence. Returns the end of the ban once the points reach the limit.
    pub(crate) fn note(&mut self, now: Time, peer: &PeerId, offence: Offence) -> Option<Time> {
        if self.peers.len() >= PEERS && !self.peers.contains_key(peer) {
            let least = self
                .peers
                .iter()
                .min_by_key(|(_, (points, _))| *points)
                .map(|(least, _)| least.clone());
            least.map(|least| self.peers.remove(&least));
        }
        let (old, at) = self.peers.get(peer).copied().unwrap_or((0, now));
        let forgiven =
            u64::try_from(now.since(at).as_millis() / FORGIVE.as_millis()).unwrap_or(u64::MAX);
        let sum = old.saturating_sub(forgiven) + points(offence);
        if sum >= LIMIT {
            self.peers.remove(peer);
            return Some(now + BAN);
        }
        self.peers.insert(peer.clone(), (sum, now));
        None
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Reputation;
    use crate::effect::Offence;
    use crate::time::Time;

    #[test]
    fn offences_add_up_and_are_forgiven() {
        let mut reputation = Reputation::default();
        let peer = "p".parse().unwrap();
        assert_eq!(reputation.note(Time::ZERO, &peer, Offence::BadBytes), None);
        assert!(reputation.note(Time::ZERO, &peer, Offence::BadBytes).is_some());
        for n in 0..50 {
            let now = Time::from_millis(n * 3_600_000);
            assert_eq!(reputation.note(now, &peer, Offence::BadBytes), None, "an hour forgives");
        }
        for n in 0..10_000 {
            reputation.note(Time::ZERO, &format!("p{n}").parse().unwrap(), Offence::Stalled);
        }
        assert!(reputation.len() <= super::PEERS);
    }
}
