//! Decisions of the user: pins, follows, the deny list, and the highest entry seen of feeds that
//! matter.
//!
//! Owns `state/`: one JSON file per kind, replaced as a whole and fsynced. Never kept in the index
//! alone, because it cannot be rebuilt from blobs. A file that does not read back stops the start:
//! guessing at pins would let a collection delete blobs.

mod follows;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perennial_manifest::{BlobId, EntryId, PublisherId, ReleaseId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use follows::Kept;
pub use follows::{Follows, Succession};

use crate::deny::DenyList;
use crate::durable;
use crate::error::StoreError;
use crate::space::Space;

/// Why a blob may not be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pin {
    /// All artifacts of a release.
    Release(ReleaseId),
    /// One blob.
    Blob(BlobId),
}

/// This node's knowledge of the feed of its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnFeed {
    /// The key.
    pub publisher: PublisherId,
    /// Whether all that the key has signed is known here: the key was made here, or peers have
    /// given its feed, or the user says so. A key that was copied here may have signed elsewhere.
    pub known: bool,
    /// The key to which a rotation that is under way hands the feed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PublisherId>,
}

impl OwnFeed {
    /// The feed of a key that is not being replaced.
    #[must_use]
    pub const fn of(publisher: PublisherId, known: bool) -> Self {
        Self { publisher, known, next: None }
    }
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
    space: Arc<Space>,
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

/// The name of the file with the quota.
const QUOTA: &str = "quota.json";

/// The quota that was noted in this directory.
pub(crate) fn noted_quota(dir: &Path) -> Result<Option<u64>, StoreError> {
    read(dir, QUOTA)
}

impl State {
    /// Notes the quota, for processes that are not told one.
    pub(crate) fn note_quota(&self, quota: Option<u64>) -> Result<(), StoreError> {
        if noted_quota(&self.dir)? == quota { Ok(()) } else { self.write(QUOTA, &quota) }
    }

    pub(crate) fn open(dir: &Path, space: Arc<Space>) -> Result<Self, StoreError> {
        let decisions = Decisions {
            pins: read(dir, "pins.json")?,
            follows: read(dir, "follows.json")?,
            denied: Arc::new(read(dir, "denied.json")?),
            seen: read(dir, "seen.json")?,
            own_feed: read(dir, "own-feed.json")?,
            let_go: read::<Vec<_>>(dir, "let-go.json")?.into_iter().collect(),
        };
        Ok(Self { dir: dir.to_owned(), decisions: Mutex::new(decisions), space })
    }

    fn lock(&self) -> MutexGuard<'_, Decisions> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let text = serde_json::to_vec_pretty(value)
            .map_err(|e| StoreError::Format { path: path.clone(), reason: e.to_string() })?;
        self.space.decide(text.len() as u64, || durable::write_file(&path, &text))
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

    pub(crate) fn has_pin(&self, pin: &Pin) -> bool {
        self.lock().pins.contains(pin)
    }

    pub(crate) fn denied(&self) -> Arc<DenyList> {
        Arc::clone(&self.lock().denied)
    }

    /// Changes the deny list; in memory only once it is on disk. Returns what `change` says,
    /// whether it changed anything.
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
