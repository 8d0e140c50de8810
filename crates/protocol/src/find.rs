//! Finds the holders of a fetch: among connected peers first, then holders seen before, then
//! through the DHT.
//!
//! Owns one search per fetch and the memory of holders seen. Tells the transfer machine which peer
//! holds which blobs. Tries are bounded with growing waits, and each peer is asked once per round.
//! A search never concludes that content is gone: one that ends without holders says that no
//! *reachable* peer holds it.

pub(crate) mod census;
pub(crate) mod lookup;
pub(crate) mod search;
pub(crate) mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perennial_manifest::{BlobId, Holding, ReleaseId};

use self::search::HolderSearch;
use self::seen::Seen;
use crate::effect::{Effect, FetchFailure, Offence};
use crate::effects::Effects;
use crate::input::FetchId;
use crate::message::{Bounded, Request, Response};
use crate::peer::PeerId;
use crate::requests::Purpose;
use crate::transfer::{Command, Has, Subject};

/// Requests of one search in flight, at most, to peers that may still answer soon.
pub(crate) const ASKED_AT_ONCE: usize = 16;
/// How long an answer may take before another peer is asked meanwhile.
pub(crate) const PROMPT: Duration = Duration::from_secs(1);
/// Requests of one search in flight, at most.
pub(crate) const OUTSTANDING: usize = 128;
/// Time after which a running fetch asks a peer again that did not hold all of its blobs.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Rounds in which a search asks every peer before it gives up.
pub(crate) const ROUNDS: u32 = 4;
/// Wait after the first round; it doubles with each round.
pub(crate) const ROUND_WAIT: Duration = Duration::from_secs(1);
/// Longest wait for the DHT and for dialled peers per round.
pub(crate) const REACH: Duration = Duration::from_secs(8);
/// Longest wait for dialled peers once the DHT has answered.
pub(crate) const DIAL_WAIT: Duration = Duration::from_secs(3);
/// Peers dialled in one round of a search, at most.
pub(crate) const DIALS: usize = 8;
/// Peers remembered per search, at most.
pub(crate) const PEERS: usize = 1024;
/// Concurrent searches, at most.
pub(crate) const SEARCHES: usize = 256;
/// Records that all searches and the memory of holders keep together, at most.
pub(crate) const BOUND: usize = SEARCHES * (1 + 3 * PEERS) + seen::RELEASES;

/// The results of a step, for [`Fetches`](crate::fetch::Fetches) to pass on.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) commands: Vec<Command>,
    pub(crate) failed: Vec<(FetchId, FetchFailure)>,
    pub(crate) offences: Vec<(PeerId, Offence)>,
}

/// Every search, and the holders seen.
#[derive(Debug)]
pub(crate) struct Find {
    me: PeerId,
    searches: BTreeMap<FetchId, HolderSearch>,
    seen: Seen,
    /// Connected peers that have earned to be asked first.
    first: BTreeSet<PeerId>,
}

impl Find {
    pub(crate) fn new(me: PeerId) -> Self {
        Self { me, searches: BTreeMap::new(), seen: Seen::default(), first: BTreeSet::new() }
    }

    /// Begins a search, or adds blobs to a running one. Returns `false` when there are too many
    /// searches.
    pub(crate) fn start(
        &mut self,
        fetch: FetchId,
        release: Option<ReleaseId>,
        blobs: impl IntoIterator<Item = (BlobId, u64)>,
        connected: &[PeerId],
        out: &mut Effects<'_>,
    ) -> bool {
        if !self.searches.contains_key(&fetch) {
            if self.searches.len() >= SEARCHES {
                return false;
            }
            self.searches.insert(fetch, HolderSearch::new(release));
        }
        let Some(search) = self.searches.get_mut(&fetch) else { return false };
        search.more_blobs(blobs, connected);
        self.ask(fetch, out);
        true
    }

    pub(crate) fn stop(&mut self, fetch: FetchId) {
        self.searches.remove(&fetch);
    }

    pub(crate) fn blob_done(&mut self, fetch: FetchId, blob: &BlobId) {
        if let Some(search) = self.searches.get_mut(&fetch) {
            search.blobs.remove(blob);
        }
    }

    /// Adds a connected peer to every search.
    pub(crate) fn connected(&mut self, peer: &PeerId, out: &mut Effects<'_>) {
        let searches: Vec<FetchId> = self.searches.keys().copied().collect();
        for fetch in searches {
            if let Some(search) = self.searches.get_mut(&fetch) {
                search.queue(peer);
            }
            self.ask(fetch, out);
        }
    }

    /// From now on a connected peer is asked before others.
    pub(crate) fn earned(&mut self, peer: &PeerId) {
        self.first.insert(peer.clone());
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        self.first.remove(peer);
        for search in self.searches.values_mut() {
            search.forget(peer);
        }
    }

    /// Marks a search as stuck: the transfer machine has no peer left to ask.
    pub(crate) fn stuck(&mut self, fetch: FetchId) {
        if let Some(search) = self.searches.get_mut(&fetch) {
            search.stuck = true;
        }
    }

    /// Restarts the rounds of a search, because bytes arrived.
    pub(crate) fn progress(&mut self, fetch: FetchId) {
        if let Some(search) = self.searches.get_mut(&fetch) {
            search.progress();
        }
    }

    /// Peers seen to hold a release; with this node, they are candidates for announcing it.
    pub(crate) fn holders_seen(&self, release: &ReleaseId) -> &[PeerId] {
        self.seen.holders(release)
    }

    /// Handles a response to a `Have` request.
    pub(crate) fn response(
        &mut self,
        fetch: FetchId,
        from: &PeerId,
        response: Option<Response>,
        out: &mut Effects<'_>,
    ) -> Found {
        let mut found = Found::default();
        let Some(search) = self.searches.get_mut(&fetch) else { return found };
        let asked = search.answered(out.now, from);
        match (asked, response) {
            (Some(blobs), Some(Response::Have { releases, blobs: sizes }))
                if releases.len() == usize::from(search.release.is_some())
                    && sizes.len() == blobs.len() =>
            {
                let holding = releases.first().copied().flatten();
                let whole = Subject::Fetch(fetch);
                let mut tell = |subject, has| {
                    found.commands.push(Command::Holder { peer: from.clone(), subject, has });
                };
                // Reported even when the whole release is held: in the transfer machine, a claim
                // about a blob overrides an earlier "not held" of the same peer.
                let mut some = false;
                for (blob, size) in blobs.iter().zip(sizes.iter()) {
                    if let Some(size) = size
                        && search.blobs.get(blob) == Some(size)
                    {
                        tell(Subject::Blob(*blob, *size), Has::Held);
                        some = true;
                    }
                }
                if holding == Some(Holding::Held) {
                    tell(whole, Has::Held);
                    search.holds_all(from);
                    if let Some(release) = search.release {
                        self.seen.note(release, from);
                    }
                } else if holding == Some(Holding::Partial) {
                    tell(whole, Has::Unknown);
                }
                if some || holding == Some(Holding::Held) {
                    search.anybody = true;
                    found.commands.extend(search.try_again(fetch));
                }
            }
            (Some(_), Some(Response::Refused { .. }) | None) | (None, _) => {}
            (Some(_), Some(_)) => found.offences.push((from.clone(), Offence::BadResponse)),
        }
        self.ask(fetch, out);
        found
    }

    /// Handles the DHT's answer.
    pub(crate) fn providers(
        &mut self,
        release: &ReleaseId,
        peers: &[PeerId],
        done: bool,
        connected: &[PeerId],
        out: &mut Effects<'_>,
    ) {
        for search in
            self.searches.values_mut().filter(|search| search.release.as_ref() == Some(release))
        {
            for peer in search.reached(out.now, peers, done, connected, &self.me) {
                out.push(Effect::Dial { peer });
            }
        }
    }

    /// Advances searches that are stuck.
    pub(crate) fn tick(&mut self, connected: &[PeerId], out: &mut Effects<'_>) -> Found {
        let mut found = Found::default();
        let ids: Vec<FetchId> = self.searches.keys().copied().collect();
        for fetch in ids {
            let Some(search) = self.searches.get_mut(&fetch) else { continue };
            match search.tick(out.now, connected) {
                search::Turn::Nothing => {}
                search::Turn::TryAgain => found.commands.extend(search.try_again(fetch)),
                search::Turn::Reach => {
                    let known = search.release.map(|release| self.seen.holders(&release).to_vec());
                    for peer in search.reached(
                        out.now,
                        &known.unwrap_or_default(),
                        false,
                        connected,
                        &self.me,
                    ) {
                        out.push(Effect::Dial { peer });
                    }
                    if let Some(release) = search.release {
                        out.push(Effect::FindProviders { release });
                    }
                }
                search::Turn::GiveUp(failure) => {
                    self.searches.remove(&fetch);
                    found.failed.push((fetch, failure));
                    continue;
                }
            }
            self.ask(fetch, out);
        }
        found
    }

    pub(crate) fn next(&self) -> crate::time::Time {
        self.searches.values().map(HolderSearch::next).min().unwrap_or(crate::time::Time::NEVER)
    }

    pub(crate) fn len(&self) -> usize {
        self.seen.len() + self.searches.values().map(HolderSearch::len).sum::<usize>()
    }

    fn ask(&mut self, fetch: FetchId, out: &mut Effects<'_>) {
        let Some(search) = self.searches.get_mut(&fetch) else { return };
        while let Some((peer, blobs)) = search.next_to_ask(out.now, &self.me, &self.first) {
            let request = Request::Have {
                releases: Bounded::first_of(search.release),
                blobs: Bounded::first_of(blobs.iter().copied()),
            };
            if !out.send(&peer, Purpose::Have(fetch), request) {
                break;
            }
            search.asked(out.now, peer, blobs);
        }
    }
}

#[cfg(test)]
mod tests;
