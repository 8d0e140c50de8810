//! The invariants that hold after every command, as one function with typed violations.

use std::collections::BTreeMap;

use perennial_manifest::BlobId;

use crate::effect::DownloadItem;
use crate::input::FetchId;
use crate::peer::PeerId;
use crate::transfer::ranges::Ranges;
use crate::transfer::{AssignmentId, Decision, Transfer, limits};

/// A broken invariant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// Ranges that are empty, unsorted, touching, unaligned or beyond the size.
    Unsound(&'static str, BlobId),
    /// An assignment owes bytes that are not missing, or a blob that is not wanted.
    OwesWhatIsNotMissing(AssignmentId, BlobId),
    /// The ready list, the free bytes or the free ranges do not match the other state.
    Bookkeeping(&'static str),
    /// More assignments are in flight than allowed.
    TooMuchInFlight(PeerId),
    /// A byte is requested twice from one peer, or from too many peers.
    TooManyCopies(BlobId),
    /// A peer is asked for a blob it lied about or failed too often.
    RuledOut(PeerId, BlobId),
    /// A disconnected peer has an assignment in flight.
    AskedTheGone(PeerId),
    /// State is kept for a fetch or blob that is not wanted.
    Hoarding(PeerId),
    /// A request could not be sent or would be refused.
    BadRequest(AssignmentId, &'static str),
}

/// Checks the whole state.
pub(super) fn check(machine: &Transfer) -> Result<(), Violation> {
    let mut free_bytes = 0_u128;
    let mut ready = std::collections::BTreeSet::new();
    for (key, want) in &machine.wants {
        let (blob, size) = key;
        if *size != want.size {
            return Err(Violation::Bookkeeping("the size of a want"));
        }
        sound("missing", blob, &want.missing, want.size)?;
        if want.missing.is_empty() || want.fetches.is_empty() {
            return Err(Violation::Bookkeeping("a want without missing bytes or fetches"));
        }
        let mut free = want.missing.clone();
        let mut owed_by = BTreeMap::<PeerId, Ranges>::new();
        let mut layers: Vec<Ranges> = Vec::new();
        for id in &want.asked {
            let assignment = machine.assignments.get(id).ok_or(Violation::Bookkeeping("asked"))?;
            let owed = assignment.owed.get(key).ok_or(Violation::Bookkeeping("owed"))?;
            sound("owed", blob, owed, want.size)?;
            if owed.is_empty() || !owed.minus(&want.missing).is_empty() {
                return Err(Violation::OwesWhatIsNotMissing(*id, *blob));
            }
            if let Some(before) = owed_by.insert(assignment.peer.clone(), owed.clone())
                && !overlap(&before, owed).is_empty()
            {
                return Err(Violation::TooManyCopies(*blob));
            }
            layers.push(owed.clone());
            free = free.minus(owed);
            let source = &machine.sources[&assignment.peer];
            if source.lied.contains(key) {
                return Err(Violation::RuledOut(assignment.peer.clone(), *blob));
            }
        }
        for (i, a) in layers.iter().enumerate() {
            for (j, b) in layers.iter().enumerate().skip(i + 1) {
                if layers.iter().skip(j + 1).any(|c| !overlap(&overlap(a, b), c).is_empty()) {
                    return Err(Violation::TooManyCopies(*blob));
                }
            }
        }
        if free != want.free {
            return Err(Violation::Bookkeeping("free is missing without owed"));
        }
        free_bytes += u128::from(free.bytes());
        if !free.is_empty() && !want.halted {
            ready.insert((want.order, *key));
        }
    }
    if free_bytes != machine.free_bytes || ready != machine.ready {
        return Err(Violation::Bookkeeping("ready or free_bytes"));
    }
    check_assignments(machine)?;
    check_sources(machine)
}

fn check_assignments(machine: &Transfer) -> Result<(), Violation> {
    for (id, assignment) in &machine.assignments {
        for key in assignment.owed.keys() {
            if !machine.wants.get(key).is_some_and(|want| want.asked.contains(id)) {
                return Err(Violation::OwesWhatIsNotMissing(*id, key.0));
            }
        }
        let source = machine.sources.get(&assignment.peer);
        if !source.is_some_and(|source| source.connected && source.in_flight.contains(id)) {
            return Err(Violation::AskedTheGone(assignment.peer.clone()));
        }
    }
    if machine.assignments.len() > limits::SLOTS {
        return Err(Violation::Bookkeeping("slots"));
    }
    Ok(())
}

fn check_sources(machine: &Transfer) -> Result<(), Violation> {
    if machine.sources.len() > limits::SOURCES {
        return Err(Violation::Bookkeeping("sources"));
    }
    for (peer, source) in &machine.sources {
        if source.in_flight.len() > limits::SLOTS_PER_PEER {
            return Err(Violation::TooMuchInFlight(peer.clone()));
        }
        if source.in_flight.iter().any(|id| !machine.assignments.contains_key(id)) {
            return Err(Violation::Bookkeeping("in_flight"));
        }
        if source.blobs.keys().any(|key| !machine.wants.contains_key(key))
            || source.fetches.len() > limits::FETCHES_PER_SOURCE
        {
            return Err(Violation::Hoarding(peer.clone()));
        }
    }
    Ok(())
}

/// Checks the decisions of one command, given the state after it.
pub(super) fn check_decisions(machine: &Transfer, decisions: &[Decision]) -> Result<(), Violation> {
    for effect in decisions {
        let Decision::StartDownload { assignment, peer, items } = effect else { continue };
        let bad = |why| Err(Violation::BadRequest(*assignment, why));
        let ranges: usize = items.iter().map(|item| item.range.ranges.len()).sum();
        if items.is_empty() || items.len() > limits::ITEMS || ranges > limits::RANGES {
            return bad("too many or no items");
        }
        for item in items {
            let DownloadItem { range: item, size } = item;
            let Some(want) = machine.wants.get(&(item.blob, *size)) else {
                return bad("not wanted");
            };
            if *size != want.size {
                return bad("another size than the signed one");
            }
            if item.ranges.is_empty() || item.ranges.len() > limits::RANGES_PER_ITEM {
                return bad("too many or no ranges");
            }
            let list = Ranges::from_untrusted(&item.ranges, want.size);
            sound("request", &item.blob, &list, want.size)?;
            if list.as_slice() != &item.ranges[..] {
                return bad("ranges beyond the size, or not normal");
            }
            if !want.may_ask(peer) {
                return Err(Violation::RuledOut(peer.clone(), item.blob));
            }
        }
    }
    Ok(())
}

/// The intersection of two sets of ranges.
fn overlap(one: &Ranges, other: &Ranges) -> Ranges {
    one.minus(&one.minus(other))
}

fn sound(what: &'static str, blob: &BlobId, ranges: &Ranges, size: u64) -> Result<(), Violation> {
    let mut last = None;
    for &(start, end) in ranges.as_slice() {
        let aligned = start % limits::GROUP == 0 && (end % limits::GROUP == 0 || end == size);
        if start >= end || end > size || !aligned || last.is_some_and(|last| start <= last) {
            return Err(Violation::Unsound(what, *blob));
        }
        last = Some(end);
    }
    Ok(())
}

/// Every fetch that is wanted.
pub(super) fn wanted_fetches(machine: &Transfer) -> Vec<FetchId> {
    let fetches: std::collections::BTreeSet<_> =
        machine.wants.values().flat_map(|want| want.fetches.iter().copied()).collect();
    fetches.into_iter().collect()
}
