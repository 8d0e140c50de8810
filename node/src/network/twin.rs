//! Notices another node with this node's own key: a cloned machine, or a backup restored beside the
//! living original.
//!
//! libp2p refuses a connection between two nodes of one peer id. The one that calls always learns
//! of it; the one that is called hears a call that fails, and not always whose it was. A node that
//! calls itself, by a name or from outside, hears both ends; a call of which it hears one end went
//! to, or came from, a twin.

use std::time::Duration;

use tokio::time::Instant;

/// How long the two ends of one call may be apart.
pub(super) const PAIR: Duration = Duration::from_secs(3);
/// How long a twin is remembered. Whichever of the two dials tries again every 15 s.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Ends of calls kept, at most.
const ENDS: usize = 16;

/// One end of a refused call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// This node called, and its own key answered.
    Dialled,
    /// A caller with this node's key.
    Called,
    /// A call that failed early; usually a stranger's.
    Failed,
}

/// An end that waits for the other one, with the other side's address.
#[derive(Debug, Clone)]
struct Heard {
    at: Instant,
    end: End,
    address: String,
}

/// The refused calls between this node and itself or its twin.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    heard: Vec<Heard>,
    twin: Option<(String, Instant)>,
}

impl Mirror {
    /// Records one end of a call. Returns whether it is to be settled after [`PAIR`].
    pub(super) fn hear(&mut self, now: Instant, end: End, address: &str) -> bool {
        let is_other = |heard: &Heard| {
            (heard.end == End::Dialled) != (end == End::Dialled)
                && now.duration_since(heard.at) <= PAIR
        };
        if let Some(other) = self.heard.iter().position(is_other) {
            self.heard.remove(other);
            return false;
        }
        if self.heard.len() >= ENDS {
            // Strangers' calls make room for the others.
            let Some(failed) = self.heard.iter().position(|heard| heard.end == End::Failed) else {
                return false;
            };
            self.heard.remove(failed);
        }
        self.heard.push(Heard { at: now, end, address: address.to_owned() });
        end != End::Failed
    }

    /// Judges the calls whose other end should have been heard of by now.
    pub(super) fn settle(&mut self, now: Instant) {
        let is_due = |heard: &mut Heard| now.duration_since(heard.at) >= PAIR;
        for heard in self.heard.extract_if(.., is_due) {
            if heard.end != End::Failed {
                self.twin = Some((heard.address, now));
            }
        }
    }

    /// Whether a call waits to be judged.
    pub(super) fn is_doubtful(&self) -> bool {
        self.heard.iter().any(|heard| heard.end != End::Failed)
    }

    /// The address of a twin seen lately.
    pub(super) fn twin(&self, now: Instant) -> Option<&str> {
        let lately = |(_, at): &&(String, Instant)| now.duration_since(*at) <= REMEMBERED;
        self.twin.as_ref().filter(lately).map(|(address, _)| address.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_one_end_reveals_a_twin_that_is_forgotten_in_time() {
        let now = Instant::now();
        for end in [End::Dialled, End::Called] {
            let mut mirror = Mirror::default();
            assert!(mirror.hear(now, end, "there"));
            mirror.settle(now + PAIR / 2);
            assert!(mirror.is_doubtful() && mirror.twin(now).is_none());
            mirror.settle(now + PAIR);
            assert_eq!(mirror.twin(now + PAIR), Some("there"));
            assert!(!mirror.is_doubtful());
            assert_eq!(mirror.twin(now + PAIR + REMEMBERED * 2), None);
        }
    }

    #[test]
    fn a_call_to_oneself_has_two_ends_and_reveals_no_twin() {
        let now = Instant::now();
        let mut mirror = Mirror::default();
        for (one, other) in
            [(End::Failed, End::Dialled), (End::Dialled, End::Failed), (End::Called, End::Dialled)]
        {
            mirror.hear(now, one, "here");
            assert!(!mirror.hear(now + PAIR / 2, other, "here"));
        }
        assert!(!mirror.hear(now, End::Failed, "stranger"));
        mirror.settle(now + PAIR * 2);
        assert_eq!(mirror.twin(now + PAIR * 2), None);
        assert!(mirror.heard.is_empty());
    }

    #[test]
    fn strangers_calls_are_bounded_and_hide_no_twin() {
        let mut mirror = Mirror::default();
        let now = Instant::now();
        for _ in 0..100 {
            mirror.hear(now, End::Failed, "stranger");
        }
        assert_eq!(mirror.heard.len(), ENDS);
        mirror.hear(now + PAIR * 2, End::Called, "there");
        mirror.settle(now + PAIR * 3);
        assert_eq!(mirror.twin(now + PAIR * 3), Some("there"));
    }
}
