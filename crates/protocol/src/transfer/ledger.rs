//! Keeps the derived state consistent with wants, assignments and sources: free ranges, the ready
//! list, doubts. Every change to owed ranges goes through this module.

use super::assignment::Assignment;
use super::ranges::Ranges;
use super::{AssignmentId, Decision, End, Key, Transfer};
use crate::peer::PeerId;
use crate::time::Time;

impl Transfer {
    /// Adds an assignment in flight.
    pub(super) fn assign(
        &mut self,
        now: Time,
        peer: &PeerId,
        items: Vec<(Key, Ranges)>,
        decisions: &mut Vec<Decision>,
    ) {
        let id = AssignmentId(self.next_assignment);
        self.next_assignment += 1;
        let assignment = Assignment::new(peer.clone(), items, now);
        let start = Decision::StartDownload {
            assignment: id,
            peer: peer.clone(),
            items: assignment.items(),
        };
        let keys = assignment.order.clone();
        self.assignments.insert(id, assignment);
        if let Some(source) = self.sources.get_mut(peer) {
            source.started(id, now);
        }
        for key in keys {
            if let Some(want) = self.wants.get_mut(&key) {
                want.asked.insert(id);
                want.told = None;
            }
            self.refresh_free(key);
        }
        decisions.push(start);
    }

    /// Removes an assignment. The ranges it owed become free, unless another assignment owes them
    /// as well.
    pub(super) fn take_assignment(&mut self, id: AssignmentId, now: Time) -> Option<Assignment> {
        let assignment = self.assignments.remove(&id)?;
        if let Some(source) = self.sources.get_mut(&assignment.peer) {
            let was_oldest = source.in_flight.first() == Some(&id);
            source.in_flight.retain(|other| *other != id);
            source.idle_at = None;
            if let (true, Some(next)) = (was_oldest, source.in_flight.first())
                && let Some(next) = self.assignments.get_mut(next)
            {
                next.restart_window(now);
            }
        }
        for key in assignment.owed.keys() {
            if let Some(want) = self.wants.get_mut(key) {
                want.asked.remove(&id);
            }
            self.refresh_free(*key);
        }
        Some(assignment)
    }

    /// Ends assignments that no longer owe anything, and stops those with bytes still in transit.
    pub(super) fn drop_idle_assignments(&mut self, now: Time, decisions: &mut Vec<Decision>) {
        let idle: Vec<_> = self
            .assignments
            .iter()
            .filter(|(_, found)| found.owed.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            let Some(found) = self.take_assignment(id, now) else { continue };
            if found.brought < found.asked {
                decisions.push(Decision::StopDownload(id));
            }
            self.judge(now, &found, End::Finished, decisions);
        }
    }

    /// Forgets a want and every trace of it.
    pub(super) fn forget(&mut self, key: &Key) {
        let Some(want) = self.wants.remove(key) else { return };
        self.ready.remove(&(want.order, *key));
        self.free_bytes -= u128::from(want.free.bytes());
        self.doubts.remove(key);
        for id in &want.asked {
            if let Some(assignment) = self.assignments.get_mut(id) {
                assignment.owed.remove(key);
            }
        }
        for source in self.sources.values_mut() {
            source.blobs.remove(key);
        }
    }

    /// Recomputes the free ranges of a want: those missing and owed by no assignment.
    pub(super) fn refresh_free(&mut self, key: Key) {
        let Some(want) = self.wants.get_mut(&key) else { return };
        let mut free = want.missing.clone();
        for id in &want.asked {
            if let Some(owed) = self.assignments.get(id).and_then(|found| found.owed.get(&key)) {
                free = free.minus(owed);
            }
        }
        if !free.minus(&want.free).is_empty() {
            self.generation += 1;
        }
        self.free_bytes -= u128::from(want.free.bytes());
        self.free_bytes += u128::from(free.bytes());
        want.free = free;
        let place = (want.order, key);
        if want.free.is_empty() || want.halted {
            self.ready.remove(&place);
        } else {
            self.ready.insert(place);
        }
    }

    pub(super) fn doubt(&mut self, now: Time, key: Key) {
        self.doubts.insert(key);
        self.doubt_since.get_or_insert(now);
    }

    pub(super) fn doubt_all(&mut self, now: Time) {
        self.doubts.extend(
            self.wants.iter().filter(|(_, want)| want.asked.is_empty()).map(|(key, _)| *key),
        );
        if !self.doubts.is_empty() {
            self.doubt_since.get_or_insert(now);
        }
    }
}
