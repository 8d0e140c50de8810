//! Temporarily banned peers and the end of each ban.
//!
//! Holds at most [`MOST`] bans; when full, the ban that expires soonest is lifted early.

use std::collections::HashMap;

use perennial_protocol::{PeerId, Time};

/// Concurrent bans, at most: peer ids can be created at no cost.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Bans(HashMap<PeerId, Time>);

impl Bans {
    /// Bans a peer. Returns the peer whose ban was lifted to make room, if any.
    pub(super) fn add(&mut self, peer: PeerId, until: Time) -> Option<PeerId> {
        let full = self.0.len() >= MOST && !self.0.contains_key(&peer);
        let first = self.0.iter().min_by_key(|(_, until)| **until).filter(|_| full);
        let first = first.map(|(peer, _)| peer.clone());
        if let Some(first) = &first {
            self.0.remove(first);
        }
        self.0.insert(peer, until);
        first
    }

    /// Removes expired bans and returns their peers.
    pub(super) fn expire(&mut self, now: Time) -> Vec<PeerId> {
        self.0.extract_if(|_, until| *until <= now).map(|(peer, _)| peer).collect()
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.0.contains_key(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: usize) -> PeerId {
        format!("p{n}").parse().unwrap()
    }

    #[test]
    fn a_ban_ends_and_bans_are_bounded() {
        let mut bans = Bans::default();
        for n in 0..MOST {
            assert_eq!(bans.add(peer(n), Time::from_millis(1000 + n as u64)), None);
        }
        assert_eq!(bans.add(peer(0), Time::from_millis(9000)), None, "again, for longer");
        assert_eq!(
            bans.add(peer(MOST), Time::from_millis(9000)),
            Some(peer(1)),
            "the first to end makes room"
        );
        assert!(bans.expire(Time::from_millis(1001)).is_empty());
        assert_eq!(bans.expire(Time::from_millis(1002)), [peer(2)]);
        assert!(!bans.contains(&peer(2)) && bans.contains(&peer(3)));
        assert_eq!(bans.expire(Time::from_millis(9000)).len(), MOST - 1);
    }
}
