//! Who holds what a fetch needs: connected peers first, then holders seen before, the DHT last.
//!
//! Owns one hunt per fetch and the memory of holders seen. Tells the transfer machine who holds what. Promises
//! bounded tries with growing waits, each peer asked once a round, and never to conclude that something is gone:
//! a hunt that ends without holders says that nobody *reachable* has it.

pub mod census;
pub(crate) mod hunt;
pub mod lookup;
pub mod seen;

use std::{collections::BTreeMap, time::Duration};

use perennial_manifest::{BlobId, Holding, ReleaseId};

use self::{hunt::Hunt, seen::Seen};
use crate::{
    effect::{Effect, FetchFailure, Offence},
    input::FetchId,
    message::{Bounded, Request, Response},
    peer::PeerId,
    requests::{Out, Purpose},
    transfer::{Command, Has, SetId, Subject},
};

/// Peers of one hunt that are asked at the same time.
pub const ASKED_AT_ONCE: usize = 16;
/// While a fetch runs, peers that did not hold it are asked again after so long.
pub const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Rounds of asking everybody before a hunt gives up.
pub const ROUNDS: u32 = 4;
/// Wait between rounds; it doubles.
pub const ROUND_WAIT: Duration = Duration::from_secs(1);
/// How long the DHT and dialled peers are waited for in one round.
pub const REACH: Duration = Duration::from_secs(8);
/// Once the DHT has answered, dialled peers are waited for so long.
pub const DIAL_WAIT: Duration = Duration::from_secs(3);
/// Peers dialled in one round of one hunt.
pub const DIALS: usize = 8;
/// Peers that one hunt remembers.
pub const PEERS: usize = 1024;
/// Hunts at once.
pub const HUNTS: usize = 256;

/// What a step of a hunt brought, for the router to pass on.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) commands: Vec<Command>,
    pub(crate) failed: Vec<(FetchId, FetchFailure)>,
    pub(crate) offences: Vec<(PeerId, Offence)>,
}

/// All hunts.
#[derive(Debug)]
pub(crate) struct Find {
    me: PeerId,
    hunts: BTreeMap<FetchId, Hunt>,
    seen: Seen,
}

impl Find {
    pub(crate) fn new(me: PeerId) -> Self {
        Self { me, hunts: BTreeMap::new(), seen: Seen::default() }
    }

    /// Begins a hunt, or gives one more blobs. `false`: no room.
    pub(crate) fn start(
        &mut self,
        fetch: FetchId,
        release: Option<ReleaseId>,
        blobs: impl IntoIterator<Item = (BlobId, u64)>,
        connected: &[PeerId],
        out: &mut Out<'_>,
    ) -> bool {
        if !self.hunts.contains_key(&fetch) {
            if self.hunts.len() >= HUNTS {
                return false;
            }
            self.hunts.insert(fetch, Hunt::new(release));
        }
        let Some(hunt) = self.hunts.get_mut(&fetch) else { return false };
        hunt.more_blobs(blobs, connected);
        self.ask(fetch, out);
        true
    }

    pub(crate) fn stop(&mut self, fetch: FetchId) {
        self.hunts.remove(&fetch);
    }

    pub(crate) fn blob_done(&mut self, fetch: FetchId, blob: &BlobId) {
        if let Some(hunt) = self.hunts.get_mut(&fetch) {
            hunt.blobs.remove(blob);
        }
    }

    /// A peer came: every hunt asks it.
    pub(crate) fn connected(&mut self, peer: &PeerId, out: &mut Out<'_>) {
        let hunts: Vec<FetchId> = self.hunts.keys().copied().collect();
        for fetch in hunts {
            if let Some(hunt) = self.hunts.get_mut(&fetch) {
                hunt.queue(peer);
            }
            self.ask(fetch, out);
        }
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        for hunt in self.hunts.values_mut() {
            hunt.forget(peer);
        }
    }

    /// The transfer machine has nobody left to ask.
    pub(crate) fn stuck(&mut self, fetch: FetchId) {
        if let Some(hunt) = self.hunts.get_mut(&fetch) {
            hunt.stuck = true;
        }
    }

    /// Bytes come: all is well.
    pub(crate) fn progress(&mut self, fetch: FetchId) {
        if let Some(hunt) = self.hunts.get_mut(&fetch) {
            hunt.progress();
        }
    }

    /// This node holds a release: others that do compete with it for announcing.
    pub(crate) fn holders_seen(&self, release: &ReleaseId) -> &[PeerId] {
        self.seen.holders(release)
    }

    /// An answer to a have-query.
    pub(crate) fn response(
        &mut self,
        fetch: FetchId,
        from: &PeerId,
        response: Option<Response>,
        out: &mut Out<'_>,
    ) -> Found {
        let mut found = Found::default();
        let Some(hunt) = self.hunts.get_mut(&fetch) else { return found };
        let asked = hunt.answered(out.now, from);
        match (asked, response) {
            (Some(blobs), Some(Response::Have { releases, blobs: sizes }))
                if releases.len() == usize::from(hunt.release.is_some())
                    && sizes.len() == blobs.len() =>
            {
                let holding = releases.first().copied().flatten();
                let set = Subject::Set(SetId(fetch.0));
                let mut tell = |subject, has| {
                    found.commands.push(Command::Holder { peer: from.clone(), subject, has })
                };
                // Also of a release that is held as a whole: what a peer holds of a blob overrides, in the transfer
                // machine, that it had not held it before.
                let mut some = false;
                for (blob, size) in blobs.iter().zip(sizes.iter()) {
                    if size.is_some() && size.as_ref() == hunt.blobs.get(blob) {
                        tell(Subject::Blob(*blob), Has::Held);
                        some = true;
                    }
                }
                if holding == Some(Holding::Held) {
                    tell(set, Has::Held);
                    hunt.holds_all(from);
                    if let Some(release) = hunt.release {
                        self.seen.note(release, from);
                    }
                } else if holding == Some(Holding::Partial) {
                    tell(set, Has::Unknown);
                }
                if some || holding == Some(Holding::Held) {
                    hunt.anybody = true;
                    found.commands.extend(hunt.try_again(fetch));
                }
            }
            (Some(_), Some(Response::Refused { .. }) | None) | (None, _) => {}
            (Some(_), Some(_)) => found.offences.push((from.clone(), Offence::BadResponse)),
        }
        self.ask(fetch, out);
        found
    }

    /// The DHT answered.
    pub(crate) fn providers(
        &mut self,
        release: &ReleaseId,
        peers: &[PeerId],
        done: bool,
        connected: &[PeerId],
        out: &mut Out<'_>,
    ) {
        for hunt in self.hunts.values_mut().filter(|hunt| hunt.release.as_ref() == Some(release)) {
            for peer in hunt.reached(out.now, peers, done, connected, &self.me) {
                out.effects.push(Effect::Dial { peer });
            }
        }
    }

    /// Moves hunts that are stuck along.
    pub(crate) fn tick(&mut self, connected: &[PeerId], out: &mut Out<'_>) -> Found {
        let mut found = Found::default();
        let ids: Vec<FetchId> = self.hunts.keys().copied().collect();
        for fetch in ids {
            let Some(hunt) = self.hunts.get_mut(&fetch) else { continue };
            match hunt.tick(out.now, connected) {
                hunt::Turn::Nothing => {}
                hunt::Turn::TryAgain => found.commands.extend(hunt.try_again(fetch)),
                hunt::Turn::Reach => {
                    let known = hunt.release.map(|release| self.seen.holders(&release).to_vec());
                    for peer in hunt.reached(
                        out.now,
                        &known.unwrap_or_default(),
                        false,
                        connected,
                        &self.me,
                    ) {
                        out.effects.push(Effect::Dial { peer });
                    }
                    if let Some(release) = hunt.release {
                        out.effects.push(Effect::FindProviders { release });
                    }
                }
                hunt::Turn::GiveUp(failure) => {
                    self.hunts.remove(&fetch);
                    found.failed.push((fetch, failure));
                    continue;
                }
            }
            self.ask(fetch, out);
        }
        found
    }

    pub(crate) fn next(&self) -> crate::time::Time {
        self.hunts.values().map(Hunt::next).min().unwrap_or(crate::time::Time::NEVER)
    }

    pub(crate) fn len(&self) -> usize {
        self.seen.len() + self.hunts.values().map(Hunt::len).sum::<usize>()
    }

    fn ask(&mut self, fetch: FetchId, out: &mut Out<'_>) {
        let Some(hunt) = self.hunts.get_mut(&fetch) else { return };
        while let Some((peer, blobs)) = hunt.next_to_ask(&self.me) {
            let request = Request::Have {
                releases: Bounded::first_of(hunt.release),
                blobs: Bounded::first_of(blobs.iter().copied()),
            };
            if !out.send(&peer, Purpose::Have(fetch), request) {
                break;
            }
            hunt.asked(peer, blobs);
        }
    }
}

#[cfg(test)]
mod tests;
