//! Fetches: connects the search for holders (`find`) and the transfer machine (`transfer`).
//!
//! Owns the open fetches and the missing blobs of each. Chooses neither holders nor ranges.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perennial_manifest::{BlobId, ReleaseId};

use crate::effect::{Effect, FetchFailure, Offence, Progress};
use crate::effects::Effects;
use crate::find::{Find, Found};
use crate::input::{FetchId, WantedBlob};
use crate::peer::PeerId;
use crate::time::Time;
use crate::transfer::{AssignmentId, Command, Decision, End, Reason, Report, Transfer};

/// Shortest interval between two progress effects of a fetch.
pub(crate) const TELL: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Open {
    left: BTreeSet<BlobId>,
    last: bool,
    total: u64,
    received: u64,
    by_peer: BTreeMap<PeerId, u64>,
    told: Time,
}

/// Every open fetch.
#[derive(Debug)]
pub(crate) struct Fetches {
    open: BTreeMap<FetchId, Open>,
    pub(crate) find: Find,
    transfer: Transfer,
    wake: Time,
    pub(crate) offences: Vec<(PeerId, Offence)>,
}

impl Fetches {
    pub(crate) fn new(me: PeerId, seed: u64) -> Self {
        Self {
            open: BTreeMap::new(),
            find: Find::new(me),
            transfer: Transfer::new(seed),
            wake: Time::NEVER,
            offences: Vec::new(),
        }
    }

    pub(crate) fn start(
        &mut self,
        fetch: FetchId,
        release: Option<ReleaseId>,
        blobs: Vec<WantedBlob>,
        last: bool,
        connected: &[PeerId],
        out: &mut Effects<'_>,
    ) {
        if !self.find.start(
            fetch,
            release,
            blobs.iter().map(|blob| (blob.blob, blob.size)),
            connected,
            out,
        ) {
            out.push(Effect::FetchFailed { fetch, failure: FetchFailure::Busy });
            return;
        }
        let open = self.open.entry(fetch).or_default();
        open.last |= last;
        let mut commands = Vec::with_capacity(blobs.len());
        for WantedBlob { blob, size, missing } in blobs {
            if !open.left.insert(blob) {
                continue;
            }
            let bytes = missing
                .iter()
                .fold(0_u64, |sum, (from, to)| sum.saturating_add(to.saturating_sub(*from)));
            open.total = open.total.saturating_add(bytes);
            commands.push(Command::Want { fetch, blob, size, missing: Some(missing) });
        }
        for command in commands {
            self.command(command, out);
        }
        self.finish(fetch, out);
    }

    pub(crate) fn cancel(&mut self, fetch: FetchId, out: &mut Effects<'_>) {
        self.find.stop(fetch);
        if self.open.remove(&fetch).is_some() {
            self.command(Command::Cancel(fetch), out);
        }
    }

    fn fail(&mut self, fetch: FetchId, failure: FetchFailure, out: &mut Effects<'_>) {
        if self.open.contains_key(&fetch) {
            self.cancel(fetch, out);
            out.push(Effect::FetchFailed { fetch, failure });
        }
    }

    /// The peer of an assignment under way.
    pub(crate) fn peer_of(&self, assignment: AssignmentId) -> Option<&PeerId> {
        self.transfer.peer_of(assignment)
    }

    pub(crate) fn received(
        &mut self,
        assignment: AssignmentId,
        report: Report,
        end: Option<End>,
        out: &mut Effects<'_>,
    ) {
        let peer = self.transfer.peer_of(assignment).cloned();
        for range in &report.verified {
            for (fetch, open) in
                self.open.iter_mut().filter(|(_, open)| open.left.contains(&range.blob))
            {
                self.find.progress(*fetch);
                open.received = open.received.saturating_add(range.bytes());
                if let Some(peer) = &peer {
                    *open.by_peer.entry(peer.clone()).or_default() += range.bytes();
                }
                if out.now.since(open.told) >= TELL {
                    open.told = out.now;
                    let holders = open.by_peer.len();
                    let progress = Progress { received: open.received, total: open.total, holders };
                    out.push(Effect::FetchProgress { fetch: *fetch, progress });
                }
            }
        }
        match end {
            None => self.command(Command::Progress(assignment, report), out),
            Some(end) => self.command(Command::Ended(assignment, report, end), out),
        }
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId, out: &mut Effects<'_>) {
        self.find.disconnected(peer);
        self.command(Command::Gone(peer.clone()), out);
    }

    /// Forwards the results of a search.
    pub(crate) fn found(&mut self, found: Found, out: &mut Effects<'_>) {
        self.offences.extend(found.offences);
        for command in found.commands {
            self.command(command, out);
        }
        for (fetch, failure) in found.failed {
            self.fail(fetch, failure, out);
        }
    }

    pub(crate) fn tick(&mut self, connected: &[PeerId], out: &mut Effects<'_>) {
        while self.wake <= out.now {
            self.wake = Time::NEVER;
            self.command(Command::Tick, out);
        }
        let found = self.find.tick(connected, out);
        self.found(found, out);
    }

    pub(crate) fn next(&self) -> Time {
        self.wake.min(self.find.next())
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.find.len()
    }

    fn command(&mut self, command: Command, out: &mut Effects<'_>) {
        for effect in self.transfer.handle(out.now, command) {
            match effect {
                Decision::StartDownload { assignment, peer, items } => {
                    out.push(Effect::StartDownload { assignment, peer, items });
                }
                Decision::StopDownload(assignment) => {
                    out.push(Effect::StopDownload { assignment });
                }
                Decision::Complete { blob, fetches } => {
                    for fetch in fetches {
                        self.blob_done(fetch, blob, out);
                    }
                }
                Decision::Stuck { fetch, reason, .. } => match reason {
                    Reason::NoHolder | Reason::AllFailed => self.find.stuck(fetch),
                    Reason::Local => self.fail(fetch, FetchFailure::Local, out),
                    Reason::TooMany => self.fail(fetch, FetchFailure::Busy, out),
                },
                Decision::Penalise { peer, offence } => self.offences.push((peer, offence)),
                Decision::WakeAt(at) => self.wake = at,
            }
        }
    }

    fn blob_done(&mut self, fetch: FetchId, blob: BlobId, out: &mut Effects<'_>) {
        let Some(open) = self.open.get_mut(&fetch) else { return };
        if open.left.remove(&blob) {
            self.find.blob_done(fetch, &blob);
            out.push(Effect::BlobDone { fetch, blob });
            self.finish(fetch, out);
        }
    }

    fn finish(&mut self, fetch: FetchId, out: &mut Effects<'_>) {
        let done = self.open.get(&fetch).is_some_and(|open| open.last && open.left.is_empty());
        if done && let Some(open) = self.open.remove(&fetch) {
            self.find.stop(fetch);
            self.command(Command::Cancel(fetch), out);
            out.push(Effect::FetchDone { fetch, from: open.by_peer.into_iter().collect() });
        }
    }
}
