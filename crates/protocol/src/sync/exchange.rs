//! One exchange with one peer, as a machine of its own: reconcile, request missing entries, store,
//! request parents, next scope. Performs one step at a time, so that a slow store slows the
//! exchange and no work piles up.

mod answers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use perennial_manifest::{EntryId, SignedEntry};

use super::set::{self, Lacking, Set, Sets};
use super::{BYTES, PARENT_ROUNDS, ROUNDS};
use crate::catalog::Catalog;
use crate::message::{Bounded, MAX_ENTRY_IDS, Request, Scope};
use crate::time::Time;

/// How long an exchange may bring nothing while others wait for its place.
pub(super) const QUIET: Duration = Duration::from_secs(10);
/// Bytes a second of an exchange that brings nothing new, at least, while others wait: a million
/// ids come in less than nine minutes.
const PACE: u64 = 64 << 10;

/// The next step of an exchange.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing to do until the peer or the store answers.
    Wait,
    Ask(Request),
    /// The entries of a scope are needed.
    Seal(Scope),
    Store(Vec<SignedEntry>),
    Done {
        complete: bool,
    },
}

/// The response does not fit the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit;

#[derive(Debug)]
enum Waiting {
    Nothing,
    Set(Scope),
    Round,
    Entries(BTreeSet<EntryId>),
    Store,
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    scopes: VecDeque<(Scope, u64)>,
    /// Entries that may still be requested in the current scope.
    left: u64,
    /// The scope being reconciled, and the set of its entries that this node had at the start.
    current: Option<(Scope, Set)>,
    /// The message of the next round.
    message: Option<Vec<u8>>,
    waiting: Waiting,
    /// Missing entries found so far; sorted when the rounds are over.
    found: Vec<Lacking>,
    lacking: VecDeque<EntryId>,
    /// Parents to request.
    parents: BTreeSet<EntryId>,
    /// Parents already requested; each is requested once.
    parents_asked: BTreeSet<EntryId>,
    ready: Vec<SignedEntry>,
    orphans: BTreeMap<EntryId, SignedEntry>,
    /// Entries sent to the store, kept in case a verdict calls them orphans.
    storing: BTreeMap<EntryId, SignedEntry>,
    rounds: u32,
    parent_rounds: u32,
    new: u64,
    sent: u64,
    received: u64,
    cut_short: bool,
    /// When this node last waited for itself, or got something new, and what had come by then.
    moved: (Time, u64),
}

impl Exchange {
    pub(super) const fn new(now: Time, scopes: VecDeque<(Scope, u64)>) -> Self {
        Self {
            scopes,
            left: 0,
            current: None,
            message: None,
            waiting: Waiting::Nothing,
            found: Vec::new(),
            lacking: VecDeque::new(),
            parents: BTreeSet::new(),
            parents_asked: BTreeSet::new(),
            ready: Vec::new(),
            orphans: BTreeMap::new(),
            storing: BTreeMap::new(),
            rounds: 0,
            parent_rounds: 0,
            new: 0,
            sent: 0,
            received: 0,
            cut_short: false,
            moved: (now, 0),
        }
    }

    /// The scope being reconciled.
    pub(super) fn scope(&self) -> Option<&Scope> {
        self.current.as_ref().map(|(scope, _)| scope)
    }

    /// Until when the peer may take for what it is asked, if others wait for the place; `None`
    /// while it is this node that takes its time. What came since something new did counts, not the
    /// number of answers.
    pub(super) fn patience(&self) -> Option<Time> {
        if !matches!(self.waiting, Waiting::Round | Waiting::Entries(_)) {
            return None;
        }
        let (since, had) = self.moved;
        let millis = self.received.saturating_sub(had).saturating_mul(1000) / PACE;
        Some(since + QUIET + Duration::from_millis(millis))
    }

    pub(super) const fn totals(&self) -> (u64, u64, u64) {
        (self.new, self.sent, self.received)
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
            + self.lacking.len()
            + self.orphans.len()
            + self.parents_asked.len()
            + self.storing.len()
    }

    /// The next step; [`Step::Wait`] while an answer is outstanding.
    pub(super) fn step(&mut self, now: Time, sets: &Sets, catalog: &dyn Catalog) -> Step {
        if !matches!(self.waiting, Waiting::Nothing) {
            return Step::Wait;
        }
        if !self.ready.is_empty() {
            return self.give_to_store();
        }
        if self.sent + self.received > BYTES {
            return Step::Done { complete: false };
        }
        if self.message.is_none() {
            if !self.found.is_empty() {
                self.found.sort_by_key(|(end, _)| *end);
                self.lacking =
                    std::mem::take(&mut self.found).into_iter().map(|(_, id)| id).collect();
            }
            if let Some(ids) = self.next_ids(catalog) {
                self.waiting = Waiting::Entries(ids.iter().copied().collect());
                return self.ask(Request::Entries { ids });
            }
            let Some((scope, most)) = self.scopes.pop_front() else {
                return Step::Done { complete: !self.cut_short && self.orphans.is_empty() };
            };
            self.left = most;
            let Some(set) = sets.get(now, &scope, catalog) else {
                self.waiting = Waiting::Set(scope.clone());
                return Step::Seal(scope);
            };
            self.begin(scope, set);
        }
        let (Some(message), Some((scope, _))) = (self.message.take(), &self.current) else {
            return Step::Done { complete: false };
        };
        self.rounds += 1;
        if self.rounds > ROUNDS {
            return Step::Done { complete: false };
        }
        let request = Request::Reconcile { scope: scope.clone(), message };
        self.waiting = Waiting::Round;
        self.ask(request)
    }

    fn begin(&mut self, scope: Scope, set: Set) {
        self.message = set::begin(&set).ok();
        self.current = Some((scope, set));
    }

    /// Takes the entries of a scope, or leaves the scope out. Returns whether it has waited for
    /// them.
    pub(super) fn sealed(&mut self, now: Time, scope: &Scope, set: Option<&Set>) -> bool {
        if !matches!(&self.waiting, Waiting::Set(waited) if waited == scope) {
            return false;
        }
        self.waiting = Waiting::Nothing;
        self.moved = (now, self.received);
        match set {
            Some(set) => self.begin(scope.clone(), Set::clone(set)),
            None => self.cut_short = true,
        }
        true
    }

    fn ask(&mut self, request: Request) -> Step {
        let size = match &request {
            Request::Reconcile { scope: Scope::Publishers(some), message } => {
                message.len() + 34 * some.len()
            }
            Request::Reconcile { message, .. } => message.len(),
            Request::Entries { ids } => 34 * ids.len(),
            _ => 0,
        };
        self.sent += u64::try_from(size).unwrap_or(u64::MAX);
        Step::Ask(request)
    }

    fn next_ids(&mut self, catalog: &dyn Catalog) -> Option<Bounded<EntryId, MAX_ENTRY_IDS>> {
        let mut ids = Vec::new();
        let most = usize::try_from(self.left).unwrap_or(MAX_ENTRY_IDS).min(MAX_ENTRY_IDS);
        if !self.parents.is_empty() && self.parent_rounds < PARENT_ROUNDS {
            self.parent_rounds += 1;
            while ids.len() < most {
                let Some(id) = self.parents.pop_first() else { break };
                self.parents_asked.insert(id);
                if !catalog.has_entry(&id) {
                    ids.push(id);
                }
            }
        }
        while ids.len() < most {
            let Some(id) = self.lacking.pop_front() else { break };
            if !catalog.has_entry(&id) && !ids.contains(&id) {
                ids.push(id);
            }
        }
        self.left = self.left.saturating_sub(ids.len() as u64);
        if ids.is_empty() && self.left == 0 {
            self.leave_scope();
        }
        (!ids.is_empty()).then(|| Bounded::first_of(ids))
    }

    /// Asks for nothing more in the current scope.
    fn leave_scope(&mut self) {
        self.cut_short |= !self.lacking.is_empty() || !self.parents.is_empty();
        self.left = 0;
        self.lacking.clear();
        self.parents.clear();
        self.orphans.clear();
    }

    /// Sends all available entries to the store, each feed in order, including earlier orphans.
    fn give_to_store(&mut self) -> Step {
        let mut entries = std::mem::take(&mut self.ready);
        entries.extend(std::mem::take(&mut self.orphans).into_values());
        entries.sort_by_key(|entry| (entry.entry().seq, entry.id()));
        entries.dedup_by_key(|entry| entry.id());
        self.storing = entries.iter().map(|entry| (entry.id(), entry.clone())).collect();
        self.waiting = Waiting::Store;
        Step::Store(entries)
    }
}
