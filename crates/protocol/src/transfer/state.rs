//! The state of the transfer machine, and its commands. `ledger` keeps its parts consistent,
//! `judge` evaluates the results of assignments, `schedule` assigns ranges to peers.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::BlobId;

use super::assignment::Assignment;
use super::source::{Offer, Source};
use super::want::Want;
use super::{AssignmentId, Command, Decision, End, Has, Key, Reason, Report, Subject, limits};
use crate::input::FetchId;
use crate::peer::PeerId;
use crate::time::Time;

/// The machine. Plain data: machines with the same seed and the same commands are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(super) seed: u64,
    pub(super) wants: BTreeMap<Key, Want>,
    pub(super) sources: BTreeMap<PeerId, Source>,
    pub(super) assignments: BTreeMap<AssignmentId, Assignment>,
    /// Wants with free ranges that are not halted, in the order in which they are served.
    pub(super) ready: BTreeSet<(u64, Key)>,
    pub(super) free_bytes: u128,
    /// Counts events that may give an idle peer work.
    pub(super) generation: u64,
    /// Blobs that may have no peer left to ask.
    pub(super) doubts: BTreeSet<Key>,
    /// The time of the oldest doubt.
    pub(super) doubt_since: Option<Time>,
    /// When idle peers may next look for work to take over.
    pub(super) steal_after: Time,
    pub(super) tick_due: bool,
    pub(super) wake: Option<Time>,
    pub(super) next_assignment: u64,
    next_order: u64,
}

impl Transfer {
    /// An empty machine. The seed only orders equal peers, so that different nodes begin with
    /// different peers.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            wants: BTreeMap::new(),
            sources: BTreeMap::new(),
            assignments: BTreeMap::new(),
            ready: BTreeSet::new(),
            free_bytes: 0,
            generation: 0,
            doubts: BTreeSet::new(),
            doubt_since: None,
            steal_after: Time::ZERO,
            tick_due: false,
            wake: None,
            next_assignment: 0,
            next_order: 0,
        }
    }

    /// Handles a command and returns the decisions that follow.
    ///
    /// `Want` and `Holder` only record the command and request a tick at once, so that small blobs
    /// wanted in succession share assignments: after a burst, carry out the last
    /// [`Decision::WakeAt`].
    pub(crate) fn handle(&mut self, now: Time, command: Command) -> Vec<Decision> {
        let mut decisions = Vec::new();
        match command {
            Command::Want { fetch, blob, size, missing } => {
                self.want(now, fetch, blob, size, missing.as_deref(), &mut decisions);
            }
            Command::Cancel(fetch) => self.cancel(fetch, now, &mut decisions),
            Command::Holder { peer, subject, has } => self.holder(now, peer, subject, has),
            Command::Gone(peer) => self.gone(now, &peer),
            Command::Progress(id, report) => self.progress(now, id, &report, &mut decisions),
            Command::Ended(id, report, end) => self.ended(now, id, &report, end, &mut decisions),
            Command::Tick => self.tick(now, &mut decisions),
        }
        self.wake_if_changed(now, &mut decisions);
        decisions
    }

    /// The peer of an assignment in flight.
    #[must_use]
    pub(crate) fn peer_of(&self, assignment: AssignmentId) -> Option<&PeerId> {
        self.assignments.get(&assignment).map(|found| &found.peer)
    }

    fn want(
        &mut self,
        now: Time,
        fetch: FetchId,
        blob: BlobId,
        size: u64,
        missing: Option<&[(u64, u64)]>,
        decisions: &mut Vec<Decision>,
    ) {
        let key = (blob, size);
        if let Some(want) = self.wants.get_mut(&key) {
            self.ready.remove(&(want.order, key));
            want.fetches.insert(fetch);
            want.failures.clear();
            want.halted = false;
            want.told = None;
        } else if self.wants.len() >= limits::WANTS {
            decisions.push(Decision::Stuck { fetch, blobs: vec![blob], reason: Reason::TooMany });
            return;
        } else {
            let mut want = Want::new(size, missing, self.next_order);
            if want.missing.is_empty() {
                decisions.push(Decision::Complete { blob, fetches: vec![fetch] });
                return;
            }
            self.next_order += 1;
            want.fetches.insert(fetch);
            self.free_bytes += u128::from(want.free.bytes());
            self.wants.insert(key, want);
        }
        self.refresh_free(key);
        self.doubt(now, key);
        self.generation += 1;
        self.tick_due = true;
    }

    fn cancel(&mut self, fetch: FetchId, now: Time, decisions: &mut Vec<Decision>) {
        let mut unwanted = Vec::new();
        for (key, want) in &mut self.wants {
            if want.fetches.remove(&fetch) && want.fetches.is_empty() {
                unwanted.push(*key);
            }
        }
        for source in self.sources.values_mut() {
            source.fetches.remove(&fetch);
        }
        for key in unwanted {
            self.forget(&key);
        }
        self.drop_idle_assignments(now, decisions);
        self.doubt_all(now);
        self.schedule(now, decisions);
    }

    fn holder(&mut self, now: Time, peer: PeerId, subject: Subject, has: Has) {
        if matches!(subject, Subject::Blob(blob, size) if !self.wants.contains_key(&(blob, size))) {
            // No state is kept for blobs that are not wanted.
            return;
        }
        let offer = match has {
            Has::Held => Offer::All,
            Has::Unknown => Offer::Perhaps,
        };
        if !self.sources.contains_key(&peer) && !self.make_room() {
            return;
        }
        let source = self.sources.entry(peer).or_default();
        source.connected = true;
        source.idle_at = None;
        match subject {
            Subject::Blob(blob, size) => {
                source.blobs.insert((blob, size), offer);
                self.doubt(now, (blob, size));
            }
            Subject::Fetch(fetch) => {
                if source.fetches.len() < limits::FETCHES_PER_SOURCE
                    || source.fetches.contains_key(&fetch)
                {
                    source.fetches.insert(fetch, offer);
                }
            }
        }
        self.tick_due = true;
    }

    /// Makes room for one more source by forgetting a disconnected one.
    fn make_room(&mut self) -> bool {
        if self.sources.len() < limits::SOURCES {
            return true;
        }
        let left = self.sources.iter().filter(|(_, source)| !source.connected);
        let Some(peer) = left.min_by_key(|(_, source)| source.lies).map(|(peer, _)| peer.clone())
        else {
            return false;
        };
        self.sources.remove(&peer).is_some()
    }

    fn gone(&mut self, now: Time, peer: &PeerId) {
        let Some(source) = self.sources.get(peer) else { return };
        for id in source.in_flight.clone() {
            self.take_assignment(id, now);
        }
        if let Some(source) = self.sources.get_mut(peer) {
            source.connected = false;
            source.fetches.clear();
            source.blobs.clear();
            if source.lies == 0 && source.failures == 0 && source.benched_until <= now {
                self.sources.remove(peer);
            }
        }
        self.doubt_all(now);
        self.tick_due = true;
    }

    fn progress(
        &mut self,
        now: Time,
        id: AssignmentId,
        report: &Report,
        decisions: &mut Vec<Decision>,
    ) {
        self.account(now, id, report, decisions);
        self.drop_idle_assignments(now, decisions);
        self.schedule(now, decisions);
    }

    fn ended(
        &mut self,
        now: Time,
        id: AssignmentId,
        report: &Report,
        end: End,
        decisions: &mut Vec<Decision>,
    ) {
        self.account(now, id, report, decisions);
        if let Some(assignment) = self.take_assignment(id, now) {
            self.judge(now, &assignment, end, decisions);
        }
        self.drop_idle_assignments(now, decisions);
        self.schedule(now, decisions);
    }

    fn tick(&mut self, now: Time, decisions: &mut Vec<Decision>) {
        self.wake = None;
        self.tick_due = false;
        let oldest: Vec<_> =
            self.sources.values().filter_map(|source| source.in_flight.first().copied()).collect();
        for id in oldest {
            if self.assignments.get_mut(&id).is_some_and(|found| found.stalled(now)) {
                decisions.push(Decision::StopDownload(id));
                if let Some(assignment) = self.take_assignment(id, now) {
                    self.judge(now, &assignment, End::Stalled, decisions);
                }
            }
        }
        self.schedule(now, decisions);
        self.say_stuck(now, decisions);
    }
}
