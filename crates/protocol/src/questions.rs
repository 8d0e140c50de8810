//! Requests of peers, which are answered beside the event loop.
//!
//! Owns the places for answers under way, and the queue for them. Address prefixes take turns, and
//! in each of them its peers, so that no number of requests, and no number of peers at one place,
//! keeps others waiting for more than their turn.

use std::collections::{BTreeMap, VecDeque};

use crate::answer::Question;
use crate::input::Token;
use crate::peer::PeerId;
use crate::prefix::Prefix;

/// Answers under way, at most.
pub(crate) const AT_ONCE: usize = 4;
/// Requests of one peer that wait, at most.
pub(crate) const PER_PEER: usize = 64;
/// Requests that wait of peers of one address prefix, at most.
pub(crate) const PER_PREFIX: usize = 256;
/// Requests that wait, at most.
pub(crate) const WAITING: usize = 1024;

/// Peers that share their turns: those of one prefix, or one whose prefix is not known.
#[derive(Debug, PartialEq, Eq)]
enum Neighbours {
    Of(Prefix),
    Alone(PeerId),
}

#[derive(Debug)]
struct Group {
    neighbours: Neighbours,
    /// The next one first.
    peers: VecDeque<(PeerId, VecDeque<(Token, Question)>)>,
}

impl Group {
    fn len(&self) -> usize {
        self.peers.iter().map(|(_, waiting)| waiting.len()).sum()
    }
}

/// A question whose turn it is.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) peer: PeerId,
    pub(crate) prefix: Prefix,
    pub(crate) token: Token,
    pub(crate) question: Question,
}

/// The questions of all peers.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// With the peer that asked, and its prefix.
    under_way: BTreeMap<Token, (PeerId, Prefix)>,
    /// The next one first.
    waiting: VecDeque<Group>,
}

impl Questions {
    /// Queues a question. Returns whether there is room for it.
    pub(crate) fn push(
        &mut self,
        from: &PeerId,
        prefix: Prefix,
        token: Token,
        question: Question,
    ) -> bool {
        let neighbours = match prefix {
            known if known != Prefix::default() => Neighbours::Of(known),
            _ => Neighbours::Alone(from.clone()),
        };
        if self.waiting.iter().map(Group::len).sum::<usize>() >= WAITING {
            return false;
        }
        let at = match self.waiting.iter().position(|group| group.neighbours == neighbours) {
            Some(at) => at,
            None => {
                self.waiting.push_back(Group { neighbours, peers: VecDeque::new() });
                self.waiting.len() - 1
            }
        };
        let Some(group) = self.waiting.get_mut(at) else { return false };
        if group.len() >= PER_PREFIX {
            return false;
        }
        let waiting = match group.peers.iter().position(|(peer, _)| peer == from) {
            Some(at) => group.peers.get_mut(at),
            None => {
                group.peers.push_back((from.clone(), VecDeque::new()));
                group.peers.back_mut()
            }
        };
        let Some((_, waiting)) = waiting else { return false };
        let room = waiting.len() < PER_PEER;
        if room {
            waiting.push_back((token, question));
        }
        room
    }

    /// The next question to answer, if there is one and a place for it.
    pub(crate) fn next(&mut self) -> Option<Turn> {
        if self.under_way.len() >= AT_ONCE {
            return None;
        }
        let mut group = self.waiting.pop_front()?;
        let (peer, mut waiting) = group.peers.pop_front()?;
        let (token, question) = waiting.pop_front()?;
        let prefix = match group.neighbours {
            Neighbours::Of(prefix) => prefix,
            Neighbours::Alone(_) => Prefix::default(),
        };
        if !waiting.is_empty() {
            group.peers.push_back((peer.clone(), waiting));
        }
        if !group.peers.is_empty() {
            self.waiting.push_back(group);
        }
        self.under_way.insert(token, (peer.clone(), prefix));
        Some(Turn { peer, prefix, token, question })
    }

    /// An answer was given. Returns the peer that asked, and its prefix.
    pub(crate) fn answered(&mut self, token: Token) -> Option<(PeerId, Prefix)> {
        self.under_way.remove(&token)
    }

    /// Drops what a peer has asked.
    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        for group in &mut self.waiting {
            group.peers.retain(|(other, _)| other != peer);
        }
        self.waiting.retain(|group| !group.peers.is_empty());
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.len() + self.waiting.iter().map(Group::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use perennial_manifest::Sha256Digest;

    use super::*;
    use crate::message::Request;

    fn question() -> Question {
        Question::new(Request::ResolveSha256 { digest: Sha256Digest::from_bytes([7; 32]) })
    }

    fn peer(name: &str) -> PeerId {
        name.parse().unwrap()
    }

    /// The tokens in the order in which they are answered, one after the other.
    fn order(questions: &mut Questions) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(Turn { peer, prefix, token, .. }) = questions.next() {
            order.push(token.0);
            assert_eq!(questions.answered(token), Some((peer, prefix)));
        }
        order
    }

    #[test]
    fn places_are_few_and_come_back() {
        let mut questions = Questions::default();
        for token in 0..10 {
            assert!(questions.push(&peer("p"), Prefix(1), Token(token), question()));
        }
        let begun: Vec<u64> =
            std::iter::from_fn(|| questions.next()).map(|turn| turn.token.0).collect();
        assert_eq!(begun, [0, 1, 2, 3]);
        assert_eq!(questions.answered(Token(2)), Some((peer("p"), Prefix(1))));
        assert_eq!(questions.answered(Token(99)), None);
        assert_eq!(questions.next().map(|turn| turn.token), Some(Token(4)));
        assert!(questions.next().is_none());
        questions.disconnected(&peer("p"));
        assert_eq!(questions.len(), AT_ONCE);
    }

    #[test]
    fn prefixes_take_turns_and_in_each_of_them_its_peers() {
        let mut questions = Questions::default();
        let asked = [
            ("a", 1, 0..6),
            ("b", 1, 10..12),
            ("c", 2, 20..22),
            ("near", 0, 30..32),
            ("other", 0, 40..41),
        ];
        for (name, prefix, tokens) in asked {
            for token in tokens {
                assert!(questions.push(&peer(name), Prefix(prefix), Token(token), question()));
            }
        }
        let expected = [0, 20, 30, 40, 10, 21, 31, 1, 11, 2, 3, 4, 5];
        assert_eq!(order(&mut questions), expected);
        assert_eq!(questions.len(), 0);
    }

    #[test]
    fn what_waits_is_bounded_for_a_peer_for_a_prefix_and_in_all() {
        let mut questions = Questions::default();
        let mut push = |name: &str, prefix: u64, many: usize| {
            let push =
                |n: usize| questions.push(&peer(name), Prefix(prefix), Token(n as u64), question());
            (0..many).map(push).filter(|taken| *taken).count()
        };
        assert_eq!(push("a", 1, 100), PER_PEER);
        let others: usize = (0..10).map(|n| push(&format!("b{n}"), 1, 100)).sum();
        assert_eq!(others, PER_PREFIX - PER_PEER);
        let far: usize = (0..100).map(|n| push(&format!("c{n}"), 2 + n, 100)).sum();
        assert_eq!(far, WAITING - PER_PREFIX);
        assert_eq!(push("late", 500, 1), 0);
    }
}
