//! The calls of the event loop to other nodes: dialling peers, and calls that were refused because
//! both ends have one key.

use std::time::Duration;

use perennial_protocol::PeerId;
use perennial_swarm::DialError;
use tokio::time::{Instant, sleep, timeout};

use super::EventLoop;
use super::dial::{Dialled, Due, patience_after_refusal};
use super::message::Message;
use super::overview::Dial;
use super::twin::{End, PAIR};

impl EventLoop {
    /// Dials the peers that are not connected, and lifts the bans that have expired.
    pub(super) async fn redial(&mut self) {
        for peer in self.banned.expire(self.now()) {
            let _ = self.swarm.ban(peer, false).await;
        }
        for due in self.dial.due(&self.connected()) {
            self.dial(due);
        }
        self.tell_twin();
    }

    /// Records one end of a refused call between two nodes with this node's key.
    pub(super) fn refused_call(&mut self, end: End, address: &str) {
        if self.mirror.hear(Instant::now(), end, address) {
            let network = self.network.clone();
            self.tasks.spawn(async move {
                sleep(PAIR).await;
                network.send(Message::SettleTwin).await;
            });
        }
        self.tell_twin();
    }

    /// Publishes whether another node uses this node's keys.
    pub(super) fn tell_twin(&self) {
        let twin = self.mirror.twin(Instant::now()).map(str::to_owned);
        let doubtful = self.mirror.is_doubtful();
        self.overview.send_if_modified(|overview| {
            let changed = (&overview.twin, overview.may_have_twin) != (&twin, doubtful);
            if let (None, Some(address)) = (&overview.twin, &twin) {
                tracing::error!(
                    %address,
                    "another node uses this node's keys; nothing is signed while both run. Stop \
                     one of them; a copy that is to live on needs keys of its own"
                );
            }
            (overview.twin, overview.may_have_twin) = (twin, doubtful);
            changed
        });
    }

    pub(super) fn connected(&self) -> Vec<PeerId> {
        self.overview.borrow().peers.keys().cloned().collect()
    }

    /// Dials the addresses that one given address stands for, until a peer answers.
    pub(super) fn dial(&self, due: Due) {
        let Due { given, addresses } = due;
        let (swarm, network) = (self.swarm.clone(), self.network.clone());
        self.tasks.spawn(async move {
            let mut outcome = Err(DialError::NoRoute);
            let mut patience = Duration::MAX;
            for (at, address) in addresses.iter().enumerate() {
                let began = Instant::now();
                let dialled = timeout(patience, swarm.dial(address)).await;
                let dialled = dialled.unwrap_or(Err(DialError::TimedOut));
                if dialled == Err(DialError::Refused) {
                    patience = patience_after_refusal(began.elapsed());
                }
                if dialled == Err(DialError::Myself) {
                    network.send(Message::OwnKeyAnswered(address.to_string())).await;
                }
                // The first address is the one that the user expects, so its failure is reported.
                if dialled.is_ok() || at == 0 {
                    outcome = dialled;
                }
                if outcome.is_ok() {
                    break;
                }
            }
            network.send(Message::Dialled { given, outcome }).await;
        });
    }

    /// Records the outcome of dialling an address, and logs it if it is new.
    pub(super) fn dialled(&mut self, given: String, outcome: Dialled) {
        self.dial.ended(&given, &outcome);
        let dial = match outcome {
            Ok(peer) => Dial::Reached(peer),
            Err(error) => Dial::Failed(error),
        };
        self.overview.send_modify(|overview| {
            let before = overview.dials.insert(given.clone(), dial.clone());
            if let (Dial::Failed(error), true) = (&dial, before.as_ref() != Some(&dial)) {
                tracing::warn!(peer = %given, %error, "a peer is not connected; it is tried again");
            }
        });
    }
}
