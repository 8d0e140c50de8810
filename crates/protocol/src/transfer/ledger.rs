//! Keeps the derived state consistent with wants, assignments and sources: free ranges, the ready
//! list, doubts. Every change to owed ranges goes through this module.

use perennial_manifest::BlobId;

use super::assignment::Assignment;
use super::ranges::Ranges;
use super::{AssignmentId, Decision, End, Transfer};
use crate::peer::PeerId;
use crate::time::Time;

impl Transfer {
    /// Adds an assignment in flight.
    pub(super) fn assign(
        &mut self,
        now: Time,
        peer: &PeerId,
        items: Vec<(BlobId, Ranges)>,
        decisions: &mut Vec<Decision>,
    ) {
        let id = AssignmentId(self.next_assignment);
        self.next_assignment += 1;
        let assignment = Assignment::new(peer.clone(), items, now);
        let start = Decision::StartDownload {
            assignment: id,
            peer: peer.clone(),
            items: assignment.items(&self.wants),
        };
        let blobs = assignment.order.clone();
        self.assignments.insert(id, assignment);
        if let Some(source) = self.sources.get_mut(peer) {
            source.started(id, now);
        }
        for blob in blobs {
            if let Some(want) = self.wants.get_mut(&blob) {
                want.asked.insert(id);
                want.told = None;
            }
            self.refresh_free(blob);
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
        for blob in assignment.owed.keys() {
            if let Some(want) = self.wants.get_mut(blob) {
                want.asked.remove(&id);
            }
            self.refresh_free(*blob);
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
    pub(super) fn forget(&mut self, blob: &BlobId) {
        let Some(want) = self.wants.remove(blob) else { return };
        self.ready.remove(&(want.order, *blob));
        self.free_bytes -= u128::from(want.free.bytes());
        self.doubts.remove(blob);
        for id in &want.asked {
            if let Some(assignment) = self.assignments.get_mut(id) {
                assignment.owed.remove(blob);
            }
        }
        for source in self.sources.values_mut() {
            source.blobs.remove(blob);
        }
    }

    /// Recomputes the free ranges of a blob: those missing and owed by no assignment.
    pub(super) fn refresh_free(&mut self, blob: BlobId) {
        let Some(want) = self.wants.get_mut(&blob) else { return };
        let mut free = want.missing.clone();
        for id in &want.asked {
            if let Some(owed) = self.assignments.get(id).and_then(|found| found.owed.get(&blob)) {
                free = free.minus(owed);
            }
        }
        if !free.minus(&want.free).is_empty() {
            self.generation += 1;
        }
        self.free_bytes -= u128::from(want.free.bytes());
        self.free_bytes += u128::from(free.bytes());
        want.free = free;
        let key = (want.order, blob);
        if want.free.is_empty() || want.halted {
            self.ready.remove(&key);
        } else {
            self.ready.insert(key);
        }
    }

    pub(super) fn doubt(&mut self, now: Time, blob: BlobId) {
        self.doubts.insert(blob);
        self.doubt_since.get_or_insert(now);
    }

    pub(super) fn doubt_all(&mut self, now: Time) {
        self.doubts
            .extend(self.wants.iter().filter(|(_, want)| want.asked.is_empty()).map(|(b, _)| *b));
        if !self.doubts.is_empty() {
            self.doubt_since.get_or_insert(now);
        }
    }
}
