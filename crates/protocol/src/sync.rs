//! Reconciliation: fetches the entries of followed publishers that a peer has and this node lacks.
//!
//! Owns at most one exchange per peer, and the time of the next one. The initiator pulls: it
//! reconciles over the scope of its own follows, one `Reconcile` per round, then requests the
//! entries it lacks, oldest first, and parents that are still missing. Every exchange ends,
//! whatever the peer answers: rounds, ids and bytes are capped, and each response may contain only
//! what was requested. Entries whose parents are missing wait in a bounded buffer and go to the
//! store again with the next batch. The caller reads the entries of a scope beside this machine.

mod exchange;
pub(crate) mod set;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use perennial_manifest::EntryId;

use self::exchange::{Exchange, Step};
use self::set::{Sealed, Set, Sets};
use crate::batches::Batch;
use crate::catalog::Catalog;
use crate::effect::{Effect, Offence};
use crate::effects::Effects;
use crate::input::{Follows, RequestFailure, Verdict};
use crate::message::{Refusal, Response, Scope};
use crate::peer::PeerId;
use crate::places::{Guest, Shares};
use crate::requests::Purpose;
use crate::time::Time;

/// Time between two regular exchanges with a peer.
pub(crate) const INTERVAL: Duration = Duration::from_secs(180);
/// Time until the next exchange after one that ended early.
pub(crate) const RETRY: Duration = Duration::from_secs(20);
/// Concurrent exchanges, at most.
pub(crate) const EXCHANGES: usize = 4;
/// How peers share the places for exchanges: one is kept for those that have earned it.
const SHARES: Shares = Shares { most: EXCHANGES, kept: 1, per_peer: 1, per_prefix: 2 };
/// Scopes whose entries are being read for exchanges, at most: a peer may go meanwhile.
pub(crate) const SEALING: usize = 2 * EXCHANGES;
/// Rounds of one exchange, at most.
pub(crate) const ROUNDS: u32 = 256;
/// Bytes of one exchange in both directions, at most.
pub(crate) const BYTES: u64 = 256 << 20;
/// Lacking entries that one exchange collects, at most; the next one continues.
pub(crate) const LACKING: usize = 1 << 20;
/// The same, where only some of them will be requested: of publishers that are not followed.
pub(crate) const LACKING_OF_STRANGERS: usize = 1 << 16;
/// Entries waiting for their parents, at most.
pub(crate) const ORPHANS: usize = 4096;
/// Requests for parents in one exchange, at most.
pub(crate) const PARENT_ROUNDS: u32 = 64;
/// Scopes queued per peer besides its regular exchange, at most.
pub(crate) const EXTRA_SCOPES: usize = 16;

/// Records that the machine keeps for this many peers, at most.
pub(crate) const fn bound(peers: usize) -> usize {
    set::SETS + SEALING + peers * EXTRA_SCOPES + EXCHANGES * LACKING
}

/// The result of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) peer: PeerId,
    pub(crate) offence: Option<Offence>,
}

#[derive(Debug)]
struct Peer {
    /// Time of the next regular exchange.
    due: Time,
    /// Further scopes to reconcile, and how many entries to ask for in each.
    extra: VecDeque<(Scope, u64)>,
    exchange: Option<Exchange>,
}

/// Reconciles with every peer, a few at a time.
#[derive(Debug, Default)]
pub(crate) struct Reconciler {
    peers: BTreeMap<PeerId, Peer>,
    sets: Sets,
    /// Scopes whose entries are being read.
    sealing: Vec<Scope>,
    /// Peers that are due and wait for a place.
    blocked: BTreeSet<PeerId>,
}

impl Reconciler {
    pub(crate) fn connected(&mut self, now: Time, peer: &PeerId) {
        self.peers.entry(peer.clone()).or_insert(Peer {
            due: now,
            extra: VecDeque::new(),
            exchange: None,
        });
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) -> Option<Ended> {
        self.blocked.remove(peer);
        let had = self.peers.remove(peer)?;
        had.exchange.is_some().then(|| Ended { peer: peer.clone(), offence: None })
    }

    /// Makes every peer due, because the follows have changed.
    pub(crate) fn all_due(&mut self, now: Time) {
        for peer in self.peers.values_mut() {
            peer.due = now;
        }
    }

    /// Queues an exchange over this scope, which asks for at most this many entries. Returns
    /// whether it will take place.
    pub(crate) fn want(&mut self, peer: &PeerId, scope: Scope, most: u64) -> bool {
        let Some(found) = self.peers.get_mut(peer) else { return false };
        if most == 0 {
            return false;
        }
        if let Some((_, queued)) = found.extra.iter_mut().find(|(queued, _)| *queued == scope) {
            *queued = queued.saturating_add(most);
            return true;
        }
        if found.extra.len() >= EXTRA_SCOPES {
            return false;
        }
        found.extra.push_back((scope, most));
        true
    }

    /// Starts the exchanges that are due, as far as there are places. An exchange that brings too
    /// little for its time gives its place to one that waits.
    pub(crate) fn start_due(
        &mut self,
        follows: &Follows,
        guest: &dyn Fn(&PeerId) -> Guest,
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) -> Vec<Ended> {
        let mut ended = self.start(follows, guest, catalog, out);
        if self.blocked.is_empty() {
            return ended;
        }
        let is_slow = |peer: &Peer| {
            peer.exchange.as_ref().and_then(Exchange::patience).is_some_and(|end| end <= out.now)
        };
        let slow = self.peers.iter().filter(|(_, peer)| is_slow(peer));
        let slow: Vec<PeerId> = slow.map(|(id, _)| id.clone()).collect();
        if slow.is_empty() {
            return ended;
        }
        for id in slow {
            ended.extend(self.end(&id, false, None, out));
            if let Some(peer) = self.peers.get_mut(&id) {
                // Not soon: it would only take the place again.
                peer.due = out.now + INTERVAL;
            }
        }
        ended.extend(self.start(follows, guest, catalog, out));
        ended
    }

    fn start(
        &mut self,
        follows: &Follows,
        guest: &dyn Fn(&PeerId) -> Guest,
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) -> Vec<Ended> {
        let mut ended = Vec::new();
        let is_waiting = |peer: &Peer| {
            peer.exchange.is_none() && (peer.due <= out.now || !peer.extra.is_empty())
        };
        let waiting = self.peers.iter().filter(|(_, peer)| is_waiting(peer));
        let mut waiting: Vec<(Reverse<bool>, Time, PeerId, Guest)> = waiting
            .map(|(id, peer)| {
                let guest = guest(id);
                (Reverse(guest.standing.is_earned()), peer.due, id.clone(), guest)
            })
            .collect();
        waiting.sort_unstable_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
        self.blocked.clear();
        for (_, _, id, arriving) in waiting {
            let running = self.peers.iter().filter(|(_, peer)| peer.exchange.is_some());
            let running: Vec<Guest> = running.map(|(id, _)| guest(id)).collect();
            if !SHARES.admit(&arriving, &running) {
                self.blocked.insert(id);
                continue;
            }
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let mut scopes = std::mem::take(&mut peer.extra);
            if peer.due <= out.now {
                peer.due = out.now + INTERVAL;
                let follows = follows.scopes().into_iter().filter(|scope| match scope {
                    Scope::All => true,
                    Scope::Publishers(some) => !some.is_empty(),
                });
                scopes.extend(follows.map(|scope| (scope, u64::MAX)));
            }
            if scopes.is_empty() {
                continue;
            }
            peer.exchange = Some(Exchange::new(out.now, scopes));
            ended.extend(self.drive(&id, catalog, out));
        }
        ended
    }

    /// Handles a response to a request of this machine.
    pub(crate) fn response(
        &mut self,
        from: &PeerId,
        result: Result<Response, RequestFailure>,
        follows: &Follows,
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) -> Option<Ended> {
        let exchange = self.peers.get_mut(from)?.exchange.as_mut()?;
        let fine = match result {
            Ok(Response::Refused { reason: Refusal::Busy })
            | Err(
                RequestFailure::Timeout
                | RequestFailure::Disconnected
                | RequestFailure::Unsupported,
            ) => Err(None),
            Err(RequestFailure::Malformed) => Err(Some(Offence::BadResponse)),
            Ok(response) => exchange
                .response(response, follows, catalog)
                .map_err(|_| Some(Offence::BadResponse)),
        };
        match fine {
            Ok(()) => self.drive(from, catalog, out),
            Err(offence) => self.end(from, false, offence, out),
        }
    }

    /// Handles the store's verdicts on a batch of an exchange.
    pub(crate) fn stored(
        &mut self,
        from: &PeerId,
        verdicts: &[(EntryId, Verdict)],
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) -> Option<Ended> {
        self.peers.get_mut(from)?.exchange.as_mut()?.stored(out.now, verdicts);
        self.drive(from, catalog, out)
    }

    /// Handles the entries of a scope that were read for exchanges; `None` if they could not be.
    pub(crate) fn sealed(
        &mut self,
        scope: &Scope,
        sealed: Option<Sealed>,
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) -> Vec<Ended> {
        self.sealing.retain(|other| other != scope);
        let set = sealed.as_ref().map(Sealed::set);
        let waited = |(id, peer): (&PeerId, &mut Peer)| {
            peer.exchange.as_mut()?.sealed(out.now, scope, set).then(|| id.clone())
        };
        let waiting: Vec<PeerId> = self.peers.iter_mut().filter_map(waited).collect();
        self.keep(out.now, sealed);
        waiting.iter().filter_map(|peer| self.drive(peer, catalog, out)).collect()
    }

    /// The scope of the exchange with a peer, if there is one.
    pub(crate) fn scope_of(&self, peer: &PeerId) -> Option<&Scope> {
        self.peers.get(peer)?.exchange.as_ref()?.scope()
    }

    /// The entries of a scope, if they are at hand.
    pub(crate) fn set(&self, now: Time, scope: &Scope, catalog: &dyn Catalog) -> Option<Set> {
        self.sets.get(now, scope, catalog)
    }

    /// Keeps the entries of a scope for later rounds.
    pub(crate) fn keep(&mut self, now: Time, sealed: Option<Sealed>) {
        if let Some(sealed) = sealed {
            self.sets.keep(now, sealed);
        }
    }

    pub(crate) fn next(&self) -> Time {
        let running = self.peers.values().filter_map(|peer| peer.exchange.as_ref());
        // Where others wait, whatever takes too long has been ended at this moment.
        let slow = running.filter(|_| !self.blocked.is_empty()).filter_map(Exchange::patience);
        let idle = self
            .peers
            .iter()
            .filter(|(id, peer)| peer.exchange.is_none() && !self.blocked.contains(*id));
        let due = idle.map(|(_, peer)| match peer.extra.is_empty() {
            true => peer.due,
            false => Time::ZERO,
        });
        slow.chain(due).min().unwrap_or(Time::NEVER)
    }

    pub(crate) fn len(&self) -> usize {
        let of_peer =
            |peer: &Peer| peer.extra.len() + peer.exchange.as_ref().map_or(0, Exchange::len);
        self.sets.len() + self.sealing.len() + self.peers.values().map(of_peer).sum::<usize>()
    }

    /// Advances an exchange until it waits for something or ends.
    fn drive(
        &mut self,
        peer: &PeerId,
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) -> Option<Ended> {
        let exchange = self.peers.get_mut(peer)?.exchange.as_mut()?;
        match exchange.step(out.now, &self.sets, catalog) {
            Step::Wait => None,
            Step::Seal(scope) if self.sealing.contains(&scope) => None,
            Step::Seal(_) if self.sealing.len() >= SEALING => self.end(peer, false, None, out),
            Step::Seal(scope) => {
                self.sealing.push(scope.clone());
                out.push(Effect::Seal { scope });
                None
            }
            Step::Ask(request) => {
                if out.send(peer, Purpose::Sync, request) {
                    return None;
                }
                self.end(peer, false, None, out)
            }
            Step::Store(entries) => {
                out.store(peer, entries, Batch::Sync);
                None
            }
            Step::Done { complete } => self.end(peer, complete, None, out),
        }
    }

    fn end(
        &mut self,
        peer: &PeerId,
        complete: bool,
        offence: Option<Offence>,
        out: &mut Effects<'_>,
    ) -> Option<Ended> {
        let found = self.peers.get_mut(peer)?;
        let exchange = found.exchange.take()?;
        if !complete {
            found.due = found.due.min(out.now + if offence.is_some() { INTERVAL } else { RETRY });
        }
        let (new, sent, received) = exchange.totals();
        out.push(Effect::Synced { peer: peer.clone(), new, sent, received, complete });
        Some(Ended { peer: peer.clone(), offence })
    }
}

#[cfg(test)]
mod tests;
