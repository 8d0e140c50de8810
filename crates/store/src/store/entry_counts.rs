//! The number of entries of each publisher, in memory.
//!
//! Counted from the publisher rows when the index is opened, and changed with every put, so that
//! asking costs no read. Owns no disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use perennial_manifest::PublisherId;

use super::Inner;
use super::share::{Share, Strangers};
use crate::catalog::Room;
use crate::rows::PublisherValue;
use crate::state::{Follows, State};

/// Entries in the index, by publisher.
#[derive(Debug)]
pub(crate) struct EntryCounts {
    by_publisher: HashMap<PublisherId, u64>,
    /// Publishers whose feeds have several heads.
    forked: BTreeSet<PublisherId>,
    share: Share,
    strangers: Strangers,
    follows: Follows,
    /// The publisher whose key this node signs with.
    own: Option<PublisherId>,
}

impl EntryCounts {
    pub(crate) fn of(
        publishers: Vec<(PublisherId, PublisherValue)>,
        state: &State,
        share: Share,
    ) -> Self {
        let mut counts = Self {
            by_publisher: HashMap::new(),
            forked: BTreeSet::new(),
            share,
            strangers: Strangers::new(share),
            follows: state.follows(),
            own: state.own_feed().map(|own| own.publisher),
        };
        for (publisher, value) in publishers {
            counts.set(publisher, value.feed.entries);
            counts.set_forked(publisher, value.feed.is_forked());
        }
        counts
    }

    /// Tells strangers from others anew.
    pub(crate) fn decide(&mut self, state: &State) {
        self.follows = state.follows();
        self.own = state.own_feed().map(|own| own.publisher);
        self.strangers = Strangers::new(self.share);
        let strangers: Vec<_> =
            self.by_publisher.iter().filter(|(id, _)| self.is_stranger(id)).collect();
        for (publisher, entries) in strangers {
            self.strangers.resize(*publisher, 0, *entries);
        }
    }

    pub(crate) fn share(&self) -> Share {
        self.share
    }

    pub(crate) fn add(&mut self, publisher: PublisherId, entries: u64) {
        self.set(publisher, self.get(&publisher).saturating_add(entries));
    }

    pub(crate) fn remove(&mut self, publisher: PublisherId, entries: u64) {
        self.set(publisher, self.get(&publisher).saturating_sub(entries));
    }

    pub(crate) fn set_forked(&mut self, publisher: PublisherId, forked: bool) {
        match forked {
            true => self.forked.insert(publisher),
            false => self.forked.remove(&publisher),
        };
    }

    pub(crate) fn forked(&self) -> &BTreeSet<PublisherId> {
        &self.forked
    }

    fn get(&self, publisher: &PublisherId) -> u64 {
        self.by_publisher.get(publisher).copied().unwrap_or_default()
    }

    fn set(&mut self, publisher: PublisherId, entries: u64) {
        let before = match entries {
            0 => self.by_publisher.remove(&publisher),
            _ => self.by_publisher.insert(publisher, entries),
        };
        if self.is_stranger(&publisher) {
            self.strangers.resize(publisher, before.unwrap_or_default(), entries);
        }
    }

    pub(crate) fn is_stranger(&self, publisher: &PublisherId) -> bool {
        !self.follows.covers(publisher) && self.own != Some(*publisher)
    }

    /// Whether one more entry of a publisher is taken in, after `theirs` of it and `all` of all
    /// strangers that are on their way.
    pub(crate) fn takes(&self, publisher: &PublisherId, theirs: u64, all: u64) -> bool {
        !self.is_stranger(publisher)
            || self.strangers.takes(self.get(publisher).saturating_add(theirs), all)
    }

    /// The feeds of strangers to cut, and how many entries of each stay.
    pub(crate) fn excess(&self) -> BTreeMap<PublisherId, u64> {
        self.strangers.excess().into_iter().collect()
    }

    /// Notes the feeds that were to be cut and have more than was to stay. Returns whether there
    /// are any.
    pub(crate) fn fix(&mut self, cut: &BTreeMap<PublisherId, u64>) -> bool {
        let mut any = false;
        for (publisher, stay) in cut {
            let size = self.get(publisher);
            if size > *stay && self.is_stranger(publisher) {
                self.strangers.fix(*publisher, size);
                any = true;
            }
        }
        any
    }

    /// Entries of all strangers.
    pub(crate) fn of_strangers(&self) -> u64 {
        self.strangers.total()
    }
}

/// Asked once an entry, for as long as a put takes.
impl Room for Inner {
    fn is_stranger(&self, publisher: &PublisherId) -> bool {
        self.entry_counts().is_stranger(publisher)
    }

    fn takes(&self, publisher: &PublisherId, theirs: u64, all: u64) -> bool {
        self.entry_counts().takes(publisher, theirs, all)
    }
}
