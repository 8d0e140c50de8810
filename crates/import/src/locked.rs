//! Files that one import at a time may write: an exclusive lock, and a notification of its release.
//!
//! The store belongs to one process, so the imports that compete for a file are tasks of this
//! process: a release wakes those that wait.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::sync::Notify;

use crate::ImportError;
use crate::error::at;

/// Notified whenever an import releases a file.
static RELEASED: Notify = Notify::const_new();

/// A file under an exclusive lock, which is held until the value is dropped.
#[derive(Debug)]
pub(crate) struct LockedFile(File);

impl LockedFile {
    /// Opens or creates a file; `None` if another import holds it. Blocking.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, ImportError> {
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(path).map_err(at(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(at(path)(error)),
        }
        let file = Self(file);
        // The previous holder may have turned the file into a blob, which must not be written to.
        let own = file.metadata().map_err(at(path))?;
        match std::fs::symlink_metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => Ok(Some(file)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(path)(error)),
        }
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for LockedFile {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing the file would also end the lock, but only after the notification.
        let _ = self.0.unlock();
        RELEASED.notify_waiters();
    }
}

/// Calls `attempt` until it yields a value, again after each release of a file.
pub(crate) async fn when_free<T, F: Future<Output = Result<Option<T>, ImportError>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, ImportError> {
    loop {
        let released = RELEASED.notified();
        tokio::pin!(released);
        // Listening begins before the attempt, so that no release falls between the two.
        released.as_mut().enable();
        if let Some(value) = attempt().await? {
            return Ok(value);
        }
        released.await;
    }
}
