//! The addresses that this node keeps connections to.
//!
//! Decides which addresses are due, and remembers which peer answered at each, so that an address
//! without a peer id is dialled again when that peer leaves. The event loop dials. Addresses added
//! at run time are bounded.

use std::time::Duration;

use perennial_protocol::PeerId;
use perennial_swarm::{DialError, PeerAddress, PeerAddressError};
use tokio::sync::oneshot;

/// Most addresses kept: each is dialled repeatedly.
const MOST: usize = 64;

/// How long the other transport of a `HOST:PORT` may take to answer where the first was refused
/// after `took`. The machine is there, so an answer comes in a few times what its refusal took; a
/// port that nothing listens on gives none over UDP, and waiting for it would be waiting in vain.
pub(super) fn patience_after_refusal(took: Duration) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(5);
    took.saturating_mul(8).clamp(SHORTEST, LONGEST)
}

/// The outcome of dialling an address: the peer that answered, or why there is none.
pub(crate) type Dialled = Result<PeerId, DialError>;

/// An address as the user gave it, and where it leads.
#[derive(Debug)]
struct Target {
    given: String,
    /// The addresses it stands for, in the order in which they are tried.
    addresses: Vec<PeerAddress>,
    /// The peer that it names, or that answered last.
    peer: Option<PeerId>,
    dialling: bool,
    /// Tasks that wait for the outcome.
    waiting: Vec<oneshot::Sender<Dialled>>,
}

impl Target {
    fn new(given: &str) -> Result<Self, PeerAddressError> {
        let addresses = PeerAddress::all_of(given)?;
        let peer = addresses.iter().find_map(PeerAddress::peer_id);
        let (given, waiting) = (given.to_owned(), Vec::new());
        Ok(Self { given, addresses, peer, dialling: false, waiting })
    }

    fn is_connected(&self, connected: &[PeerId]) -> bool {
        self.peer.as_ref().is_some_and(|peer| connected.contains(peer))
    }
}

/// Addresses of peers, from the configuration and from `connect` calls.
#[derive(Debug, Default)]
pub(crate) struct DialList(Vec<Target>);

/// An address to dial now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) given: String,
    pub(super) addresses: Vec<PeerAddress>,
}

impl DialList {
    /// Takes all configured addresses, without a limit.
    ///
    /// # Errors
    /// When no peer can be dialled at one of them.
    pub(crate) fn new(configured: &[String]) -> Result<Self, PeerAddressError> {
        configured.iter().map(|given| Target::new(given)).collect::<Result<_, _>>().map(Self)
    }

    /// The addresses as given.
    pub(super) fn given(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|target| target.given.as_str())
    }

    /// Adds an address, or finds it; `outcome` gets the result of the dial. Returns the address if
    /// it is to be dialled.
    pub(super) fn add(
        &mut self,
        given: &str,
        connected: &[PeerId],
        outcome: oneshot::Sender<Dialled>,
    ) -> Option<Due> {
        let known = self.0.iter().position(|target| target.given == given);
        let at = match known {
            Some(at) => at,
            None => {
                let added = match Target::new(given) {
                    Ok(_) if self.0.len() >= MOST => Err(DialError::Denied),
                    Ok(target) => Ok(target),
                    Err(error) => Err(DialError::Other(error.to_string())),
                };
                match added {
                    Ok(target) => self.0.push(target),
                    // The asking task may have left.
                    Err(error) => {
                        let _ = outcome.send(Err(error));
                        return None;
                    }
                }
                self.0.len() - 1
            }
        };
        let target = &mut self.0[at];
        if let Some(peer) = target.peer.clone().filter(|peer| connected.contains(peer)) {
            let _ = outcome.send(Ok(peer));
            return None;
        }
        target.waiting.push(outcome);
        target.due(connected)
    }

    /// The addresses to dial, given the connected peers.
    pub(super) fn due(&mut self, connected: &[PeerId]) -> Vec<Due> {
        self.0.iter_mut().filter_map(|target| target.due(connected)).collect()
    }

    /// Records the outcome of a dial.
    pub(super) fn ended(&mut self, given: &str, outcome: &Dialled) {
        let Some(target) = self.0.iter_mut().find(|target| target.given == given) else { return };
        target.dialling = false;
        if let Ok(peer) = outcome {
            target.peer = Some(peer.clone());
        }
        for waiting in target.waiting.drain(..) {
            let _ = waiting.send(outcome.clone());
        }
    }
}

impl Target {
    fn due(&mut self, connected: &[PeerId]) -> Option<Due> {
        if self.dialling || self.is_connected(connected) {
            return None;
        }
        self.dialling = true;
        Some(Due { given: self.given.clone(), addresses: self.addresses.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    const NAMELESS: &str = "/ip4/192.0.2.2/tcp/4407";

    fn peers(ids: &[&str]) -> Vec<PeerId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    fn texts(due: &[Due]) -> Vec<&str> {
        due.iter().map(|due| due.given.as_str()).collect()
    }

    #[test]
    fn a_refusal_tells_how_far_the_machine_is() {
        let millis = Duration::from_millis;
        assert_eq!(patience_after_refusal(millis(1)), millis(500), "a machine nearby");
        assert_eq!(patience_after_refusal(millis(200)), millis(1600));
        assert_eq!(patience_after_refusal(millis(9000)), millis(5000), "a slow name service");
    }

    #[test]
    fn a_peer_that_is_connected_is_not_dialled() {
        let named = format!("/ip4/192.0.2.1/tcp/4407/p2p/{PEER}");
        let mut list = DialList::new(&[named.clone(), NAMELESS.into()]).unwrap();
        assert_eq!(texts(&list.due(&peers(&[PEER]))), [NAMELESS]);
        assert_eq!(texts(&list.due(&[])), [named.as_str()], "the other one is being dialled");
        assert!(DialList::new(&["nonsense".into()]).is_err());
    }

    #[test]
    fn an_address_without_a_peer_id_is_dialled_again_when_its_peer_leaves() {
        let mut list = DialList::new(&[NAMELESS.into()]).unwrap();
        assert_eq!(texts(&list.due(&peers(&["p2"]))), [NAMELESS], "though others are connected");
        list.ended(NAMELESS, &Ok("p1".parse().unwrap()));
        assert_eq!(texts(&list.due(&peers(&["p1"]))), [""; 0]);
        assert_eq!(texts(&list.due(&peers(&["p2", "p3"]))), [NAMELESS]);
        list.ended(NAMELESS, &Err(DialError::Refused));
        assert_eq!(texts(&list.due(&peers(&["p2"]))), [NAMELESS], "tried for ever");
    }

    #[test]
    fn addresses_are_unique_bounded_and_their_outcome_is_reported() {
        let mut list = DialList::default();
        for port in 1..=2 * MOST {
            let (outcome, _) = oneshot::channel();
            list.add(&format!("192.0.2.1:{port}"), &[], outcome);
            let (outcome, _) = oneshot::channel();
            list.add(&format!("192.0.2.1:{port}"), &[], outcome);
        }
        assert_eq!(list.given().count(), MOST);
        let mut full = oneshot::channel();
        assert!(list.add("192.0.2.1:4407", &[], full.0).is_none());
        assert_eq!(full.1.try_recv(), Ok(Err(DialError::Denied)));

        let mut list = DialList::default();
        let (mut one, mut two) = (oneshot::channel(), oneshot::channel());
        assert_eq!(list.add("192.0.2.1:4407", &[], one.0).unwrap().addresses.len(), 2);
        assert!(list.add("192.0.2.1:4407", &[], two.0).is_none(), "it is being dialled");
        list.ended("192.0.2.1:4407", &Err(DialError::TimedOut));
        assert_eq!(one.1.try_recv(), Ok(Err(DialError::TimedOut)));
        assert_eq!(two.1.try_recv(), Ok(Err(DialError::TimedOut)));
        let mut bad = oneshot::channel();
        assert!(list.add("nonsense", &[], bad.0).is_none());
        assert!(matches!(bad.1.try_recv(), Ok(Err(DialError::Other(_)))));
    }
}
