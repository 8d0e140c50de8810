//! The feeds that changed lately, for readers of feeds: they need not look at all publishers.
//!
//! Owns the last changes, in bounded number, and no disk: whoever has read before them, or before
//! this process, reads everything.

use std::collections::{BTreeSet, VecDeque};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use perennial_manifest::PublisherId;

use crate::store::{Inner, Store};

/// Changes kept.
const KEPT: usize = 8192;

/// The feeds that changed in some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedFeeds {
    /// Feeds of which entries went; some may have come as well.
    pub cut: BTreeSet<PublisherId>,
    /// Feeds to which entries only came.
    pub grown: BTreeSet<PublisherId>,
    /// Whether what is denied may have changed.
    pub decided: bool,
}

#[derive(Debug)]
struct Change {
    /// The generation that it made.
    generation: u64,
    publisher: PublisherId,
    cut: bool,
}

/// The last changes, oldest first.
#[derive(Debug, Default)]
pub(crate) struct FeedLog {
    changes: VecDeque<Change>,
    /// All later generations are known.
    known_after: u64,
    /// The last generation that another deny list made.
    decided: u64,
}

impl FeedLog {
    fn note(&mut self, generation: u64, publishers: BTreeSet<PublisherId>, cut: bool) {
        let new = publishers.into_iter();
        self.changes.extend(new.map(|publisher| Change { generation, publisher, cut }));
        while self.changes.len() > KEPT {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.known_after = oldest.generation;
        }
    }

    fn since(&self, generation: u64) -> Option<ChangedFeeds> {
        if generation < self.known_after {
            return None;
        }
        let decided = self.decided > generation;
        let mut changed = ChangedFeeds { decided, ..ChangedFeeds::default() };
        let later = self.changes.iter().rev().take_while(|change| change.generation > generation);
        for Change { publisher, cut, .. } in later {
            let feeds = if *cut { &mut changed.cut } else { &mut changed.grown };
            feeds.insert(*publisher);
        }
        let ChangedFeeds { cut, grown, .. } = &mut changed;
        grown.retain(|publisher| !cut.contains(publisher));
        Some(changed)
    }
}

impl Inner {
    /// Begins a new generation, in which these feeds changed.
    pub(super) fn feeds_changed(&self, publishers: BTreeSet<PublisherId>, cut: bool) {
        let mut log = self.feed_log.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever sees the generation and asks for its changes waits for the lock.
        let generation = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        log.note(generation, publishers, cut);
    }

    /// Begins a new generation, in which what is denied may have changed.
    pub(super) fn decisions_changed(&self) {
        let mut log = self.feed_log.lock().unwrap_or_else(PoisonError::into_inner);
        log.decided = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
    }
}

impl Store {
    /// The feeds that changed since a generation. `None` if that is too long ago to know. Answered
    /// from memory.
    #[must_use]
    pub fn changed_since(&self, generation: u64) -> Option<ChangedFeeds> {
        let log = self.inner().feed_log.lock().unwrap_or_else(PoisonError::into_inner);
        log.since(generation)
    }
}

#[cfg(test)]
mod tests {
    use perennial_manifest::Keypair;

    use super::*;

    #[test]
    fn changes_are_known_for_a_while_and_a_cut_outweighs_growth() {
        let publisher = |seed: u8| Keypair::from_seed([seed; 32]).id();
        let feeds = |seeds: &[u8]| -> BTreeSet<_> { seeds.iter().map(|n| publisher(*n)).collect() };
        let mut log = FeedLog::default();
        assert_eq!(log.since(0), Some(ChangedFeeds::default()));
        log.note(1, feeds(&[1, 2]), false);
        log.note(2, feeds(&[2]), true);
        log.note(3, feeds(&[2, 3]), false);
        let since = |log: &FeedLog, generation| {
            log.since(generation).map(|ChangedFeeds { cut, grown, .. }| (cut, grown))
        };
        assert_eq!(since(&log, 0), Some((feeds(&[2]), feeds(&[1, 3]))));
        assert_eq!(since(&log, 2), Some((feeds(&[]), feeds(&[2, 3]))));
        assert_eq!(since(&log, 3), Some((feeds(&[]), feeds(&[]))));
        log.decided = 3;
        let decided = |generation| log.since(generation).map(|changed| changed.decided);
        assert_eq!((decided(2), decided(3)), (Some(true), Some(false)));
        for generation in 4..4 + KEPT as u64 - 1 {
            log.note(generation, feeds(&[4]), false);
        }
        assert_eq!(since(&log, 2), None);
        assert_eq!(since(&log, 3), Some((feeds(&[]), feeds(&[4]))));
        assert_eq!(log.changes.len(), KEPT);
    }
}
