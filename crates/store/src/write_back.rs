//! Sends a large file to disk while more of it is still being written.
//!
//! Owns when that happens and what came of it. Promises that `finish` tells whether the whole file
//! is on disk. The kernel reports a failure only once (Rebello et al., ATC 2020), so it is
//! remembered: every later call fails too, and the file is truncated, so that nothing of it counts
//! when it is opened again. Does not write.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::durable;
use crate::error::{AtPath, StoreError};

/// Bytes between two fsyncs. Small enough to leave little for the last one; at a quarter of it, the
/// fsyncs cost more than they save.
const STEP: u64 = 64 << 20;

/// A file on its way to disk.
#[derive(Debug)]
pub(crate) struct WriteBack {
    file: Arc<File>,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes written since the last fsync began.
    written: u64,
    running: Option<JoinHandle<io::Result<()>>>,
    failed: bool,
}

impl WriteBack {
    pub(crate) fn new(file: Arc<File>, path: &Path) -> Self {
        let state = Mutex::new(State { written: 0, running: None, failed: false });
        Self { file, path: path.to_path_buf(), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts written bytes, and starts an fsync on another thread when there are many.
    pub(crate) fn wrote(&self, bytes: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        state.written += bytes;
        let busy = state.running.as_ref().is_some_and(|thread| !thread.is_finished());
        if state.written < STEP || busy {
            return Ok(());
        }
        state.settle().at(&self.path)?;
        state.written = 0;
        let file = Arc::clone(&self.file);
        // If no thread can be started, the last fsync has more to do.
        state.running =
            thread::Builder::new().name("write-back".into()).spawn(move || sync(&file)).ok();
        Ok(())
    }

    /// Waits until everything written is on disk.
    pub(crate) fn finish(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        state.settle().at(&self.path)?;
        let outcome = durable::sync_file(&self.file, &self.path);
        if outcome.is_err() {
            state.failed = true;
            give_up(&self.file);
        }
        outcome
    }
}

fn sync(file: &File) -> io::Result<()> {
    file.sync_data().inspect_err(|_| give_up(file))
}

fn give_up(file: &File) {
    if let Err(error) = file.set_len(0) {
        tracing::error!(%error, "could not truncate a fetch whose fsync failed");
    }
}

impl State {
    /// Waits for the running fsync and remembers its outcome.
    fn settle(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier fsync of this file failed"));
        }
        let Some(thread) = self.running.take() else { return Ok(()) };
        let outcome = thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that synced it panicked")));
        self.failed = outcome.is_err();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn early_and_late_writes_are_on_disk_at_the_end() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[1; 1000]).expect("room");
        let back = WriteBack::new(Arc::new(file), Path::new("f"));
        for _ in 0..3 {
            back.wrote(STEP).expect("it syncs");
        }
        back.finish().expect("it syncs");
        back.finish().expect("nothing is left to do");
    }

    #[test]
    fn a_failed_write_back_is_reported_at_the_end_and_ever_after() {
        // A device without a disk behind it refuses fsync.
        let file = File::options().write(true).open("/dev/full").expect("every Linux has it");
        let back = WriteBack::new(Arc::new(file), Path::new("f"));
        back.wrote(STEP).expect("writing continues meanwhile");
        assert!(back.finish().expect_err("the first").to_string().contains("Invalid argument"));
        assert!(back.finish().expect_err("the second").to_string().contains("earlier fsync"));
        assert!(back.wrote(STEP).is_err());
    }

    #[test]
    fn a_few_bytes_start_no_write_back() {
        let file = File::options().write(true).open("/dev/full").expect("every Linux has it");
        let back = WriteBack::new(Arc::new(file), Path::new("f"));
        back.wrote(STEP - 1).expect("nothing happened");
        assert!(back.state().running.is_none());
    }
}
