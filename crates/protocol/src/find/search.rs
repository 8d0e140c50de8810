//! The search for the holders of one fetch, as a machine of its own.
//!
//! It asks every connected peer, then dials peers that may hold the release, then waits and starts
//! over, until bytes arrive or the rounds are used up.
//!
//! ```text
//!  Asking ──stuck, all answered──► Reaching (dial, DHT) ──► Resting ──► Asking … GiveUp
//! ```

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{BlobId, ReleaseId};

use super::{
    ASK_AGAIN, ASKED_AT_ONCE, DIAL_WAIT, DIALS, OUTSTANDING, PEERS, PROMPT, REACH, ROUND_WAIT,
    ROUNDS,
};
use crate::effect::FetchFailure;
use crate::input::FetchId;
use crate::message::MAX_HAVE_BLOBS;
use crate::peer::PeerId;
use crate::placement;
use crate::time::Time;
use crate::transfer::Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking,
    Reaching(Time),
    Resting(Time),
}

/// The action that a tick calls for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Nothing,
    Reach,
    TryAgain,
    GiveUp(FetchFailure),
}

/// A peer that was asked and has not answered.
#[derive(Debug)]
struct Outstanding {
    blobs: Vec<BlobId>,
    at: Time,
    /// Set once others are asked in its place.
    is_slow: bool,
}

/// The search of one fetch.
#[derive(Debug)]
pub(crate) struct HolderSearch {
    pub(crate) release: Option<ReleaseId>,
    /// The blobs still missing, with their sizes in bytes.
    pub(crate) blobs: BTreeMap<BlobId, u64>,
    /// Set when the transfer machine has no peer left to ask.
    pub(crate) stuck: bool,
    stage: Stage,
    round: u32,
    queue: BTreeSet<PeerId>,
    outstanding: BTreeMap<PeerId, Outstanding>,
    /// Peers that have answered, and when.
    answered: BTreeMap<PeerId, Time>,
    /// Peers that claim to hold the whole release.
    holders: BTreeSet<PeerId>,
    /// Set once any peer has claimed to hold some of the blobs.
    pub(crate) anybody: bool,
    dialled: usize,
}

impl HolderSearch {
    pub(crate) const fn new(release: Option<ReleaseId>) -> Self {
        Self {
            release,
            blobs: BTreeMap::new(),
            stuck: false,
            stage: Stage::Asking,
            round: 0,
            queue: BTreeSet::new(),
            outstanding: BTreeMap::new(),
            answered: BTreeMap::new(),
            holders: BTreeSet::new(),
            anybody: false,
            dialled: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.outstanding.len() + self.answered.len()
    }

    /// Adds blobs. Earlier answers do not cover them, so every peer not known to hold the whole
    /// release is asked again.
    pub(crate) fn more_blobs(
        &mut self,
        blobs: impl IntoIterator<Item = (BlobId, u64)>,
        connected: &[PeerId],
    ) {
        self.blobs.extend(blobs);
        self.stage = Stage::Asking;
        for peer in connected {
            self.queue(peer);
        }
    }

    pub(crate) fn queue(&mut self, peer: &PeerId) {
        if !self.holders.contains(peer)
            && !self.outstanding.contains_key(peer)
            && self.queue.len() < PEERS
        {
            self.queue.insert(peer.clone());
        }
    }

    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.queue.remove(peer);
        self.outstanding.remove(peer);
        self.answered.remove(peer);
        self.holders.remove(peer);
    }

    /// The next peer to ask, and the blobs to ask it about: `first` those that have earned it.
    /// Peers that do not answer soon keep nobody from being asked.
    pub(crate) fn next_to_ask(
        &mut self,
        now: Time,
        me: &PeerId,
        first: &BTreeSet<PeerId>,
    ) -> Option<(PeerId, Vec<BlobId>)> {
        for asked in self.outstanding.values_mut() {
            asked.is_slow |= asked.at + PROMPT <= now;
        }
        let prompt = self.outstanding.values().filter(|asked| !asked.is_slow).count();
        if prompt >= ASKED_AT_ONCE || self.outstanding.len() >= OUTSTANDING {
            return None;
        }
        let key = match (&self.release, self.blobs.keys().next()) {
            (Some(release), _) => *release.entry().as_bytes(),
            (None, Some(blob)) => *blob.as_bytes(),
            (None, None) => return None,
        };
        let key = placement::own_key(&key, me);
        let rank = |peer: &PeerId| (first.contains(peer), placement::score(&key, peer));
        let peer = self.queue.iter().max_by_key(|peer| rank(peer))?;
        Some((peer.clone(), self.blobs.keys().take(MAX_HAVE_BLOBS).copied().collect()))
    }

    pub(crate) fn asked(&mut self, now: Time, peer: PeerId, blobs: Vec<BlobId>) {
        self.queue.remove(&peer);
        self.outstanding.insert(peer, Outstanding { blobs, at: now, is_slow: false });
    }

    /// Records that a peer answered or timed out. Returns the blobs it was asked about.
    pub(crate) fn answered(&mut self, now: Time, peer: &PeerId) -> Option<Vec<BlobId>> {
        let Outstanding { blobs, .. } = self.outstanding.remove(peer)?;
        if self.answered.len() < PEERS {
            self.answered.insert(peer.clone(), now);
        }
        Some(blobs)
    }

    pub(crate) fn holds_all(&mut self, peer: &PeerId) {
        self.holders.insert(peer.clone());
    }

    /// The transfer machine reports once that it is stuck. Wanting everything again makes it repeat
    /// the report if it still is; that also forgives failed attempts.
    pub(crate) fn try_again(&mut self, fetch: FetchId) -> Vec<Command> {
        if !std::mem::take(&mut self.stuck) {
            return Vec::new();
        }
        let want = |(blob, size): (&BlobId, &u64)| Command::Want {
            fetch,
            blob: *blob,
            size: *size,
            missing: None,
        };
        self.blobs.iter().map(want).collect()
    }

    /// Restarts the rounds, because bytes arrived.
    pub(crate) fn progress(&mut self) {
        self.round = 0;
    }

    /// Takes peers that may hold the release: connected ones are asked; returns the ones to dial.
    pub(crate) fn reached(
        &mut self,
        now: Time,
        peers: &[PeerId],
        done: bool,
        connected: &[PeerId],
        me: &PeerId,
    ) -> Vec<PeerId> {
        if let (Stage::Reaching(until), true) = (self.stage, done) {
            self.stage = Stage::Reaching(until.min(now + DIAL_WAIT));
        }
        let mut dial = Vec::new();
        for peer in peers.iter().take(PEERS) {
            if connected.contains(peer) {
                if !self.answered.contains_key(peer) {
                    self.queue(peer);
                }
            } else if peer != me && self.dialled < DIALS {
                self.dialled += 1;
                dial.push(peer.clone());
            }
        }
        dial
    }

    pub(crate) fn tick(&mut self, now: Time, connected: &[PeerId]) -> Turn {
        // While bytes arrive, another peer may have come to hold them.
        let again: Vec<PeerId> = self
            .answered
            .iter()
            .filter(|(_, at)| **at + ASK_AGAIN <= now)
            .map(|(peer, _)| peer.clone())
            .collect();
        for peer in again {
            self.answered.remove(&peer);
            self.queue(&peer);
        }
        if !self.stuck || !self.queue.is_empty() || !self.outstanding.is_empty() {
            return Turn::Nothing;
        }
        match self.stage {
            Stage::Asking => {
                self.stage =
                    Stage::Reaching(now + if self.release.is_some() { REACH } else { DIAL_WAIT });
                self.dialled = 0;
                Turn::Reach
            }
            Stage::Reaching(until) if now >= until => {
                self.round += 1;
                if self.round >= ROUNDS {
                    let failure =
                        if self.anybody { FetchFailure::Stalled } else { FetchFailure::NoHolder };
                    return Turn::GiveUp(failure);
                }
                self.stage = Stage::Resting(now + ROUND_WAIT * (1 << self.round.min(8)));
                Turn::Nothing
            }
            Stage::Resting(until) if now >= until => {
                self.stage = Stage::Asking;
                self.answered.clear();
                self.holders.clear();
                for peer in connected {
                    self.queue(peer);
                }
                Turn::TryAgain
            }
            Stage::Reaching(_) | Stage::Resting(_) => Turn::Nothing,
        }
    }

    pub(crate) fn next(&self) -> Time {
        let again = self.answered.values().map(|at| *at + ASK_AGAIN).min().unwrap_or(Time::NEVER);
        let turn = match self.stage {
            _ if !self.stuck || !self.queue.is_empty() || !self.outstanding.is_empty() => {
                Time::NEVER
            }
            Stage::Asking => Time::ZERO,
            Stage::Reaching(until) | Stage::Resting(until) => until,
        };
        let others_wait = !self.queue.is_empty() && self.outstanding.len() < OUTSTANDING;
        let prompt = self.outstanding.values().filter(|asked| others_wait && !asked.is_slow);
        let slow = prompt.map(|asked| asked.at + PROMPT).min().unwrap_or(Time::NEVER);
        again.min(turn).min(slow)
    }
}
