//! The share of the catalog that publishers have whom this node does not follow: strangers.
//!
//! Keys are free, so everything of strangers counts against one share, whatever way it came: a
//! number for all, and a number for each. While it is full, small feeds still find room, and the
//! largest lose their newest entries for it; among feeds of one size, chance decides, which nobody
//! outside can foresee. Pure: owns numbers, no entries.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use perennial_manifest::PublisherId;

/// Bounds on the entries of publishers that are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Entries of all of them. An eighth more are taken in before the largest feeds are cut, all at
    /// one time.
    pub all: u64,
    /// Entries of each.
    pub each: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self { all: 100_000, each: 25_000 }
    }
}

/// The sizes of strangers' feeds.
#[derive(Debug)]
pub(super) struct Strangers {
    share: Share,
    total: u64,
    /// Feeds by size; those of one size by a hash that differs from process to process.
    by_size: BTreeSet<(u64, u64, PublisherId)>,
    /// Feeds that cannot be cut further, because the user has pinned what is left of them. They
    /// take no room of others.
    fixed: BTreeSet<PublisherId>,
    order: RandomState,
}

impl Strangers {
    pub(super) fn new(share: Share) -> Self {
        let (by_size, fixed) = (BTreeSet::new(), BTreeSet::new());
        Self { share, total: 0, by_size, fixed, order: RandomState::new() }
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// A feed has another size.
    pub(super) fn resize(&mut self, publisher: PublisherId, before: u64, after: u64) {
        if self.fixed.contains(&publisher) {
            return;
        }
        let hash = self.order.hash_one(publisher);
        self.by_size.remove(&(before, hash, publisher));
        if after > 0 {
            self.by_size.insert((after, hash, publisher));
        }
        self.total = self.total.saturating_sub(before).saturating_add(after);
    }

    /// A feed of this size cannot be cut further.
    pub(super) fn fix(&mut self, publisher: PublisherId, size: u64) {
        self.resize(publisher, size, 0);
        self.fixed.insert(publisher);
    }

    /// Whether one more entry is taken in of a feed that has `has`. `coming`: entries of strangers
    /// that are on their way.
    pub(super) fn takes(&self, has: u64, coming: u64) -> bool {
        let Share { all, each } = self.share;
        let total = self.total.saturating_add(coming);
        if has >= each {
            return false;
        }
        let largest = self.by_size.last().map_or(0, |(size, ..)| *size);
        total < all || total < self.most() && (has == 0 || has + 1 < largest)
    }

    /// Entries at which none is taken in before feeds were cut.
    const fn most(&self) -> u64 {
        self.share.all.saturating_add(self.share.all / 8 + 1)
    }

    /// The feeds to cut, and how many entries of each stay: the largest, down to one size. Empty
    /// while there is room.
    pub(super) fn excess(&self) -> Vec<(PublisherId, u64)> {
        if self.total < self.most() {
            return Vec::new();
        }
        let feeds: Vec<_> = self.by_size.iter().rev().map(|(size, _, id)| (*size, *id)).collect();
        let mut over = self.total - self.share.all;
        let (mut cut, mut level) = (0, feeds.first().map_or(0, |(size, _)| *size));
        loop {
            cut += feeds[cut..].iter().take_while(|(size, _)| *size == level).count();
            let next = feeds.get(cut).map_or(0, |(size, _)| *size);
            let many = cut as u64;
            let lower = (level - next).saturating_mul(many);
            if lower < over && next > 0 {
                (over, level) = (over - lower, next);
                continue;
            }
            // Those that lose one more.
            let (each, more) = (over / many.max(1), over % many.max(1));
            let stay = |(at, (_, id)): (u64, &(u64, PublisherId))| {
                (*id, level.saturating_sub(each + u64::from(at < more)))
            };
            let cuts = (0..).zip(&feeds[..cut]).map(stay);
            let smaller = cuts.zip(&feeds).filter(|((_, stay), (size, _))| stay < size);
            return smaller.map(|(cut, _)| cut).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use perennial_manifest::Keypair;

    use super::*;

    fn publisher(seed: u8) -> PublisherId {
        Keypair::from_seed([seed; 32]).id()
    }

    fn strangers(sizes: &[u64]) -> Strangers {
        let mut strangers = Strangers::new(Share { all: 80, each: 60 });
        for (seed, size) in (0..).zip(sizes) {
            strangers.resize(publisher(seed), 0, *size);
        }
        strangers
    }

    /// What stays of each feed after a cut.
    fn after(sizes: &[u64]) -> Vec<u64> {
        let mut stay = sizes.to_vec();
        for (id, left) in strangers(sizes).excess() {
            let at = (0..).zip(sizes).find(|(seed, _)| publisher(*seed) == id).unwrap().0;
            assert!(left < stay[usize::from(at)], "nothing is cut that stays");
            stay[usize::from(at)] = left;
        }
        stay
    }

    #[test]
    fn all_strangers_have_one_share_and_each_has_a_part_of_it() {
        let some = strangers(&[59, 10]);
        assert!(some.takes(59, 0) && some.takes(10, 0) && some.takes(0, 0));
        assert!(!some.takes(60, 0), "one has its part");
        assert!(some.takes(10, 10), "79 are here or on their way");
        assert!(!some.takes(59, 11), "the share is full, and this is the largest");
    }

    #[test]
    fn a_full_share_still_takes_in_small_feeds_and_never_the_largest() {
        let full = strangers(&[50, 30]);
        assert!(full.takes(0, 0) && full.takes(30, 0) && full.takes(48, 0));
        assert!(!full.takes(49, 0) && !full.takes(50, 0));
        assert!(full.takes(0, 10) && !full.takes(0, 11), "until the feeds are cut");
        assert!(strangers(&[1; 80]).takes(0, 0), "even if each has one entry");
    }

    #[test]
    fn the_largest_feeds_lose_their_newest_entries_down_to_one_size() {
        assert_eq!(after(&[50, 40]), [50, 40], "90 are within the tolerance");
        assert_eq!(after(&[51, 40]), [40, 40]);
        assert_eq!(after(&[60, 20, 11]), [49, 20, 11]);
        let mut cut = after(&[50, 45, 5, 1]);
        assert_eq!(cut.iter().sum::<u64>(), 80);
        cut.sort_unstable();
        assert_eq!(cut, [1, 5, 37, 37]);
        let cut = after(&[1; 95]);
        assert_eq!(cut.iter().filter(|left| **left == 1).count(), 80, "chance decides");
        assert!(after(&[]).is_empty());
    }

    #[test]
    fn sizes_are_followed() {
        let mut some = strangers(&[50, 30]);
        some.resize(publisher(0), 50, 0);
        assert_eq!(some.total, 30);
        assert!(some.takes(49, 30) && !some.takes(31, 60));
        some.fix(publisher(1), 30);
        some.resize(publisher(1), 30, 31);
        assert_eq!((some.total, some.excess()), (0, Vec::new()));
    }
}
