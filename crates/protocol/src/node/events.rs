//! Inputs that concern several machines, one method each.

use perennial_manifest::{EntryId, ReleaseId, SignedEntry};

use super::{Node, PEERS};
use crate::answer::Question;
use crate::batches::Batch;
use crate::catalog::Catalog;
use crate::effect::{Acceptance, Effect, Offence};
use crate::effects::Effects;
use crate::find::lookup::Known;
use crate::input::{MessageId, RequestFailure, Token, Verdict};
use crate::limits::Asked;
use crate::message::{Bounded, Refusal, Request, Response, Scope};
use crate::peer::PeerId;
use crate::places::Standing;
use crate::prefix::Prefix;
use crate::questions::Turn;
use crate::requests::{Purpose, Waiting};
use crate::sync::Ended;
use crate::sync::set::Sealed;
use crate::transfer::{AssignmentId, Report};
use crate::{limits, placement};

impl Node {
    pub(super) fn connected(&mut self, peer: PeerId, prefix: Prefix, out: &mut Effects<'_>) {
        if peer == self.me || self.peers.len() >= PEERS && !self.peers.contains_key(&peer) {
            return;
        }
        if self.standings.of(&peer).is_earned() {
            self.fetches.find.earned(&peer);
        }
        self.sync.connected(out.now, &peer);
        self.fetches.find.connected(&peer, out);
        self.lookups.connected(&peer, out);
        self.censuses.connected(&peer, out);
        self.keep.try_soon(out.now);
        self.peers.insert(peer, prefix);
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId, out: &mut Effects<'_>) {
        self.peers.remove(peer);
        drop(out.requests.lost(out.now, Some(peer)));
        let ended = self.sync.disconnected(peer);
        self.exchanges_ended(ended, out);
        self.questions.disconnected(peer);
        self.fetches.disconnected(peer, out);
        self.lookups.disconnected(peer, out);
        self.censuses.disconnected(peer, out);
    }

    pub(super) fn gossip(
        &mut self,
        from: &PeerId,
        message: MessageId,
        bytes: &[u8],
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) {
        let mut acceptance = Acceptance::Ignore;
        if !out.batches.is_full() {
            let checked = self.gossip.check(out.now, from, bytes, &self.follows, catalog);
            acceptance = checked.acceptance;
            if let Some(entry) = checked.entry {
                let publisher = entry.entry().publisher;
                out.store(from, vec![entry], Batch::Gossip(publisher));
            }
        }
        out.push(Effect::ReportGossip { message, from: from.clone(), acceptance });
        if acceptance == Acceptance::Reject {
            self.blame(from, Offence::BadGossip, out);
        }
    }

    pub(super) fn request(
        &mut self,
        from: &PeerId,
        token: Token,
        request: Request,
        out: &mut Effects<'_>,
    ) {
        let prefix = self.peers.get(from).copied().unwrap_or_default();
        let busy = Response::Refused { reason: Refusal::Busy };
        let asked = self.limits.ask(out.now, from, prefix, limits::cost(&request));
        if asked == Asked::Flood {
            self.blame(from, Offence::Flood, out);
        }
        let response = match request {
            _ if asked != Asked::Granted => busy,
            request => {
                if self.questions.push(from, prefix, token, Question::new(request)) {
                    return;
                }
                busy
            }
        };
        out.push(Effect::Respond { token, response });
    }

    /// Gives questions that wait their places.
    pub(super) fn next_questions(&mut self, catalog: &dyn Catalog, out: &mut Effects<'_>) {
        while let Some(Turn { peer, prefix, token, question }) = self.questions.next() {
            // What it asked before turned out to be much work.
            if self.limits.owes(out.now, &peer, prefix) {
                self.questions.answered(token);
                let response = Response::Refused { reason: Refusal::Busy };
                out.push(Effect::Respond { token, response });
                continue;
            }
            let set = question.scope().and_then(|scope| self.sync.set(out.now, scope, catalog));
            out.push(Effect::Answer { token, question: question.with_set(set) });
        }
    }

    /// A question was answered: charges whoever asked it for the entries that were read.
    pub(super) fn answered(&mut self, token: Token, sealed: Option<Sealed>, out: &Effects<'_>) {
        let Some((peer, prefix)) = self.questions.answered(token) else { return };
        let rows = sealed.as_ref().map_or(0, Sealed::entries);
        self.limits.spend(out.now, &peer, prefix, limits::cost_of_rows(rows));
        self.sync.keep(out.now, sealed);
    }

    pub(super) fn response(
        &mut self,
        waiting: &Waiting,
        result: Result<Response, RequestFailure>,
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) {
        let Waiting { peer, purpose, .. } = waiting;
        if result == Err(RequestFailure::Malformed) && *purpose != Purpose::Sync {
            self.blame(peer, Offence::BadResponse, out);
        }
        match purpose {
            Purpose::Sync => {
                let ended = self.sync.response(peer, result, &self.follows, catalog, out);
                self.exchanges_ended(ended, out);
            }
            Purpose::Have(fetch) => {
                let found = self.fetches.find.response(*fetch, peer, result.ok(), out);
                self.fetches.found(found, out);
            }
            Purpose::Census(census) => {
                if let Some(offence) = self.censuses.response(*census, peer, result.ok(), out) {
                    self.blame(peer, offence, out);
                }
            }
            Purpose::Lookup(lookup) => {
                let known = Known { follows: &self.follows, catalog };
                let response = result.ok();
                if let Some(offence) =
                    self.lookups.response(*lookup, peer, response, &mut self.sync, known, out)
                {
                    self.blame(peer, offence, out);
                }
            }
        }
    }

    pub(super) fn exchanges_ended(
        &mut self,
        ended: impl IntoIterator<Item = Ended>,
        out: &mut Effects<'_>,
    ) {
        for Ended { peer, offence } in ended {
            self.lookups.synced(&peer, out);
            if let Some(offence) = offence {
                self.blame(&peer, offence, out);
            }
        }
    }

    pub(super) fn publish(&mut self, entry: &SignedEntry, out: &mut Effects<'_>) {
        let bytes = entry.encode();
        self.gossip.sent(&bytes);
        out.push(Effect::Publish { bytes });
        self.keep.look(out.now);
    }

    pub(super) fn stored(
        &mut self,
        batch: u64,
        verdicts: &[(EntryId, Verdict)],
        catalog: &dyn Catalog,
        out: &mut Effects<'_>,
    ) {
        let Some((from, what)) = out.batches.stored(batch) else { return };
        let is_new = verdicts.iter().any(|(_, verdict)| *verdict == Verdict::New);
        if verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::New | Verdict::Fork)) {
            self.keep.look(out.now);
        }
        let wanted = match &what {
            Batch::Gossip(publisher) => self.follows.names(publisher),
            Batch::Sync => self.sync.scope_of(&from).is_some_and(|scope| match scope {
                Scope::All => false,
                Scope::Publishers(some) => some.iter().all(|one| self.follows.names(one)),
            }),
        };
        if is_new && wanted {
            self.earned(&from, Standing::Useful, out);
        }
        match what {
            Batch::Sync => {
                let ended = self.sync.stored(&from, verdicts, catalog, out);
                self.exchanges_ended(ended, out);
            }
            // This node missed part of the feed: reconcile with the peer that relayed the newest
            // entry.
            Batch::Gossip(publisher) => {
                if verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Orphan { .. })) {
                    let most = self.gossip.history(out.now, &publisher, &self.follows, catalog);
                    let scope = Scope::Publishers(Bounded::first_of([publisher]));
                    self.sync.want(&from, scope, most);
                }
            }
        }
    }

    pub(super) fn held(&mut self, release: ReleaseId, out: &mut Effects<'_>) {
        if placement::announces(&release, &self.me, self.fetches.find.holders_seen(&release)) {
            out.push(Effect::Provide { release });
        }
    }

    /// Bytes of blobs came and verified: whoever sent them is of use.
    pub(super) fn brought(
        &mut self,
        assignment: AssignmentId,
        report: &Report,
        out: &mut Effects<'_>,
    ) {
        let peer = self.fetches.peer_of(assignment).filter(|_| !report.verified.is_empty());
        if let Some(peer) = peer.cloned() {
            self.earned(&peer, Standing::Useful, out);
        }
    }

    pub(super) fn earned(&mut self, peer: &PeerId, standing: Standing, out: &mut Effects<'_>) {
        if self.standings.earn(peer, standing) {
            if standing.is_earned() && self.peers.contains_key(peer) {
                self.fetches.find.earned(peer);
            }
            out.push(Effect::Earned { peer: peer.clone(), standing: self.standings.of(peer) });
        }
    }

    pub(super) fn blame(&mut self, peer: &PeerId, offence: Offence, out: &mut Effects<'_>) {
        out.push(Effect::Penalise { peer: peer.clone(), offence });
        if let Some(until) = self.reputation.note(out.now, peer, offence) {
            out.push(Effect::Ban { peer: peer.clone(), until });
        }
    }
}
