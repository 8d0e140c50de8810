//! Decides which followed releases to fetch next.
//!
//! Owns the releases being fetched and those resting after a failure. At most [`CONCURRENT`] are
//! fetched at a time, and every wanted release is retried with growing delays. Publishers share the
//! places: those followed by name come first, and on a node that follows all, the others never have
//! more than [`OTHERS`], whatever they sign and however many they are. The machine keeps no list of
//! all wanted releases: it pages through the catalog. Each node walks a page in its own order, so
//! that the copies of a new release spread.

use std::collections::BTreeMap;
use std::time::Duration;

use perennial_manifest::{PublisherId, ReleaseId};

use crate::catalog::{Catalog, Wanted};
use crate::input::{Follows, KeepOutcome};
use crate::peer::PeerId;
use crate::placement;
use crate::time::Time;

/// Releases fetched concurrently, at most.
pub(crate) const CONCURRENT: usize = 16;
/// Places of publishers that are followed only because all are, at most. Anybody is such a
/// publisher, and releases that can never be fetched occupy their places longest.
pub(crate) const OTHERS: usize = CONCURRENT / 2;
/// Rest after the first failure; it doubles with each failure.
pub(crate) const REST: Duration = Duration::from_secs(15);
/// Longest rest.
pub(crate) const REST_MAX: Duration = Duration::from_secs(3600);
/// Longest remaining delay once a peer connects, which may hold blobs that the others lack, or once
/// the disk has room again.
pub(crate) const REST_SHORTENED: Duration = Duration::from_secs(3);
/// Releases whose failures are remembered, at most.
pub(crate) const RESTING: usize = 64 * 1024;
/// Releases read from the catalog at a time.
pub(crate) const PAGE: usize = 256;
/// Pages read in one step, at most.
pub(crate) const PAGES: usize = 8;
/// Time after which the catalog is read again without a trigger.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Time,
    tries: u32,
}

/// The publishers that share some of the places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// Those that were followed by name.
    Named,
    /// All others, where all are followed.
    Others,
}

/// A release that is being fetched.
#[derive(Debug, Clone, Copy)]
struct Active {
    publisher: PublisherId,
    share: Share,
}

/// The keep machine.
#[derive(Debug)]
pub(crate) struct Keep {
    me: PeerId,
    active: BTreeMap<ReleaseId, Active>,
    resting: BTreeMap<ReleaseId, Rest>,
    /// Where the pages of each share go on.
    named: Option<ReleaseId>,
    others: Option<ReleaseId>,
    next: Time,
}

impl Keep {
    /// A machine without running fetches. `me` determines the order of its releases.
    #[must_use]
    pub(crate) const fn new(me: PeerId) -> Self {
        Self {
            me,
            active: BTreeMap::new(),
            resting: BTreeMap::new(),
            named: None,
            others: None,
            next: Time::ZERO,
        }
    }

    /// Schedules a look at the catalog for the next step, because new entries, follows or free
    /// space may have added work.
    pub(crate) fn look(&mut self, now: Time) {
        self.next = self.next.min(now);
    }

    /// Shortens all rests, because a peer connected, or the disk has room again.
    pub(crate) fn try_soon(&mut self, now: Time) {
        let soon = now + REST_SHORTENED;
        for rest in self.resting.values_mut() {
            rest.until = rest.until.min(soon);
        }
        self.next = self.next.min(soon);
    }

    /// Records the outcome of a release's fetch.
    pub(crate) fn ended(&mut self, now: Time, release: &ReleaseId, outcome: KeepOutcome) {
        if self.active.remove(release).is_none() {
            return;
        }
        match outcome {
            KeepOutcome::Held => {
                self.resting.remove(release);
            }
            KeepOutcome::Failed => {
                let tries = self.resting.get(release).map_or(0, |rest| rest.tries);
                let wait = REST.saturating_mul(1 << tries.min(12)).min(REST_MAX);
                self.rest(*release, Rest { until: now + wait, tries: tries + 1 });
            }
            KeepOutcome::Refused => self.rest(*release, Rest { until: now + REST_MAX, tries: 12 }),
        }
        self.look(now);
    }

    fn rest(&mut self, release: ReleaseId, rest: Rest) {
        if self.resting.len() >= RESTING && !self.resting.contains_key(&release) {
            self.resting.pop_first();
        }
        self.resting.insert(release, rest);
    }

    /// The releases to start now.
    pub(crate) fn plan(
        &mut self,
        now: Time,
        follows: &Follows,
        catalog: &dyn Catalog,
    ) -> Vec<Wanted> {
        let mut chosen = Vec::new();
        if now < self.next {
            return chosen;
        }
        self.active.retain(|_, active| follows.covers(&active.publisher));
        let mut is_full = self.fill(Share::Named, now, follows, catalog, &mut chosen);
        if *follows == Follows::All {
            is_full |= self.fill(Share::Others, now, follows, catalog, &mut chosen);
        }
        let rested =
            self.resting.values().map(|rest| rest.until).filter(|until| *until > now).min();
        // Once `ended` makes room, the page that filled the places is read again.
        self.next = match is_full && self.active.len() >= CONCURRENT {
            true => Time::NEVER,
            false => (now + LOOK_AGAIN).min(rested.unwrap_or(Time::NEVER)),
        };
        chosen
    }

    /// The places that a share may still take.
    fn room(&self, share: Share) -> usize {
        let room = CONCURRENT.saturating_sub(self.active.len());
        match share {
            Share::Named => room,
            Share::Others => {
                let others = self.active.values().filter(|active| active.share == share).count();
                room.min(OTHERS.saturating_sub(others))
            }
        }
    }

    /// Chooses releases of a share until its places are full, which it returns, or the catalog has
    /// no more.
    fn fill(
        &mut self,
        share: Share,
        now: Time,
        follows: &Follows,
        catalog: &dyn Catalog,
        chosen: &mut Vec<Wanted>,
    ) -> bool {
        for _ in 0..PAGES {
            if self.room(share) == 0 {
                return true;
            }
            let cursor = match share {
                Share::Named => self.named,
                Share::Others => self.others,
            };
            let page = match (share, follows) {
                (Share::Named, Follows::All) => catalog.wanted_first(cursor.as_ref(), PAGE),
                _ => catalog.wanted(follows, cursor.as_ref(), PAGE),
            };
            let whole = page.len() < PAGE;
            let last = page.last().map(|wanted| wanted.release);
            let mut free: Vec<Wanted> =
                page.into_iter().filter(|wanted| self.is_free(now, wanted)).collect();
            while self.room(share) > 0
                && let Some(wanted) = self.take_next(&mut free)
            {
                let active = Active { publisher: wanted.publisher, share };
                self.active.insert(wanted.release, active);
                chosen.push(wanted);
            }
            if !free.is_empty() || self.room(share) == 0 {
                // The same page is read again.
                return true;
            }
            let next = if whole { None } else { last };
            match share {
                Share::Named => self.named = next,
                Share::Others => self.others = next,
            }
            if whole && cursor.is_none() {
                break;
            }
        }
        false
    }

    /// The next release: of the publisher with the fewest places, the one that this node begins
    /// with.
    fn take_next(&self, free: &mut Vec<Wanted>) -> Option<Wanted> {
        let places = |publisher: &PublisherId| {
            self.active.values().filter(|active| active.publisher == *publisher).count()
        };
        let rank = |wanted: &Wanted| {
            let score = placement::score(wanted.release.entry().as_bytes(), &self.me);
            (places(&wanted.publisher), std::cmp::Reverse(score))
        };
        let (at, _) = free.iter().enumerate().min_by_key(|(_, wanted)| rank(wanted))?;
        Some(free.swap_remove(at))
    }

    fn is_free(&self, now: Time, wanted: &Wanted) -> bool {
        !self.active.contains_key(&wanted.release)
            && self.resting.get(&wanted.release).is_none_or(|rest| rest.until <= now)
    }

    pub(crate) const fn next(&self) -> Time {
        self.next
    }

    pub(crate) fn active(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.active.len() + self.resting.len()
    }
}

#[cfg(test)]
mod tests;
