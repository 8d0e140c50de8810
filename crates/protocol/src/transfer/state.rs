//! The transfer machine's state and its commands. `ledger` keeps its parts consistent, `judge` weighs
//! what assignments brought, `schedule` decides who is asked for what.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::BlobId;

use super::{
    AssignmentId, Command, Effect, End, Has, Reason, Report, SetId, Subject,
    assignment::Assignment,
    limits,
    ranges::Ranges,
    source::{Offer, Source},
    want::Want,
};
use crate::{peer::PeerId, time::Time};

/// The machine. Plain data: two with the same seed and the same commands are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub(super) seed: u64,
    pub(super) wants: BTreeMap<BlobId, Want>,
    pub(super) sources: BTreeMap<PeerId, Source>,
    pub(super) assignments: BTreeMap<AssignmentId, Assignment>,
    /// Wants with free ranges that do not rest, in the order they are served.
    pub(super) ready: BTreeSet<(u8, u64, BlobId)>,
    pub(super) free_bytes: u128,
    /// Counts what may give an idle peer work.
    pub(super) generation: u64,
    /// Blobs that may have nobody left to ask, and since when the oldest doubt stands.
    pub(super) doubts: BTreeSet<BlobId>,
    pub(super) doubt_since: Option<Time>,
    /// When idle peers may next look for work to take over.
    pub(super) steal_after: Time,
    pub(super) tick_due: bool,
    pub(super) wake: Option<Time>,
    pub(super) next_assignment: u64,
    next_order: u64,
}

impl Transfer {
    /// An empty machine. The seed only decides which of equal peers is asked first, so that not
    /// every node begins with the same one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
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

    /// Does what a command asks and says what is to be done about it.
    ///
    /// `Want` and `Holder` only take note and ask for a tick at once, so that many small blobs said
    /// one after the other travel together: carry out the last [`Effect::WakeAt`] after a burst.
    pub fn handle(&mut self, now: Time, command: Command) -> Vec<Effect> {
        let mut effects = Vec::new();
        match command {
            Command::Want { set, blob, size, missing, priority } => {
                self.want(now, set, blob, size, missing.as_deref(), priority, &mut effects);
            }
            Command::Cancel(set) => self.cancel(set, now, &mut effects),
            Command::Holder { peer, subject, has } => self.holder(now, peer, subject, &has),
            Command::Gone(peer) => self.gone(now, &peer),
            Command::Progress(id, report) => self.progress(now, id, &report, &mut effects),
            Command::Ended(id, report, end) => self.ended(now, id, &report, end, &mut effects),
            Command::Tick => self.tick(now, &mut effects),
        }
        self.wake_if_changed(now, &mut effects);
        effects
    }

    /// How many bytes of a wanted blob are not verified yet; `None` when it is not wanted.
    #[must_use]
    pub fn missing_bytes(&self, blob: &BlobId) -> Option<u64> {
        self.wants.get(blob).map(|want| want.missing.bytes())
    }

    /// How many blobs are wanted and not complete.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.wants.len()
    }

    /// The peer of an assignment in flight.
    #[must_use]
    pub fn peer_of(&self, assignment: AssignmentId) -> Option<&PeerId> {
        self.assignments.get(&assignment).map(|found| &found.peer)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command")]
    fn want(
        &mut self,
        now: Time,
        set: SetId,
        blob: BlobId,
        size: u64,
        missing: Option<&[(u64, u64)]>,
        priority: u8,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(want) = self.wants.get_mut(&blob) {
            self.ready.remove(&(want.priority, want.order, blob));
            want.sets.insert(set);
            want.priority = want.priority.min(priority);
            want.failures.clear();
            want.halted = false;
            want.told = None;
        } else if self.wants.len() >= limits::WANTS {
            effects.push(Effect::Stuck { set, blobs: vec![blob], reason: Reason::TooMany });
            return;
        } else {
            let mut want = Want::new(size, missing, priority, self.next_order);
            if want.missing.is_empty() {
                effects.push(Effect::Complete { blob, sets: vec![set] });
                return;
            }
            self.next_order += 1;
            want.sets.insert(set);
            self.free_bytes += u128::from(want.free.bytes());
            self.wants.insert(blob, want);
        }
        self.refresh_free(blob);
        self.doubt(now, blob);
        self.generation += 1;
        self.tick_due = true;
    }

    fn cancel(&mut self, set: SetId, now: Time, effects: &mut Vec<Effect>) {
        let mut unwanted = Vec::new();
        for (blob, want) in &mut self.wants {
            if want.sets.remove(&set) && want.sets.is_empty() {
                unwanted.push(*blob);
            }
        }
        for source in self.sources.values_mut() {
            source.sets.remove(&set);
        }
        for blob in unwanted {
            self.forget(&blob);
        }
        self.drop_idle_assignments(now, effects);
        self.doubt_all(now);
        self.schedule(now, effects);
    }

    fn holder(&mut self, now: Time, peer: PeerId, subject: Subject, has: &Has) {
        let offer = match (subject, has) {
            (Subject::Blob(blob), has) => {
                // Nothing is remembered about blobs that nobody wants.
                let Some(want) = self.wants.get(&blob) else { return };
                match has {
                    Has::Held => Offer::All,
                    Has::Partial(ranges) => Offer::Some(
                        Ranges::from_untrusted(ranges, want.size).shrunk(limits::GROUP, want.size),
                    ),
                    Has::Unknown => Offer::Perhaps,
                    Has::Missing => Offer::Nothing,
                }
            }
            (Subject::Set(_), Has::Held) => Offer::All,
            (Subject::Set(_), Has::Partial(_) | Has::Unknown) => Offer::Perhaps,
            (Subject::Set(_), Has::Missing) => Offer::Nothing,
        };
        if !self.sources.contains_key(&peer) && !self.make_room() {
            return;
        }
        let source = self.sources.entry(peer).or_default();
        source.connected = true;
        source.idle_at = None;
        let worse = offer == Offer::Nothing && source.has_something();
        match subject {
            Subject::Blob(blob) => {
                source.blobs.insert(blob, offer);
                self.doubt(now, blob);
            }
            Subject::Set(set) => {
                if source.sets.len() < limits::SETS_PER_SOURCE || source.sets.contains_key(&set) {
                    source.sets.insert(set, offer);
                }
                if worse {
                    self.doubt_all(now);
                }
            }
        }
        self.tick_due = true;
    }

    /// Room for one more source; those who left go first.
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
            source.sets.clear();
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
        effects: &mut Vec<Effect>,
    ) {
        self.account(now, id, report, effects);
        self.drop_idle_assignments(now, effects);
        self.schedule(now, effects);
    }

    fn ended(
        &mut self,
        now: Time,
        id: AssignmentId,
        report: &Report,
        end: End,
        effects: &mut Vec<Effect>,
    ) {
        self.account(now, id, report, effects);
        if let Some(assignment) = self.take_assignment(id, now) {
            self.judge(now, &assignment, end, effects);
        }
        self.drop_idle_assignments(now, effects);
        self.schedule(now, effects);
    }

    fn tick(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.wake = None;
        self.tick_due = false;
        let oldest: Vec<_> =
            self.sources.values().filter_map(|source| source.in_flight.first().copied()).collect();
        for id in oldest {
            if self.assignments.get_mut(&id).is_some_and(|found| found.stalled(now)) {
                effects.push(Effect::CancelFetch(id));
                if let Some(assignment) = self.take_assignment(id, now) {
                    self.judge(now, &assignment, End::Stalled, effects);
                }
            }
        }
        self.schedule(now, effects);
        self.say_stuck(now, effects);
    }
}
