//! How far an import is, for whoever watches.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{ImportError, Progress, Watch};

/// How soon a cancelled import ends.
const LOOK: Duration = Duration::from_millis(200);

/// Counts what came and tells the watcher.
pub(crate) struct Meter<'a> {
    watch: &'a dyn Watch,
    progress: Mutex<Progress>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(watch: &'a dyn Watch) -> Self {
        Self { watch, progress: Mutex::default() }
    }

    /// A file that is about to come.
    pub(crate) fn file(&self) -> FileMeter<'_> {
        self.expect(1, 0);
        FileMeter { meter: self, counted: 0, expected: 0 }
    }

    /// So much more is to come.
    pub(crate) fn expect(&self, items: u64, bytes: u64) {
        self.change(|progress| {
            progress.total_items = Some(progress.total_items.unwrap_or(0).saturating_add(items));
            progress.total_bytes = Some(progress.total_bytes.unwrap_or(0).saturating_add(bytes));
        });
    }

    /// Bytes came, or were here.
    pub(crate) fn bytes(&self, bytes: u64) {
        self.change(|progress| {
            // what has to come twice counts once
            let most = progress.total_bytes.unwrap_or(u64::MAX);
            progress.bytes = progress.bytes.saturating_add(bytes).min(most);
        });
    }

    /// A blob or file is done.
    pub(crate) fn item(&self) {
        self.change(|progress| progress.items += 1);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        self.watch.progress(&progress);
    }

    /// Does something for as long as somebody waits for the outcome.
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

/// Counts one file, whose transfer may begin more than once.
pub(crate) struct FileMeter<'a> {
    meter: &'a Meter<'a>,
    counted: u64,
    expected: u64,
}

impl FileMeter<'_> {
    /// The transfer begins, or begins again: so many bytes are here, and so many are to come, where that is known.
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

    /// Bytes came.
    pub(crate) fn bytes(&mut self, bytes: u64) {
        self.counted = self.counted.saturating_add(bytes);
        // of some files nobody says how long they are
        self.expect(self.counted);
        self.meter.bytes(bytes);
    }

    /// All of it is here.
    pub(crate) fn done(&self) {
        self.meter.item();
    }
}
