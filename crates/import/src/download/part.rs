//! A download on disk: its bytes, and beside them a state file with the upstream's validator.
//!
//! Promises that only fsynced bytes are resumed after a restart, and only while the upstream
//! confirms that its file is unchanged, and that one import at a time writes to a file.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use perennial_manifest::Sha256Digest;
use perennial_store::{Room, Scratch};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::coding::Coding;
use crate::ImportError;
use crate::error::{at, shown};
use crate::locked::LockedFile;

/// Bytes written between two fsyncs, which a crash may cost.
const SYNC_EVERY: u64 = 32 << 20;
/// Longest state file read, in bytes.
const MAX_STATE: u64 = 16 << 10;

/// The state file: the facts that a later import needs to resume.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The URL without its secrets. The file's name tells all URLs apart.
    url: String,
    /// A strong `ETag`, or an equally strong `Last-Modified`.
    validator: Option<String>,
    /// The number of bytes known to be on disk.
    safe: u64,
    total: Option<u64>,
    /// What the server said that it did to the bytes; of a part, it need not say so again (RFC
    /// 9110, 15.3.7).
    #[serde(default)]
    codings: Vec<String>,
}

/// A download in progress, locked against other imports. Its bytes outlive the process.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    room: Room,
    file: LockedFile,
    state: State,
    len: u64,
    /// Whether `path` still names this file, which it may not once the state is removed.
    is_ours: bool,
    /// Whether no later import knows of it.
    is_alone: bool,
}

impl Drop for Part {
    /// Removes the file if it is empty, or if nobody resumes it.
    fn drop(&mut self) {
        if self.is_ours && (self.len == 0 || self.is_alone) {
            let _ = self.forget().and_then(|()| remove(&self.path));
        }
    }
}

impl Part {
    /// Opens a download of a URL that no other import knows of, and that none resumes: who holds it
    /// waits for nobody, and nobody waits for it.
    pub(super) fn alone(room: &Room, url: &Url) -> Result<Self, ImportError> {
        // Numbers are used again, so that what a killed process leaves does not add up.
        let mut number = 1_u32;
        loop {
            let path = room.dir().join(format!("{}-{number}.part", name(url)));
            if let Some(file) = LockedFile::open(&path)? {
                let state = State { url: shown(url), ..State::default() };
                let room = room.clone();
                let mut part =
                    Self { path, room, file, state, len: 0, is_ours: true, is_alone: true };
                part.cut(0)?;
                return Ok(part);
            }
            number += 1;
        }
    }

    /// Opens the download of a URL; `None` if another import is writing to it.
    pub(super) fn open(room: &Room, url: &Url) -> Result<Option<Self>, ImportError> {
        let path = room.dir().join(format!("{}.part", name(url)));
        let Some(file) = LockedFile::open(&path)? else { return Ok(None) };
        let there = file.metadata().map_err(at(&path))?.len();
        let (room, state) = (room.clone(), State::default());
        let mut part = Self { path, room, file, state, len: 0, is_ours: true, is_alone: false };
        if let Some(state) = part.read_state().filter(|state| state.url == shown(url)) {
            part.len = there.min(state.safe);
            part.state = state;
        }
        part.state.url = shown(url);
        part.cut(part.len)?;
        Ok(Some(part))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A nameless file beside it.
    pub(super) fn scratch(&self) -> Result<Scratch, ImportError> {
        Ok(self.room.scratch()?)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The length of the upstream's file, if it is known.
    pub(super) fn total(&self) -> Option<u64> {
        self.state.total
    }

    /// Whether the upstream's file may have this length, by all that is known.
    pub(super) fn may_have(&self, total: u64) -> bool {
        self.state.total.is_none_or(|known| known == total)
    }

    /// The whole content, for files of bounded length. Blocking.
    pub(crate) fn read(&self) -> Result<Vec<u8>, ImportError> {
        std::fs::read(&self.path).map_err(at(&self.path))
    }

    /// The offset to resume at, and the validator that the upstream's file must still have.
    pub(super) fn resume(&mut self) -> Result<Option<(u64, String)>, ImportError> {
        let Some(validator) = self.state.validator.clone() else { return Ok(None) };
        // A range past the end cannot be satisfied, so a complete file requests its last byte
        // again.
        if self.state.total.is_some_and(|total| total <= self.len) {
            self.cut(self.len.saturating_sub(1))?;
        }
        Ok((self.len > 0).then_some((self.len, validator)))
    }

    /// Discards the bytes and starts over with another version of the upstream's file, on which
    /// these codings lie.
    pub(super) fn begin(
        &mut self,
        validator: Option<String>,
        total: Option<u64>,
        codings: &[Coding],
    ) -> Result<(), ImportError> {
        self.cut(0)?;
        let url = std::mem::take(&mut self.state.url);
        let codings = codings.iter().map(|coding| coding.as_str().to_owned()).collect();
        self.state = State { url, validator, safe: 0, total, codings };
        self.write_state()
    }

    /// The codings of the bytes that are here.
    pub(super) fn codings(&self) -> Vec<Coding> {
        self.state.codings.iter().filter_map(|word| Coding::of(word)).collect()
    }

    /// Appends bytes, with an fsync every [`SYNC_EVERY`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.room.take_room(bytes.len() as u64)?;
        self.file.write_all(bytes).map_err(at(&self.path))?;
        self.len += bytes.len() as u64;
        if self.len - self.state.safe >= SYNC_EVERY { self.settle() } else { Ok(()) }
    }

    /// Fsyncs the bytes so far and records them as safe, if the download can be resumed.
    pub(super) fn settle(&mut self) -> Result<(), ImportError> {
        if self.state.validator.is_none() || self.len == self.state.safe {
            return Ok(());
        }
        self.file.sync_data().map_err(at(&self.path))?;
        self.state.safe = self.len;
        self.write_state()
    }

    /// Removes the file and its state.
    pub(crate) fn remove(mut self) -> Result<(), ImportError> {
        self.forget()?;
        self.room.has_shrunk();
        remove(&self.path)
    }

    /// Removes the state before the file becomes a blob, because another import may then start
    /// under the same name.
    pub(super) fn forget(&mut self) -> Result<(), ImportError> {
        self.is_ours = false;
        remove(&self.state_path())
    }

    /// Restores the state after the file failed to become a blob.
    pub(super) fn remember(&mut self) -> Result<(), ImportError> {
        self.is_ours = true;
        self.settle()?;
        self.write_state()
    }

    fn cut(&mut self, len: u64) -> Result<(), ImportError> {
        self.file.set_len(len).map_err(at(&self.path))?;
        self.room.has_shrunk();
        self.file.seek(SeekFrom::Start(len)).map_err(at(&self.path))?;
        self.len = len;
        self.state.safe = self.state.safe.min(len);
        Ok(())
    }

    fn state_path(&self) -> PathBuf {
        self.path.with_extension("state")
    }

    /// The state that an earlier import left; `None`, which starts the download over, if it cannot
    /// be read.
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

/// The name of the files that hold a URL's download, without an ending.
fn name(url: &Url) -> String {
    format!("http-{}", Sha256Digest::of(url.as_str().as_bytes()).to_hex())
}

fn remove(path: &Path) -> Result<(), ImportError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}
