//! Decisions of the user: pins, follows, the deny list, and the highest entry seen of feeds that
//! matter.
//!
//! Owns `state/`: one JSON file per kind, replaced as a whole and fsynced. Never kept in the index
//! alone, because it cannot be rebuilt from blobs. A file that does not read back stops the start:
//! guessing at pins would let a collection delete blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perennial_manifest::{BlobId, EntryId, PublisherId, ReleaseId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::deny::DenyList;
use crate::durable;
use crate::error::StoreError;

/// Why a blob may not be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pin {
    /// All artifacts of a release.
    Release(ReleaseId),
    /// One blob.
    Blob(BlobId),
}

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
    /// Those of them that are followed because another one handed its feed over to them, with that
    /// one, which stays followed for what it signed before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub successors: BTreeMap<PublisherId, PublisherId>,
}

impl Follows {
    /// Whether a publisher is followed by name. Only those are trusted for names; `all` keeps bytes
    /// and trusts no one.
    #[must_use]
    pub fn names(&self, publisher: &PublisherId) -> bool {
        self.publishers.contains_key(publisher)
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
        if self.publishers.remove(publisher).is_none() {
            return false;
        }
        if let Some(before) = self.successors.remove(publisher) {
            self.unfollow(&before);
        }
        let after = self.successors.iter().filter(|(_, before)| *before == publisher);
        for after in after.map(|(after, _)| *after).collect::<Vec<_>>() {
            self.successors.remove(&after);
            self.unfollow(&after);
        }
        true
    }

    /// The follows once every followed publisher that handed its feed over is followed under its
    /// next key as well, which takes its name. `next` tells the key to which a publisher handed its
    /// feed over. A hand-over that no longer decides is undone.
    #[must_use]
    pub fn after_rotations(&self, next: &dyn Fn(&PublisherId) -> Option<PublisherId>) -> Self {
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
        while let Some(key) = keys.pop() {
            let Some(next) = next(&key).filter(|next| !follows.names(next)) else { continue };
            let name = follows.publishers.get_mut(&key).and_then(Option::take);
            follows.publishers.insert(next, name);
            follows.successors.insert(next, key);
            keys.push(next);
        }
        follows
    }

    fn end_of_a_chain(&self) -> Option<(PublisherId, PublisherId)> {
        let is_before = |key: &PublisherId| self.successors.values().any(|before| before == key);
        self.successors
            .iter()
            .find(|(last, _)| !is_before(last))
            // A circle has no end, and two keys can hand over to each other.
            .or_else(|| self.successors.first_key_value())
            .map(|(last, before)| (*last, *before))
    }

    /// The key to which a followed publisher handed its feed over.
    #[must_use]
    pub fn successor_of(&self, publisher: &PublisherId) -> Option<&PublisherId> {
        let mut found = self.successors.iter().filter(|(_, before)| *before == publisher);
        found.next().map(|(next, _)| next)
    }

    /// A digest that tells one set of follows from another.
    pub(crate) fn digest(&self) -> [u8; 32] {
        // The version of the rows that follow from the follows.
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"2").update(&serde_json::to_vec(self).unwrap_or_default());
        *hasher.finalize().as_bytes()
    }

    /// How far this publisher's releases are wanted.
    pub(crate) fn kept(&self, publisher: &PublisherId) -> Kept {
        match (self.all, self.names(publisher)) {
            (true, true) => Kept::First,
            (false, false) => Kept::Not,
            _ => Kept::Also,
        }
    }

    /// Whether this publisher's releases are fetched and kept.
    #[must_use]
    pub fn keeps(&self, publisher: &PublisherId) -> bool {
        self.all || self.names(publisher)
    }
}

/// This node's knowledge of the feed of its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnFeed {
    /// The key.
    pub publisher: PublisherId,
    /// Whether all that the key has signed is known here: the key was made here, or peers have
    /// given its feed, or the user says so. A key that was copied here may have signed elsewhere.
    pub known: bool,
}

#[derive(Debug, Default)]
struct Decisions {
    pins: BTreeSet<Pin>,
    follows: Follows,
    denied: Arc<DenyList>,
    seen: BTreeMap<PublisherId, (u64, EntryId)>,
    own_feed: Option<OwnFeed>,
    /// Everything unpinned or unfollowed, with the time (Unix seconds).
    let_go: BTreeMap<Pin, u64>,
}

/// The decisions of a node's user, in memory and on disk.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
    decisions: Mutex<Decisions>,
}

fn read<T: DeserializeOwned + Default>(dir: &Path, name: &str) -> Result<T, StoreError> {
    let path = dir.join(name);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|e| StoreError::Format {
            path,
            reason: format!(
                "{e}; it has decisions that exist nowhere else: repair it by hand, or delete it to \
                drop them"
            ),
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(e) => Err(StoreError::io(&path, e)),
    }
}

impl State {
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let decisions = Decisions {
            pins: read(dir, "pins.json")?,
            follows: read(dir, "follows.json")?,
            denied: Arc::new(read(dir, "denied.json")?),
            seen: read(dir, "seen.json")?,
            own_feed: read(dir, "own-feed.json")?,
            let_go: read::<Vec<_>>(dir, "let-go.json")?.into_iter().collect(),
        };
        Ok(Self { dir: dir.to_owned(), decisions: Mutex::new(decisions) })
    }

    fn lock(&self) -> MutexGuard<'_, Decisions> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let text = serde_json::to_vec_pretty(value)
            .map_err(|e| StoreError::Format { path: path.clone(), reason: e.to_string() })?;
        durable::write_file(&path, &text)
    }

    pub(crate) fn pins(&self) -> BTreeSet<Pin> {
        self.lock().pins.clone()
    }

    /// Changes a pin; in memory only once it is on disk. Returns whether anything changed.
    pub(crate) fn set_pin(&self, pin: Pin, pinned: bool) -> Result<bool, StoreError> {
        let mut decisions = self.lock();
        let mut pins = decisions.pins.clone();
        let changed = if pinned { pins.insert(pin) } else { pins.remove(&pin) };
        if changed {
            self.write("pins.json", &pins)?;
            decisions.pins = pins;
        }
        Ok(changed)
    }

    /// Notes that the user no longer asks for these, before the pins or follows themselves change:
    /// collections spare them for the grace period.
    pub(crate) fn let_go(&self, pins: &[Pin], now: u64) -> Result<(), StoreError> {
        let mut decisions = self.lock();
        let mut let_go = decisions.let_go.clone();
        let_go.extend(pins.iter().map(|pin| (*pin, now)));
        self.set_let_go(&mut decisions, let_go)
    }

    /// Everything unpinned or unfollowed since this time.
    pub(crate) fn let_go_since(&self, since: u64) -> Vec<Pin> {
        let decisions = self.lock();
        decisions.let_go.iter().filter(|(_, at)| **at >= since).map(|(pin, _)| *pin).collect()
    }

    /// Forgets everything unpinned or unfollowed before a time.
    pub(crate) fn forget_let_go(&self, before: u64) -> Result<(), StoreError> {
        let mut decisions = self.lock();
        let mut let_go = decisions.let_go.clone();
        let_go.retain(|_, at| *at >= before);
        self.set_let_go(&mut decisions, let_go)
    }

    fn set_let_go(
        &self,
        decisions: &mut Decisions,
        let_go: BTreeMap<Pin, u64>,
    ) -> Result<(), StoreError> {
        if let_go != decisions.let_go {
            self.write("let-go.json", &let_go.iter().collect::<Vec<_>>())?;
            decisions.let_go = let_go;
        }
        Ok(())
    }

    pub(crate) fn follows(&self) -> Follows {
        self.lock().follows.clone()
    }

    pub(crate) fn set_follows(&self, follows: Follows) -> Result<(), StoreError> {
        let mut decisions = self.lock();
        self.write("follows.json", &follows)?;
        decisions.follows = follows;
        Ok(())
    }

    pub(crate) fn denied(&self) -> Arc<DenyList> {
        Arc::clone(&self.lock().denied)
    }

    /// Changes the deny list; in memory only once it is on disk. Returns what `change` says, whether
    /// it changed anything.
    pub(crate) fn change_denied(
        &self,
        change: impl FnOnce(&mut DenyList) -> bool,
    ) -> Result<bool, StoreError> {
        let mut decisions = self.lock();
        let mut denied = DenyList::clone(&decisions.denied);
        let changed = change(&mut denied);
        if changed {
            self.write("denied.json", &denied)?;
            decisions.denied = Arc::new(denied);
        }
        Ok(changed)
    }

    pub(crate) fn own_feed(&self) -> Option<OwnFeed> {
        self.lock().own_feed
    }

    pub(crate) fn set_own_feed(&self, own: OwnFeed) -> Result<(), StoreError> {
        let mut decisions = self.lock();
        self.write("own-feed.json", &own)?;
        decisions.own_feed = Some(own);
        Ok(())
    }

    pub(crate) fn seen(&self, publisher: &PublisherId) -> Option<(u64, EntryId)> {
        self.lock().seen.get(publisher).copied()
    }

    /// Remembers the highest entries seen, in one write. Lower ones change nothing.
    pub(crate) fn see(&self, entries: &[(PublisherId, u64, EntryId)]) -> Result<(), StoreError> {
        let mut decisions = self.lock();
        let mut seen = decisions.seen.clone();
        for (publisher, seq, id) in entries {
            let slot = seen.entry(*publisher).or_insert((*seq, *id));
            if slot.0 < *seq {
                *slot = (*seq, *id);
            }
        }
        if seen != decisions.seen {
            self.write("seen.json", &seen)?;
            decisions.seen = seen;
        }
        Ok(())
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
        let moved = follows.after_rotations(&chain);
        let savers = Some("savers".to_owned());
        assert_eq!(moved.publishers, [(id(1), None), (id(2), None), (id(3), savers)].into());
        assert_eq!(moved.successors, [(id(2), id(1)), (id(3), id(2))].into());
        assert_eq!(moved.successor_of(&id(1)), Some(&id(2)));
        assert_eq!(moved.after_rotations(&chain), moved, "once is enough");
        assert_eq!(moved.after_rotations(&|_| None), follows, "it decides nothing any more");
        for end in [1, 2, 3] {
            let mut none = moved.clone();
            assert!(none.unfollow(&id(end)));
            assert_eq!(none, Follows::default(), "the whole chain is one publisher");
        }
        // One that the user follows by wish stays when the hand-over is undone.
        let mut both = moved.clone();
        both.follow(id(2));
        assert!(both.after_rotations(&|_| None).names(&id(2)));
        // Keys that hand over to each other.
        let circle = |key: &PublisherId| Some(if *key == id(1) { id(2) } else { id(1) });
        assert_eq!(follows.after_rotations(&circle).publishers.len(), 2);
    }
}
