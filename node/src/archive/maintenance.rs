//! Maintenance of the whole store: verify, collect, rebuild the index.

use std::sync::Arc;
use std::time::{Duration, Instant};

use perennial_operation::{Progress, Stage};
use perennial_store::{Follows, GcOptions, GcReport, StoreError, VerifyReport};

use super::repair::held;
use super::{Archive, ArchiveError, Observer};

/// The outcome of [`Archive::verify`].
#[derive(Debug)]
pub struct Verified {
    /// Totals of the bytes read, and the damage found.
    pub report: VerifyReport,
    /// Duration of the verification.
    pub elapsed: Duration,
}

/// The outcome of [`Archive::rebuild_index`].
#[derive(Debug, Clone, Copy)]
pub struct Rebuilt {
    /// Entries in the new index.
    pub entries: u64,
    /// Releases in the new index.
    pub releases: u64,
    /// Duration of the rebuild.
    pub elapsed: Duration,
}

impl Archive {
    /// Reads back every stored blob and entry. Damaged ones are set aside, and repaired if this
    /// node keeps them.
    ///
    /// # Errors
    /// When the node stops meanwhile; what is damaged or cannot be read is in the report.
    pub async fn verify(&self, observer: Arc<dyn Observer>) -> Result<Verified, ArchiveError> {
        let started = Instant::now();
        let report = self.blocking(move |archive| {
            Ok::<_, StoreError>(archive.store.verify(&|bytes, total| {
                observer.progress(Progress {
                    bytes,
                    total_bytes: Some(total),
                    ..Progress::of(Stage::Verifying)
                });
            }))
        });
        let report = report.await?;
        for release in &report.restored {
            self.network.held(*release).await;
        }
        Ok(Verified { report, elapsed: started.elapsed() })
    }

    /// Frees unreferenced content, and stops announcing releases that are no longer whole.
    ///
    /// # Errors
    /// The store's error.
    pub async fn gc(&self, options: GcOptions) -> Result<GcReport, ArchiveError> {
        let archive = self.clone();
        let task = self.tasks.spawn(async move {
            let collected = archive.blocking(move |archive| {
                let before = held(&archive.store)?;
                let report = archive.store.gc(options)?;
                Ok::<_, StoreError>((report, &before - &held(&archive.store)?))
            });
            let (report, dropped) = collected.await?;
            for release in dropped {
                archive.network.dropped(release).await;
            }
            if report.freed_bytes > 0 && !options.dry_run {
                archive.network.has_room().await;
            }
            Ok(report)
        });
        task.await?
    }

    /// Whether the archive has no bytes, not even of an interrupted transfer, no statement of its
    /// own, and no policy. What others said does not count: they say it again. Blocking.
    pub(crate) fn is_empty(&self) -> Result<bool, StoreError> {
        let store = &self.store;
        let under_way = |part: &str| {
            let entries = std::fs::read_dir(store.dir().join(part));
            entries.is_ok_and(|mut entries| entries.next().is_some())
        };
        Ok(store.stats()?.blobs == 0
            && !under_way("partial")
            && !under_way("incoming")
            && store.feed(&self.publisher())?.entries == 0
            && store.pins().is_empty()
            && store.follows() == Follows::default())
    }

    /// Rebuilds the index from the files.
    ///
    /// # Errors
    /// The store's error.
    pub async fn rebuild_index(&self) -> Result<Rebuilt, ArchiveError> {
        let started = Instant::now();
        let rebuilt = self.blocking(|archive| {
            let entries = archive.store.rebuild_index()?;
            Ok::<_, StoreError>((entries, archive.store.stats()?.releases))
        });
        let (entries, releases) = rebuilt.await?;
        Ok(Rebuilt { entries, releases, elapsed: started.elapsed() })
    }
}
