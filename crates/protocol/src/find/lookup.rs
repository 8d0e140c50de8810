//! Asks peers for the meanings of a name: release entries, or blobs that peers claim.
//!
//! Owns the running look-ups. Each ends within [`LONGEST`]. Does not judge the results: an entry
//! has a valid signature and matches the name, but the caller decides which publishers to believe.

mod question;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perennial_manifest::{EntryId, ReleaseId, Selector, SignedEntry};

use crate::catalog::Catalog;
use crate::effect::{Effect, Offence};
use crate::effects::Effects;
use crate::input::{Follows, LookupId};
use crate::message::{BlobClaim, Bounded, Response, Scope};
use crate::peer::PeerId;
use crate::requests::Purpose;
use crate::sync::Reconciler;
use crate::time::Time;
pub(crate) use question::Asked;

/// Peers that a look-up asks, at most.
pub(crate) const PEERS: usize = 64;
/// Entries that a look-up returns, at most.
pub(crate) const ENTRIES: usize = 1024;
/// Concurrent look-ups, at most.
pub(crate) const LOOKUPS: usize = 64;
/// Peers dialled for a release id that no connected peer knows, at most.
pub(crate) const DIALS: usize = 8;
/// Longest wait for dialled peers once the DHT has answered.
pub(crate) const DIAL_WAIT: Duration = Duration::from_secs(4);

/// This node's view, by which it decides whose feeds it asks for.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) follows: &'a Follows,
    pub(crate) catalog: &'a dyn Catalog,
}

impl Known<'_> {
    /// Whether the feed of an entry is asked for: this node lacks the entry, and would store it.
    fn lacks(self, entry: &SignedEntry) -> bool {
        let publisher = &entry.entry().publisher;
        !self.catalog.has_entry(&entry.id())
            && (self.follows.covers(publisher) || self.catalog.takes(publisher))
    }
}

#[derive(Debug)]
struct Lookup {
    question: Asked,
    until: Time,
    asked: BTreeSet<PeerId>,
    outstanding: BTreeSet<PeerId>,
    syncing: BTreeSet<PeerId>,
    answered: usize,
    entries: BTreeMap<EntryId, SignedEntry>,
    claims: Vec<(PeerId, BlobClaim)>,
    /// Set once the DHT was asked: at most once, and only for a release id.
    asked_dht: bool,
    /// Set while the DHT has yet to answer, or peers that it named may still connect.
    reaching: bool,
    dialled: usize,
}

/// Every running look-up.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    under_way: BTreeMap<LookupId, Lookup>,
}

impl Lookups {
    pub(crate) fn start(
        &mut self,
        lookup: LookupId,
        question: Asked,
        connected: &[PeerId],
        out: &mut Effects<'_>,
    ) {
        if self.under_way.len() >= LOOKUPS || self.under_way.contains_key(&lookup) {
            out.push(Effect::LookupDone {
                lookup,
                answered: 0,
                entries: Vec::new(),
                claims: Vec::new(),
            });
            return;
        }
        self.under_way.insert(
            lookup,
            Lookup {
                until: out.now + question.longest(),
                question,
                asked: BTreeSet::new(),
                outstanding: BTreeSet::new(),
                syncing: BTreeSet::new(),
                answered: 0,
                entries: BTreeMap::new(),
                claims: Vec::new(),
                asked_dht: false,
                reaching: false,
                dialled: 0,
            },
        );
        for peer in connected {
            self.ask(lookup, peer, out);
        }
        self.settle(out);
    }

    pub(crate) fn connected(&mut self, peer: &PeerId, out: &mut Effects<'_>) {
        let ids: Vec<LookupId> = self.under_way.keys().copied().collect();
        for id in ids {
            self.ask(id, peer, out);
        }
    }

    fn ask(&mut self, id: LookupId, peer: &PeerId, out: &mut Effects<'_>) {
        let Some(lookup) = self.under_way.get_mut(&id) else { return };
        if lookup.asked.len() >= PEERS || lookup.asked.contains(peer) {
            return;
        }
        let request = lookup.question.request();
        if out.send(peer, Purpose::Lookup(id), request) {
            lookup.asked.insert(peer.clone());
            lookup.outstanding.insert(peer.clone());
        }
    }

    /// Handles a response. If the catalog lacks an entry, its feed is reconciled, so that the entry
    /// can be stored.
    pub(crate) fn response(
        &mut self,
        id: LookupId,
        from: &PeerId,
        response: Option<Response>,
        sync: &mut Reconciler,
        known: Known<'_>,
        out: &mut Effects<'_>,
    ) -> Option<Offence> {
        let lookup = self.under_way.get_mut(&id)?;
        if !lookup.outstanding.remove(from) {
            return None;
        }
        let mut offence = None;
        match (response, &lookup.question) {
            (None | Some(Response::Refused { .. }), _) => {}
            (Some(Response::Have { blobs, releases }), Asked::Meaning(Selector::Blob(blob), _))
                if blobs.len() == 1 && releases.is_empty() =>
            {
                lookup.answered += 1;
                if let Some(size) = blobs.first().copied().flatten() {
                    lookup.claims.push((from.clone(), BlobClaim { blob: *blob, size }));
                }
            }
            (Some(Response::Sha256 { blob }), Asked::Meaning(Selector::Sha256(_), _)) => {
                lookup.answered += 1;
                lookup.claims.extend(blob.map(|claim| (from.clone(), claim)));
            }
            (
                Some(Response::Found { entries }),
                Asked::Words(_)
                | Asked::Meaning(
                    Selector::Release(_)
                    | Selector::ReleasePrefix(_)
                    | Selector::Purl(_)
                    | Selector::Name(_),
                    _,
                ),
            ) => {
                lookup.answered += 1;
                let mut feeds = BTreeSet::new();
                for bytes in entries {
                    let Some(entry) = SignedEntry::decode(&bytes.0)
                        .ok()
                        .filter(|entry| lookup.question.fits(entry))
                    else {
                        offence = Some(Offence::BadResponse);
                        continue;
                    };
                    if matches!(lookup.question, Asked::Meaning(..)) && known.lacks(&entry) {
                        feeds.insert(entry.entry().publisher);
                    }
                    if lookup.entries.len() < ENTRIES {
                        lookup.entries.insert(entry.id(), entry);
                    }
                }
                let scope = Scope::Publishers(Bounded::first_of(feeds.iter().copied()));
                if !feeds.is_empty() && sync.want(from, scope, u64::MAX) {
                    lookup.syncing.insert(from.clone());
                }
            }
            _ => offence = Some(Offence::BadResponse),
        }
        self.settle(out);
        offence
    }

    /// Handles the end of an exchange with a peer.
    pub(crate) fn synced(&mut self, peer: &PeerId, out: &mut Effects<'_>) {
        for lookup in self.under_way.values_mut() {
            lookup.syncing.remove(peer);
        }
        self.settle(out);
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId, out: &mut Effects<'_>) {
        for lookup in self.under_way.values_mut() {
            lookup.outstanding.remove(peer);
        }
        self.synced(peer, out);
    }

    pub(crate) fn providers(
        &mut self,
        release: &ReleaseId,
        peers: &[PeerId],
        done: bool,
        out: &mut Effects<'_>,
    ) {
        for lookup in self.under_way.values_mut() {
            if !lookup.reaching || lookup.question.release() != Some(*release) {
                continue;
            }
            for peer in peers.iter().filter(|peer| !lookup.asked.contains(*peer)) {
                if lookup.dialled < DIALS {
                    lookup.dialled += 1;
                    out.push(Effect::Dial { peer: peer.clone() });
                }
            }
            if done {
                lookup.reaching = lookup.dialled > 0;
                lookup.until = lookup.until.min(out.now + DIAL_WAIT);
            }
        }
        self.settle(out);
    }

    /// Ends every look-up that is done or has taken too long.
    pub(crate) fn settle(&mut self, out: &mut Effects<'_>) {
        let mut done = Vec::new();
        for (id, lookup) in &mut self.under_way {
            let quiet = lookup.outstanding.is_empty() && lookup.syncing.is_empty();
            let found = !lookup.entries.is_empty() || !lookup.claims.is_empty();
            if out.now >= lookup.until
                || (quiet && (found || (lookup.asked_everywhere() && !lookup.reaching)))
            {
                done.push(*id);
            } else if let (true, false, Some(release)) =
                (quiet, lookup.asked_dht, lookup.question.release())
            {
                out.push(Effect::FindProviders { release });
                lookup.asked_dht = true;
                lookup.reaching = true;
            }
        }
        for id in done {
            let Some(lookup) = self.under_way.remove(&id) else { continue };
            out.push(Effect::LookupDone {
                lookup: id,
                answered: lookup.answered,
                entries: lookup.entries.into_values().collect(),
                claims: lookup.claims,
            });
        }
    }

    pub(crate) fn next(&self) -> Time {
        self.under_way.values().map(|lookup| lookup.until).min().unwrap_or(Time::NEVER)
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.values().map(|lookup| 1 + lookup.entries.len() + lookup.claims.len()).sum()
    }
}

impl Lookup {
    /// Returns whether every source has been asked. The DHT knows only release ids, and is asked
    /// once.
    const fn asked_everywhere(&self) -> bool {
        self.question.release().is_none() || self.asked_dht
    }
}
