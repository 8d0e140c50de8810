//! A download under way, on disk: the bytes, and beside them what the upstream called this state of its file.
//!
//! Promises that only bytes that were fsynced are built on after a restart, that they are built on only while the upstream
//! says the file is still the same, and that one import at a time writes to a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ImportError;

/// How many bytes a crash may cost.
const SYNC_EVERY: u64 = 32 << 20;
/// Longest state file read.
const MAX_STATE: u64 = 16 << 10;

/// What is known about the bytes so far.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    url: String,
    /// A strong `ETag`, or a `Last-Modified` that is as good as one.
    validator: Option<String>,
    /// How many bytes are on disk for sure.
    safe: u64,
    total: Option<u64>,
}

/// A file that is being downloaded. Locked; what it holds outlives the process.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    state: State,
    len: u64,
    /// Whether the name is still that of this file.
    is_ours: bool,
}

impl Drop for Part {
    /// Leaves nothing where nothing came.
    fn drop(&mut self) {
        if self.is_ours && self.len == 0 {
            let _ = self.forget().and_then(|()| remove(&self.path));
        }
    }
}

impl Part {
    /// Opens what there is of a URL, or nothing where another import is at it.
    pub(super) fn open(dir: &Path, url: &Url) -> Result<Option<Self>, ImportError> {
        let name = format!("http-{}", hex::encode(Sha256::digest(url.as_str())));
        let path = dir.join(name).with_extension("part");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(at(&path)(source)),
        }
        let meta = file.metadata().map_err(at(&path))?;
        // whoever had the lock may have made a blob of the file, which must not change any more
        if !std::fs::metadata(&path)
            .is_ok_and(|now| now.ino() == meta.ino() && now.dev() == meta.dev())
        {
            return Ok(None);
        }
        let mut part = Self { path, file, state: State::default(), len: 0, is_ours: true };
        if let Some(state) = part.read_state().filter(|state| state.url == url.as_str()) {
            part.len = meta.len().min(state.safe);
            part.state = state;
        }
        part.state.url = url.to_string();
        part.cut(part.len)?;
        Ok(Some(part))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// All of it; for what is bounded. Blocking.
    pub(crate) fn read(&self) -> Result<Vec<u8>, ImportError> {
        std::fs::read(&self.path).map_err(at(&self.path))
    }

    /// From where to go on, and what the upstream's file must still be called for that.
    pub(super) fn resume(&mut self) -> Result<Option<(u64, String)>, ImportError> {
        let Some(validator) = self.state.validator.clone() else { return Ok(None) };
        // nothing can be asked for after the end, so of a whole file the last byte is
        if self.state.total.is_some_and(|total| total <= self.len) {
            self.cut(self.len.saturating_sub(1))?;
        }
        Ok((self.len > 0).then_some((self.len, validator)))
    }

    /// Starts anew, with bytes of what the upstream calls so.
    pub(super) fn begin(
        &mut self,
        validator: Option<String>,
        total: Option<u64>,
    ) -> Result<(), ImportError> {
        self.cut(0)?;
        self.state = State { url: std::mem::take(&mut self.state.url), validator, safe: 0, total };
        self.write_state()
    }

    /// Writes what comes next.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.file.write_all(bytes).map_err(at(&self.path))?;
        self.len += bytes.len() as u64;
        if self.len - self.state.safe >= SYNC_EVERY { self.settle() } else { Ok(()) }
    }

    /// Makes what came last beyond a crash.
    pub(super) fn settle(&mut self) -> Result<(), ImportError> {
        if self.state.validator.is_none() || self.len == self.state.safe {
            return Ok(());
        }
        self.file.sync_data().map_err(at(&self.path))?;
        self.state.safe = self.len;
        self.write_state()
    }

    /// Removes the file and what was known about it.
    pub(crate) fn remove(mut self) -> Result<(), ImportError> {
        self.forget()?;
        remove(&self.path)
    }

    /// Removes what was known, before the file becomes a blob: afterwards another import may begin under the same name.
    pub(super) fn forget(&mut self) -> Result<(), ImportError> {
        self.is_ours = false;
        remove(&self.state_path())
    }

    /// Notes again what was known, because the file did not become a blob.
    pub(super) fn remember(&mut self) -> Result<(), ImportError> {
        self.is_ours = true;
        self.settle()?;
        self.write_state()
    }

    fn cut(&mut self, len: u64) -> Result<(), ImportError> {
        self.file.set_len(len).map_err(at(&self.path))?;
        self.file.seek(SeekFrom::Start(len)).map_err(at(&self.path))?;
        self.len = len;
        self.state.safe = self.state.safe.min(len);
        Ok(())
    }

    fn state_path(&self) -> PathBuf {
        self.path.with_extension("state")
    }

    /// What an earlier import noted; whatever cannot be read means to start anew.
    fn read_state(&self) -> Option<State> {
        let path = self.state_path();
        let len = std::fs::symlink_metadata(&path).ok()?.len();
        if len > MAX_STATE {
            return None;
        }
        serde_json::from_slice(&std::fs::read(&path).ok()?).ok()
    }

    fn write_state(&self) -> Result<(), ImportError> {
        let path = self.state_path();
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(at(dir))?;
        serde_json::to_writer(&mut file, &self.state).map_err(|e| at(file.path())(e.into()))?;
        file.persist(&path).map_err(|e| at(&path)(e.error))?;
        Ok(())
    }
}

fn remove(path: &Path) -> Result<(), ImportError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Names the file that an operation failed on.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> ImportError + '_ {
    |source| ImportError::File { path: path.to_owned(), source }
}
