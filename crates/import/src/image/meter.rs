//! How far an import of images is, for whoever watches.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Progress, Watch};

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

    /// A blob is done.
    pub(crate) fn item(&self) {
        self.change(|progress| progress.items += 1);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        self.watch.progress(&progress);
    }
}

/// Ends when nobody waits for the outcome any more.
pub(crate) async fn cancelled(watch: &dyn Watch) {
    while !watch.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
}
