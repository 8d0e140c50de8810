//! Whose releases this node fetches, keeps and trusts for names.
//!
//! Goes on to the next key of a publisher that hands its feed over. Which rotation counts is
//! decided by the feed (`perennial-manifest`); what it means for the follows, here.

use std::collections::BTreeMap;

use perennial_manifest::{NamePattern, PublisherId, Purl};
use serde::{Deserialize, Serialize};

/// How far the releases of a publisher are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Not,
    /// As those of all others that are followed.
    Also,
    /// Before those of others: all are followed, and this one by name.
    First,
}

/// Whose releases this node fetches and keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follows {
    /// Of all publishers: a full archive node.
    #[serde(default)]
    pub all: bool,
    /// Of these publishers, under the names that the user gave them.
    #[serde(default)]
    pub publishers: BTreeMap<PublisherId, Option<String>>,
    /// Of these of the publishers, only releases with such names: none, if there is no pattern.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<PublisherId, Vec<NamePattern>>,
    /// Those of them that are followed because another one handed its feed over to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub successors: BTreeMap<PublisherId, Succession>,
}

/// How a publisher came to be followed after another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession {
    /// The publisher that handed its feed over. It stays followed for what it signed before.
    pub after: PublisherId,
    /// Unix seconds when this node went on to the next key.
    pub since: u64,
}

/// How long a hand-over stands, in seconds, before another history of the same key no longer
/// undoes it. The rest of a feed, which may show that a rotation was forged, arrives within
/// minutes; a thief who signs such a history later suspends nothing.
const SETTLED: u64 = 60 * 60;

impl Succession {
    /// Whether the hand-over stays whatever else the key before turns out to have signed.
    pub(crate) const fn is_settled(&self, now: u64) -> bool {
        now.saturating_sub(self.since) >= SETTLED
    }
}

impl Follows {
    /// Whether a publisher is followed by name. Only those are trusted for names; `all` keeps bytes
    /// and trusts no one.
    #[must_use]
    pub fn names(&self, publisher: &PublisherId) -> bool {
        self.publishers.contains_key(publisher)
    }

    /// Whether a publisher is followed, by name or with all others, however much of it is kept.
    #[must_use]
    pub fn covers(&self, publisher: &PublisherId) -> bool {
        self.all || self.names(publisher)
    }

    /// Whether everything is kept and no publisher is trusted for names.
    #[must_use]
    pub fn trusts_none(&self) -> bool {
        self.all && self.publishers.is_empty()
    }

    /// Follows a publisher by the user's own wish, under its present name.
    pub fn follow(&mut self, publisher: PublisherId) -> &mut Option<String> {
        self.successors.remove(&publisher);
        self.publishers.entry(publisher).or_default()
    }

    /// No longer follows a publisher, the keys that it had before, and those that it went on to.
    /// Returns whether it was followed.
    pub fn unfollow(&mut self, publisher: &PublisherId) -> bool {
        self.only.remove(publisher);
        if self.publishers.remove(publisher).is_none() {
            return false;
        }
        if let Some(came) = self.successors.remove(publisher) {
            self.unfollow(&came.after);
        }
        while let Some(next) = self.successor_of(publisher).copied() {
            self.successors.remove(&next);
            self.unfollow(&next);
        }
        true
    }

    /// The follows once every followed publisher that handed its feed over is followed under its
    /// next key as well, which takes its name. `next` tells the key to which a publisher handed its
    /// feed over. A hand-over of which it tells nothing is undone.
    #[must_use]
    pub(crate) fn after_rotations(
        &self,
        now: u64,
        next: &dyn Fn(&PublisherId) -> Option<PublisherId>,
    ) -> Self {
        let mut follows = self.clone();
        // From the end of each chain: the name goes back the way it came.
        while let Some((last, before)) = follows.end_of_a_chain() {
            follows.successors.remove(&last);
            let name = follows.publishers.remove(&last).flatten();
            if let Some(slot @ None) = follows.publishers.get_mut(&before) {
                *slot = name;
            }
        }
        let mut keys: Vec<PublisherId> = follows.publishers.keys().copied().collect();
        while let Some(after) = keys.pop() {
            let Some(next) = next(&after).filter(|next| !follows.names(next)) else { continue };
            let name = follows.publishers.get_mut(&after).and_then(Option::take);
            follows.publishers.insert(next, name);
            let before = self.successors.get(&next).filter(|came| came.after == after);
            let since = before.map_or(now, |came| came.since);
            follows.successors.insert(next, Succession { after, since });
            keys.push(next);
        }
        follows
    }

    fn end_of_a_chain(&self) -> Option<(PublisherId, PublisherId)> {
        let is_before = |key: &PublisherId| self.successor_of(key).is_some();
        self.successors
            .iter()
            .find(|(last, _)| !is_before(last))
            // A circle has no end, and two keys can hand over to each other.
            .or_else(|| self.successors.first_key_value())
            .map(|(last, came)| (*last, came.after))
    }

    /// The key to which a followed publisher handed its feed over.
    #[must_use]
    pub fn successor_of(&self, publisher: &PublisherId) -> Option<&PublisherId> {
        let mut found = self.successors.iter().filter(|(_, came)| came.after == *publisher);
        found.next().map(|(next, _)| next)
    }

    /// A digest that tells one set of follows from another.
    pub(crate) fn digest(&self) -> [u8; 32] {
        // The version of the rows that follow from the follows.
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"2").update(&serde_json::to_vec(self).unwrap_or_default());
        *hasher.finalize().as_bytes()
    }

    /// How far a publisher's release of this name is wanted.
    pub(crate) fn kept(&self, publisher: &PublisherId, purl: &str) -> Kept {
        match (self.all, self.keeps_by_name(publisher, purl)) {
            (true, true) => Kept::First,
            (false, false) => Kept::Not,
            _ => Kept::Also,
        }
    }

    /// Whether a publisher's release of this name is fetched and kept.
    #[must_use]
    pub fn keeps(&self, publisher: &PublisherId, purl: &str) -> bool {
        self.all || self.keeps_by_name(publisher, purl)
    }

    fn keeps_by_name(&self, publisher: &PublisherId, purl: &str) -> bool {
        let matches = |patterns: &[NamePattern]| {
            // A name costs more to read than the check that there is nothing to compare it with.
            let purl = (!patterns.is_empty()).then(|| Purl::parse(purl).ok()).flatten();
            purl.is_some_and(|purl| patterns.iter().any(|pattern| pattern.matches(&purl)))
        };
        self.names(publisher) && self.only_of(publisher).is_none_or(matches)
    }

    /// The names of the releases of a publisher that are kept, if not all are: its own, else those
    /// of the key before.
    #[must_use]
    pub fn only_of(&self, publisher: &PublisherId) -> Option<&[NamePattern]> {
        let mut key = publisher;
        // Keys can hand over to each other.
        for _ in 0..=self.successors.len() {
            if let Some(patterns) = self.only.get(key) {
                return Some(patterns);
            }
            key = &self.successors.get(key)?.after;
        }
        None
    }

    /// Whether the same releases of a publisher are wanted under other follows.
    pub(crate) fn keep_alike(&self, other: &Self, publisher: &PublisherId) -> bool {
        let of = |follows: &Self| {
            let only = follows.only_of(publisher).map(<[NamePattern]>::to_vec);
            (follows.all, follows.names(publisher), only)
        };
        of(self) == of(other)
    }
}

#[cfg(test)]
mod tests {
    use perennial_manifest::Keypair;

    use super::*;

    fn id(seed: u8) -> PublisherId {
        Keypair::from_seed([seed; 32]).id()
    }

    #[test]
    fn following_goes_on_to_the_next_keys_with_the_name_and_back() {
        let mut follows = Follows::default();
        *follows.follow(id(1)) = Some("savers".to_owned());
        let chain = |key: &PublisherId| match key {
            key if *key == id(1) => Some(id(2)),
            key if *key == id(2) => Some(id(3)),
            _ => None,
        };
        let moved = follows.after_rotations(7, &chain);
        let came = |after| Succession { after: id(after), since: 7 };
        let savers = Some("savers".to_owned());
        assert_eq!(moved.publishers, [(id(1), None), (id(2), None), (id(3), savers)].into());
        assert_eq!(moved.successors, [(id(2), came(1)), (id(3), came(2))].into());
        assert_eq!(moved.successor_of(&id(1)), Some(&id(2)));
        assert_eq!(moved.after_rotations(9, &chain), moved, "once is enough");
        assert_eq!(moved.after_rotations(9, &|_| None), follows, "it decides nothing any more");
        for end in [1, 2, 3] {
            let mut none = moved.clone();
            assert!(none.unfollow(&id(end)));
            assert_eq!(none, Follows::default(), "the whole chain is one publisher");
        }
        // The next keys are kept as far as the one before.
        let mut some = moved.clone();
        some.only.insert(id(1), vec!["tool".parse().unwrap()]);
        for (name, is_kept) in [("pkg:generic/tool@1", true), ("pkg:generic/other@1", false)] {
            assert_eq!(some.keeps(&id(3), name), is_kept, "{name}");
        }
        // One that the user follows by wish stays when the hand-over is undone.
        let mut both = moved;
        both.follow(id(2));
        assert!(both.after_rotations(9, &|_| None).names(&id(2)));
        // Keys that hand over to each other.
        let circle = |key: &PublisherId| Some(if *key == id(1) { id(2) } else { id(1) });
        assert_eq!(follows.after_rotations(7, &circle).publishers.len(), 2);
    }
}
