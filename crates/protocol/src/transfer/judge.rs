//! Accounts for the results of assignments, and judges peers by how their assignments end.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::BlobId;

use super::assignment::Assignment;
use super::ranges::Ranges;
use super::source::{Offer, Source};
use super::want::Want;
use super::{AssignmentId, Decision, End, Key, Report, Transfer, limits};
use crate::effect::Offence;
use crate::message::BlobRange;
use crate::time::Time;

impl Transfer {
    /// Accounts for a report. Verified bytes count for every assignment that owes them.
    pub(super) fn account(
        &mut self,
        now: Time,
        id: AssignmentId,
        report: &Report,
        decisions: &mut Vec<Decision>,
    ) {
        let mut brought = 0_u64;
        for BlobRange { blob, ranges } in &report.verified {
            let Some(key) = self.key_of(id, blob) else { continue };
            let Some(want) = self.wants.get_mut(&key) else { continue };
            let good = Ranges::from_untrusted(ranges, want.size).shrunk(limits::GROUP, want.size);
            brought = brought.saturating_add(good.bytes());
            want.missing = want.missing.minus(&good);
            want.told = None;
            if let Some(assignment) = self.assignments.get(&id)
                && want.may_ask(&assignment.peer)
            {
                want.failures.remove(&assignment.peer);
            }
            for asked in want.asked.clone() {
                let Some(assignment) = self.assignments.get_mut(&asked) else { continue };
                let rest = assignment.owed.remove(&key).unwrap_or_default().minus(&good);
                if rest.is_empty() {
                    want.asked.remove(&asked);
                } else {
                    assignment.owed.insert(key, rest);
                }
            }
            if want.missing.is_empty() {
                let fetches = want.fetches.iter().copied().collect();
                decisions.push(Decision::Complete { blob: *blob, fetches });
                self.forget(&key);
            } else {
                self.refresh_free(key);
            }
        }
        let Some(assignment) = self.assignments.get_mut(&id) else { return };
        if brought > 0 {
            assignment.brought = assignment.brought.saturating_add(brought);
            assignment.last_progress = now;
            let _ = assignment.stalled(now);
            if let Some(source) = self.sources.get_mut(&assignment.peer) {
                source.delivered(brought, now);
            }
        }
        self.account_not_held(now, id, &report.not_held);
    }

    /// The want that a report means by a blob. A late report of an assignment that is over counts
    /// where only one size of the blob is wanted.
    fn key_of(&self, id: AssignmentId, blob: &BlobId) -> Option<Key> {
        if let Some(assignment) = self.assignments.get(&id) {
            return assignment.key_of(blob).or_else(|| self.only_key_of(blob));
        }
        self.only_key_of(blob)
    }

    fn only_key_of(&self, blob: &BlobId) -> Option<Key> {
        let mut keys = self.wants.range((*blob, 0)..=(*blob, u64::MAX)).map(|(key, _)| *key);
        keys.next().filter(|_| keys.next().is_none())
    }

    fn account_not_held(&mut self, now: Time, id: AssignmentId, blobs: &[BlobId]) {
        for blob in blobs {
            let Some(assignment) = self.assignments.get_mut(&id) else { return };
            let Some(key) = assignment.key_of(blob) else { continue };
            let Some(owed) = assignment.owed.remove(&key) else { continue };
            assignment.not_held += 1;
            assignment.asked = assignment.asked.saturating_sub(owed.bytes());
            if let Some(source) = self.sources.get_mut(&assignment.peer) {
                source.blobs.insert(key, Offer::Nothing);
            }
            if let Some(want) = self.wants.get_mut(&key) {
                want.asked.remove(&id);
            }
            self.refresh_free(key);
            self.doubt(now, key);
        }
    }

    /// Judges a peer by the end of its assignment, which is no longer in flight.
    pub(super) fn judge(
        &mut self,
        now: Time,
        assignment: &Assignment,
        end: End,
        decisions: &mut Vec<Decision>,
    ) {
        let Some(source) = self.sources.get_mut(&assignment.peer) else { return };
        let had_nothing = assignment.not_held == assignment.order.len();
        let offence = match end {
            End::Local => {
                for key in assignment.owed.keys() {
                    if let Some(want) = self.wants.get_mut(key) {
                        want.halted = true;
                    }
                    self.refresh_free(*key);
                }
                None
            }
            End::Overload => {
                source.failed(now);
                None
            }
            End::Finished if had_nothing => {
                let claimed = Self::distrust(&self.wants, source, &assignment.order);
                claimed.then(|| source.failed(now)).map(|()| Offence::FalseClaim)
            }
            End::Finished if assignment.owed.is_empty() => None,
            End::WrongSize(blob) => {
                // The size is somebody's claim, and as a rule the peer is the one that is right:
                // it holds the blob. It is not asked for this size again, and not blamed.
                let key = assignment.key_of(&blob);
                if let Some(want) = key.and_then(|key| self.wants.get_mut(&key)) {
                    want.rule_out(&assignment.peer);
                }
                None
            }
            End::Lied(blob) => {
                source.lied.extend(assignment.key_of(&blob));
                source.lies += 1;
                source.failed(now);
                // The peer's other responses are no more credible.
                for other in source.in_flight.clone() {
                    decisions.push(Decision::StopDownload(other));
                    self.take_assignment(other, now);
                }
                Some(Offence::BadBytes)
            }
            End::Finished | End::Closed | End::Stalled => {
                source.failed(now);
                if let (0, Some(key)) = (assignment.brought, assignment.current())
                    && let Some(want) = self.wants.get_mut(&key)
                {
                    want.blame(&assignment.peer);
                }
                Some(Offence::Stalled)
            }
        };
        for key in &assignment.order {
            self.doubt(now, *key);
        }
        // Benching a peer puts its other blobs in doubt, too.
        let benched = |source: &Source| source.benched_until > now || source.lies >= limits::LIES;
        if self.sources.get(&assignment.peer).is_some_and(benched) {
            self.doubt_all(now);
        }
        decisions.extend(
            offence.map(|offence| Decision::Penalise { peer: assignment.peer.clone(), offence }),
        );
    }

    /// Lowers trust in a peer's claims about fetches of which it held nothing. Returns whether it
    /// had claimed to hold one of the blobs.
    fn distrust(wants: &BTreeMap<Key, Want>, source: &mut Source, keys: &[Key]) -> bool {
        let fetches: BTreeSet<_> =
            keys.iter().filter_map(|key| wants.get(key)).flat_map(|want| &want.fetches).collect();
        let mut claimed = false;
        for fetch in fetches {
            if let Some(offer) = source.fetches.get_mut(fetch) {
                claimed |= *offer == Offer::All;
                *offer = if *offer == Offer::All { Offer::Perhaps } else { Offer::Nothing };
            }
        }
        claimed
    }
}
