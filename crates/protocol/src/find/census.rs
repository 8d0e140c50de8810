//! Asks connected peers, and peers named by the DHT, whether they claim to hold a release, for
//! display to the user.
//!
//! Owns the running censuses. Each ends within [`LONGEST`] and asks a peer once. Proves nothing: a
//! claim is a claim until the bytes have arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perennial_manifest::{BlobId, Holding, ReleaseId};

use crate::effect::{Effect, Holder, Offence};
use crate::effects::Effects;
use crate::input::CensusId;
use crate::message::{Bounded, MAX_HAVE_BLOBS, Request, Response};
use crate::peer::PeerId;
use crate::placement;
use crate::requests::Purpose;
use crate::time::Time;

/// Longest duration of a census, because a user waits for it.
pub(crate) const LONGEST: Duration = Duration::from_secs(2);
/// Connected peers that a census asks, at most.
pub(crate) const PEERS: usize = 64;
/// Peers named by the DHT that a census dials, at most.
pub(crate) const DIALS: usize = 8;
/// Concurrent censuses, at most.
pub(crate) const CENSUSES: usize = 16;

#[derive(Debug)]
struct Census {
    release: ReleaseId,
    /// The blobs asked about, with their true sizes.
    blobs: Vec<(BlobId, u64)>,
    until: Time,
    asked: BTreeSet<PeerId>,
    outstanding: BTreeSet<PeerId>,
    /// Set until the DHT has answered.
    searching: bool,
    dialled: BTreeSet<PeerId>,
    holders: BTreeMap<PeerId, Holder>,
}

/// Every running census.
#[derive(Debug)]
pub(crate) struct Censuses {
    me: PeerId,
    under_way: BTreeMap<CensusId, Census>,
}

impl Censuses {
    pub(crate) const fn new(me: PeerId) -> Self {
        Self { me, under_way: BTreeMap::new() }
    }

    pub(crate) fn start(
        &mut self,
        id: CensusId,
        release: ReleaseId,
        mut blobs: Vec<(BlobId, u64)>,
        connected: &[PeerId],
        out: &mut Effects<'_>,
    ) {
        if self.under_way.len() >= CENSUSES || self.under_way.contains_key(&id) {
            out.push(Effect::CensusDone { census: id, holders: Vec::new() });
            return;
        }
        blobs.truncate(MAX_HAVE_BLOBS);
        self.under_way.insert(
            id,
            Census {
                release,
                blobs,
                until: out.now + LONGEST,
                asked: BTreeSet::new(),
                outstanding: BTreeSet::new(),
                searching: true,
                dialled: BTreeSet::new(),
                holders: BTreeMap::new(),
            },
        );
        out.push(Effect::FindProviders { release });
        // Likeliest holders first, because there may be more peers than can be asked.
        for peer in placement::order(release.entry().as_bytes(), connected).iter().take(PEERS) {
            self.ask(id, peer, out);
        }
    }

    pub(crate) fn connected(&mut self, peer: &PeerId, out: &mut Effects<'_>) {
        let open = self.under_way.iter();
        let open =
            open.filter(|(_, census)| census.asked.len() < PEERS || census.dialled.contains(peer));
        let ids: Vec<CensusId> = open.map(|(id, _)| *id).collect();
        for id in ids {
            self.ask(id, peer, out);
        }
    }

    fn ask(&mut self, id: CensusId, peer: &PeerId, out: &mut Effects<'_>) {
        let Some(census) = self.under_way.get_mut(&id) else { return };
        if !census.asked.insert(peer.clone()) {
            return;
        }
        let request = Request::Have {
            releases: Bounded::first_of([census.release]),
            blobs: Bounded::first_of(census.blobs.iter().map(|(blob, _)| *blob)),
        };
        if out.send(peer, Purpose::Census(id), request) {
            census.outstanding.insert(peer.clone());
        }
    }

    pub(crate) fn response(
        &mut self,
        id: CensusId,
        from: &PeerId,
        response: Option<Response>,
        out: &mut Effects<'_>,
    ) -> Option<Offence> {
        let census = self.under_way.get_mut(&id)?;
        if !census.outstanding.remove(from) {
            return None;
        }
        let offence = match response {
            None | Some(Response::Refused { .. }) => None,
            Some(Response::Have { releases, blobs })
                if releases.len() == 1 && blobs.len() == census.blobs.len() =>
            {
                if let Some(holding @ (Holding::Partial | Holding::Held)) =
                    releases.first().copied().flatten()
                {
                    let asked = census.blobs.iter().zip(blobs.iter());
                    let held = asked.filter(|((_, size), said)| said.as_ref() == Some(size));
                    let blobs = held.map(|((blob, _), _)| *blob).collect();
                    census
                        .holders
                        .insert(from.clone(), Holder { peer: from.clone(), holding, blobs });
                }
                None
            }
            Some(_) => Some(Offence::BadResponse),
        };
        self.settle(out);
        offence
    }

    /// Handles the DHT's answer: peers that it names are dialled, and asked if they connect in
    /// time.
    pub(crate) fn providers(
        &mut self,
        release: &ReleaseId,
        peers: &[PeerId],
        done: bool,
        out: &mut Effects<'_>,
    ) {
        for census in self.under_way.values_mut().filter(|census| census.release == *release) {
            for peer in peers.iter().filter(|peer| **peer != self.me) {
                let known = census.asked.contains(peer) || census.dialled.contains(peer);
                if !known && census.dialled.len() < DIALS {
                    census.dialled.insert(peer.clone());
                    out.push(Effect::Dial { peer: peer.clone() });
                }
            }
            census.searching &= !done;
        }
        self.settle(out);
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId, out: &mut Effects<'_>) {
        for census in self.under_way.values_mut() {
            census.outstanding.remove(peer);
        }
        self.settle(out);
    }

    /// Ends every census that is done or has taken too long.
    pub(crate) fn settle(&mut self, out: &mut Effects<'_>) {
        let over = |census: &Census| {
            let quiet = census.outstanding.is_empty() && !census.searching;
            out.now >= census.until || quiet && census.dialled.is_subset(&census.asked)
        };
        let done: Vec<CensusId> =
            self.under_way.iter().filter(|(_, census)| over(census)).map(|(id, _)| *id).collect();
        for id in done {
            if let Some(census) = self.under_way.remove(&id) {
                let holders = census.holders.into_values().collect();
                out.push(Effect::CensusDone { census: id, holders });
            }
        }
    }

    pub(crate) fn next(&self) -> Time {
        self.under_way.values().map(|census| census.until).min().unwrap_or(Time::NEVER)
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.values().map(|census| 1 + census.asked.len() + census.dialled.len()).sum()
    }
}
