//! Progress and cancellation of an import, and its work on blocking threads.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{ImportError, Progress, Watch};

/// The interval between checks for cancellation.
const LOOK: Duration = Duration::from_millis(200);

/// Counts items and bytes, and reports them to the watcher.
pub(crate) struct Meter<'a> {
    watch: &'a dyn Watch,
    progress: Mutex<Progress>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(watch: &'a dyn Watch) -> Self {
        Self { watch, progress: Mutex::default() }
    }

    /// Expects one more file, and returns its meter.
    pub(crate) fn file(&self) -> FileMeter<'_> {
        self.expect(1, 0);
        FileMeter { meter: self, counted: 0, expected: 0 }
    }

    /// Expects more items and bytes.
    pub(crate) fn expect(&self, items: u64, bytes: u64) {
        self.change(|progress| {
            progress.total_items = Some(progress.total_items.unwrap_or(0).saturating_add(items));
            progress.total_bytes = Some(progress.total_bytes.unwrap_or(0).saturating_add(bytes));
        });
    }

    /// Counts bytes received or already held.
    pub(crate) fn bytes(&self, bytes: u64) {
        self.change(|progress| {
            // Bytes transferred twice count once.
            let most = progress.total_bytes.unwrap_or(u64::MAX);
            progress.bytes = progress.bytes.saturating_add(bytes).min(most);
        });
    }

    /// Counts a finished blob or file.
    pub(crate) fn item(&self) {
        self.change(|progress| progress.items += 1);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        self.watch.progress(&progress);
    }

    /// Runs `work` until it is done or the watcher cancels the import.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, ImportError>>,
    ) -> Result<T, ImportError> {
        let cancelled = async {
            while !self.watch.is_cancelled() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            biased;
            () = cancelled => Err(ImportError::Cancelled),
            done = work => done,
        }
    }
}

/// Counts one file, whose transfer may restart.
pub(crate) struct FileMeter<'a> {
    meter: &'a Meter<'a>,
    counted: u64,
    expected: u64,
}

impl FileMeter<'_> {
    /// Starts or restarts the transfer with `here` bytes on disk and `rest` bytes to come, if
    /// known.
    pub(crate) fn begin(&mut self, here: u64, rest: Option<u64>) {
        if self.counted == 0 {
            self.bytes(here);
        }
        self.expect(self.counted.saturating_add(rest.unwrap_or(0)));
    }

    fn expect(&mut self, in_all: u64) {
        if in_all > self.expected {
            self.meter.expect(0, in_all - self.expected);
            self.expected = in_all;
        }
    }

    /// Counts received bytes.
    pub(crate) fn bytes(&mut self, bytes: u64) {
        self.counted = self.counted.saturating_add(bytes);
        // Some servers do not state the length of a file.
        self.expect(self.counted);
        self.meter.bytes(bytes);
    }

    /// Counts the file as finished.
    pub(crate) fn done(&self) {
        self.meter.item();
    }
}

/// Runs `work` on a thread for blocking work. It starts at once, and finishes even if the returned
/// future is dropped.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> impl Future<Output = Result<T, ImportError>> + Send {
    let started = tokio::task::spawn_blocking(work);
    async move {
        started.await.unwrap_or_else(|error| match error.try_into_panic() {
            // A panic is a defect, and reaches the caller as if `work` had run on its own thread.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ImportError::Cancelled),
        })
    }
}
