//! The store as its users see it: open it, add and read blobs, put entries, pin and follow.
//!
//! Owns the parts and the locks between them; each concern has a file below `store/`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use perennial_manifest::EntryId;
use tokio::sync::broadcast;

use crate::blobs::Blobs;
use crate::catalog::Catalog;
use crate::error::StoreError;
use crate::index_trait::{IndexKind, MetaIndex};
use crate::layout::{Layout, OpenError};
use crate::rebuild;
use crate::space::Space;
use crate::state::State;

mod arriving;
mod bytes;
mod damage;
mod decisions;
mod denial;
mod denied_content;
mod entries;
mod entry_counts;
mod feed_log;
mod forget;
mod in_place;
mod index_access;
mod naming;
mod releases;
mod room;
mod rotations;
mod share;
mod stats;
#[cfg(test)]
pub(crate) mod tests;
mod visitors;

pub use arriving::Arriving;
pub use bytes::{BlobState, OpenBlob};
pub use damage::Damaged;
use denied_content::DeniedContent;
use entry_counts::EntryCounts;
pub use feed_log::ChangedFeeds;
use feed_log::FeedLog;
pub use forget::Forgotten;
pub use in_place::{Changes, Loss, Reading, Relocated, Unmoved};
pub(crate) use room::before;
pub use room::{Quota, Room, Scratch, Tidied};
pub use share::Share;
use visitors::Visitors;

/// The options of [`Store::open`].
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Where the index is kept.
    pub index: IndexKind,
    /// How much is taken in of publishers that are not followed.
    pub strangers: Share,
    /// How much the data directory may have.
    pub quota: Quota,
}

/// A node's store. Clones share it.
///
/// ```
/// use perennial_store::{OpenOptions, Store};
///
/// # let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), OpenOptions::default())?;
///
/// let mut batch = store.batch();
/// let added = batch.add_bytes(b"hello".to_vec())?;
/// let lease = batch.commit()?; // durable now, and spared by collections while the lease lives
///
/// let mut out = Vec::new();
/// store.copy_out(&added.blob, &mut out)?; // verified on the way
/// assert_eq!(out, b"hello");
/// # drop(lease);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) blobs: Blobs,
    pub(crate) state: State,
    pub(crate) index: RwLock<Arc<dyn MetaIndex>>,
    /// Held during every change of the index, so that judging a feed and updating it are one step.
    pub(crate) writing: Mutex<()>,
    pub(crate) layout: Layout,
    kind: IndexKind,
    rebuilt: Mutex<Option<String>>,
    generation: AtomicU64,
    /// Entries that did not read back. They count as missing until they come again.
    damaged_entries: Mutex<BTreeSet<EntryId>>,
    /// The last walk over large files.
    measured: Mutex<Option<stats::Measured>>,
    /// Changed under the `writing` lock, in step with the index.
    entry_counts: Mutex<EntryCounts>,
    /// The feeds that changed with each generation.
    feed_log: Mutex<FeedLog>,
    /// Held while the held bytes of releases are counted, and before the `writing` lock.
    recounting: Mutex<()>,
    /// What was fetched for strangers.
    visitors: Visitors,
    /// How often collections began to remove bytes.
    pub(crate) removals: AtomicU64,
    /// Held while `denied` is made for a deny list that has changed.
    denying: Mutex<()>,
    denied: RwLock<Arc<DeniedContent>>,
    /// The last field: it closes after the layout has released its lock, which tells a node that
    /// the store is closed.
    damage: broadcast::Sender<Damaged>,
}

impl Store {
    /// Opens the store in a directory, and creates it if it is missing. An index that is missing,
    /// damaged or behind is moved aside and rebuilt from the files; [`Store::rebuilt`] tells why.
    ///
    /// On read-only media nothing is written: the index is made in memory, and every change ends
    /// in [`StoreError::ReadOnly`].
    ///
    /// # Errors
    /// [`OpenError`] if another process uses the directory, if it has a newer layout or is not
    /// writable, or if a file of the user's decisions does not read back.
    pub fn open(dir: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        let layout = Layout::open(dir)?;
        // Sled writes to what it opens; on read-only media the index is made in memory.
        let kind = if layout.is_read_only() { IndexKind::Memory } else { options.index };
        let quota = options.quota.bytes(&layout)?;
        let space = Space::open(&layout, quota)?;
        // A start writes; sled, before anything else.
        space.make_way();
        let blobs = Blobs::open(&layout, Arc::clone(&space))?;
        let state = State::open(&layout.state(), Arc::clone(&space))?;
        let opened = match rebuild::open_index(&layout, &blobs, &state, kind) {
            Err(StoreError::DiskFull { .. }) => {
                rebuild::open_on_full_disk(&layout, &blobs, &state, kind)
            }
            other => other,
        };
        let opened = opened?;
        let catalog = Catalog { index: &*opened.index, blobs: &blobs };
        let visitors = Visitors::open(layout.state().join("visitors"));
        let entry_counts = EntryCounts::of(catalog.publishers()?, &state, options.strangers);
        let store = Self(Arc::new(Inner {
            blobs,
            state,
            index: RwLock::new(opened.index),
            writing: Mutex::new(()),
            layout,
            kind,
            rebuilt: Mutex::new(opened.rebuilt),
            generation: AtomicU64::new(0),
            damaged_entries: Mutex::default(),
            measured: Mutex::default(),
            entry_counts: Mutex::new(entry_counts),
            feed_log: Mutex::default(),
            recounting: Mutex::default(),
            visitors,
            removals: AtomicU64::new(0),
            damage: broadcast::Sender::new(damage::DAMAGE_BACKLOG),
            denying: Mutex::default(),
            denied: RwLock::default(),
        }));
        store.note_denied()?;
        if !store.is_read_only() {
            store.0.state.note_quota(quota)?;
        }
        space.restore();
        Ok(store)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Why the index was rebuilt since the store was opened, if it was.
    #[must_use]
    pub fn rebuilt(&self) -> Option<String> {
        self.0.rebuilt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rebuilds the index from the files, in any state. Returns how many entries it has
    /// then.
    ///
    /// # Errors
    /// Failures of the disk; the store then answers reads from memory and takes nothing in.
    pub fn rebuild_index(&self) -> Result<u64, StoreError> {
        let _writing = self.0.lock();
        self.0.renew("asked for", true)?;
        self.0.ask(|catalog| catalog.count())
    }

    /// Whether the store lies on read-only media.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.0.layout.is_read_only()
    }

    /// Asks whether the data directory is still there and its disk answers. Takes as long as the
    /// disk takes; writes nothing.
    ///
    /// # Errors
    /// [`StoreError::Gone`], or the error of the disk. The store is of no use then, even when the
    /// disk comes back: it is to be dropped and opened again.
    pub fn probe(&self) -> Result<(), StoreError> {
        self.0.layout.probe()
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.0.layout.root()
    }
}
