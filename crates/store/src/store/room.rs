//! The room that a store has: its quota, what is used, and leftovers that have had their time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use perennial_manifest::BlobId;

use crate::error::{AtPath, StoreError};
use crate::gc::clear_incoming;
use crate::layout::Layout;
use crate::space::{BLOCK, Promise, Reserved, Space, Usage};
use crate::state::noted_quota;
use crate::store::Store;

/// How long downloads, uploads and an index that a rebuild has set aside stay untouched.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// The index that a rebuild has set aside.
const INDEX_ASIDE: &str = "index.bad";

/// How much a data directory may have on disk, all files counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quota {
    /// What was noted when the store was opened last; nothing, if it was never given.
    #[default]
    Noted,
    /// As much as the disk has. Noted for later.
    Unlimited,
    /// This many bytes. Noted for later.
    Bytes(u64),
}

impl Quota {
    pub(super) fn bytes(self, layout: &Layout) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Noted => noted_quota(&layout.state()),
            Self::Unlimited => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes)),
        }
    }
}

/// The directory in which downloads and uploads are assembled before they become blobs
/// ([`Batch::take_file`](crate::Batch::take_file)), and their way to its room. Its files survive a
/// restart, and go when they were not written to for a day. Clones share it.
#[derive(Debug, Clone)]
pub struct Room {
    dir: PathBuf,
    /// None outside of a store.
    space: Option<Arc<Space>>,
}

/// A nameless file among downloads and uploads, which goes when it is dropped, and its room.
#[derive(Debug)]
pub struct Scratch {
    file: File,
    room: Option<(Reserved, PathBuf)>,
}

impl Scratch {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some((room, dir)) = &self.room {
            room.write(bytes.len() as u64, dir).map_err(io::Error::other)?;
        }
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Room {
    /// A directory that belongs to no store, for tests: nothing is counted.
    #[must_use]
    pub fn outside(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), space: None }
    }

    /// Opens a nameless file in it, for what has to be unpacked.
    ///
    /// # Errors
    /// Failures of the disk, [`StoreError::OverQuota`] and [`StoreError::DiskFull`].
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let room = self.space.as_ref().map(|space| space.reserve(BLOCK, &self.dir)).transpose()?;
        let file = tempfile::tempfile_in(&self.dir).at(&self.dir)?;
        Ok(Scratch { file, room: room.map(|room| (room, self.dir.clone())) })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes room for bytes that are about to be written to a file in it.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`] and [`StoreError::DiskFull`]; nothing is to be written then.
    pub fn take_room(&self, bytes: u64) -> Result<(), StoreError> {
        self.space.as_ref().map_or(Ok(()), |space| space.take(bytes, &self.dir))
    }

    /// Notes that a file in it was removed or cut.
    pub fn has_shrunk(&self) {
        if let Some(space) = &self.space {
            space.shrunk();
        }
    }
}

/// The leftovers that [`Store::tidy`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Downloads and uploads that nobody continued.
    pub incoming: u64,
    /// Fetches of blobs that nothing wants any more, or that are held by now.
    pub partial: u64,
    /// Whether an index that a rebuild had set aside was removed.
    pub index: bool,
}

impl Store {
    /// The room of downloads and uploads.
    #[must_use]
    pub fn incoming_room(&self) -> Room {
        Room { dir: self.0.layout.incoming(), space: Some(Arc::clone(self.0.blobs.space())) }
    }

    /// What is used of the disk. Reads the sizes of all files where that takes little time, or has
    /// not been done for a while.
    ///
    /// # Errors
    /// Failures of the disk.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        self.0.blobs.space().usage()
    }

    /// As [`Store::usage`], as far as it is known without counting: without a quota, the bytes
    /// used are those of the last count. Asks the disk for its free space alone.
    #[must_use]
    pub fn glance(&self) -> Usage {
        self.0.blobs.space().glance()
    }

    /// Why something was declined last for want of room, if it would be again.
    #[must_use]
    pub fn refusal(&self) -> Option<StoreError> {
        self.0.blobs.space().refusal()
    }

    /// Keeps room for the missing bytes of blobs until the promise is dropped. For fetches whose
    /// sizes a trusted publisher signed.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`] and [`StoreError::DiskFull`] if they do not all fit.
    pub fn promise(&self, missing: &[(BlobId, u64)]) -> Result<Promise, StoreError> {
        self.0.blobs.space().promise(missing, &self.0.layout.partial())
    }

    /// Makes the reserve for a full disk again, if it was given up and there is room for it.
    pub fn restore_reserve(&self) {
        self.0.blobs.space().restore();
    }

    /// Removes leftovers: downloads, uploads and an index set aside that were not touched for a
    /// day, and fetches not written to within `grace` of blobs that nothing wants.
    ///
    /// # Errors
    /// As for [`Store::gc`].
    pub fn tidy(&self, grace: Duration) -> Result<Tidied, StoreError> {
        if self.is_read_only() {
            return Err(StoreError::ReadOnly { path: self.dir().to_owned() });
        }
        let gate = self.0.blobs.gate().write().unwrap_or_else(PoisonError::into_inner);
        let (marked, _) = self.mark()?;
        let partial = self.clear_fetches(before(grace), &marked)?;
        drop(gate);
        let incoming = clear_incoming(&self.0.layout.incoming(), before(KEPT))?;
        let aside = self.0.layout.root().join(INDEX_ASIDE);
        let old = fs::symlink_metadata(&aside).and_then(|meta| meta.modified());
        let index = old.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= KEPT));
        if index {
            fs::remove_dir_all(&aside).at(&aside)?;
        }
        self.0.blobs.space().shrunk();
        Ok(Tidied { incoming, partial, index })
    }
}

/// This long ago, in Unix seconds.
pub(crate) fn before(ago: Duration) -> u64 {
    let at = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
