//! Collection without being asked: where room runs out, what nothing needs goes; leftovers go once
//! a day.
//!
//! Takes only what `gc` takes, by the same rules and the same grace period: no pin, nothing of a
//! followed publisher, nothing that was let go a moment ago. Tells the log when the disk becomes
//! full, and when there is room again.

use std::time::Duration;

use perennial_store::{GcOptions, GcReport, Tidied, Usage};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Archive, ArchiveError};

/// How often a node looks at its room.
const EVERY: Duration = Duration::from_secs(10);
/// Least time between two collections: marking reads the lists of all releases that are kept.
const REST: Duration = Duration::from_secs(15 * 60);
/// Least time after a collection that freed nothing.
const LONG_REST: Duration = Duration::from_secs(6 * 3600);
/// How often leftovers are removed, and how long after the start first.
const TIDY_EVERY: Duration = Duration::from_secs(24 * 3600);
const TIDY_FIRST: Duration = Duration::from_secs(10 * 60);
/// The part of the quota, or of the disk, that may be used before a collection begins.
const LOW_WATER: u64 = 90;
/// Free bytes of a disk that are enough however large it is: others may have filled the rest.
const AMPLE: u64 = 64 << 30;

/// When what is done, and what was said.
#[derive(Debug)]
struct Schedule {
    collect: Instant,
    tidy: Instant,
    is_full: bool,
}

impl Schedule {
    fn new(now: Instant) -> Self {
        Self { collect: now, tidy: now + TIDY_FIRST, is_full: false }
    }

    /// Whether a collection is due.
    fn is_due(&self, now: Instant, usage: &Usage) -> bool {
        is_low(usage) && now >= self.collect
    }

    fn collected(&mut self, now: Instant, freed: u64) {
        self.collect = now + if freed > 0 { REST } else { LONG_REST };
    }
}

/// Whether little room is left.
fn is_low(usage: &Usage) -> bool {
    let over =
        |used: u64, all: u64| u128::from(used) * 100 > u128::from(all) * u128::from(LOW_WATER);
    usage.declined.is_some()
        || usage.quota.is_some_and(|quota| over(usage.used, quota))
        || usage.disk.is_some_and(|(free, all)| free < AMPLE && over(all.saturating_sub(free), all))
}

impl Archive {
    /// Watches the room of the archive until `stop`.
    pub(crate) async fn watch_room(self, grace: Duration, stop: CancellationToken) {
        let mut schedule = Schedule::new(Instant::now());
        loop {
            if let Err(error) = self.look_at_room(&mut schedule, grace).await {
                tracing::warn!(%error, "could not look at the room on the disk");
            }
            if stop.run_until_cancelled(sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn look_at_room(
        &self,
        schedule: &mut Schedule,
        grace: Duration,
    ) -> Result<(), ArchiveError> {
        let look = |archive: &Archive| {
            archive.store.restore_reserve();
            Ok::<_, ArchiveError>(archive.store.glance())
        };
        let mut usage = self.blocking(look).await?;
        if schedule.is_due(Instant::now(), &usage) {
            // What a glance takes for used may be gone by now: before anything goes, it is counted.
            usage = self.blocking(|archive| archive.store.usage()).await?;
        }
        if schedule.is_due(Instant::now(), &usage) {
            let report = self.gc(GcOptions { grace, dry_run: false }).await;
            let freed = report.as_ref().map_or(0, |report| report.freed_bytes);
            schedule.collected(Instant::now(), freed);
            let GcReport { removed, freed_bytes, .. } = report?;
            tracing::info!(removed, freed_bytes, "little room was left: collected");
            usage = self.blocking(look).await?;
        }
        if Instant::now() >= schedule.tidy {
            schedule.tidy = Instant::now() + TIDY_EVERY;
            let Tidied { incoming, partial, index } =
                self.blocking(move |archive| archive.store.tidy(grace)).await?;
            if incoming + partial > 0 || index {
                tracing::info!(incoming, partial, index, "leftovers were removed");
            }
        }
        let is_full = usage.declined.is_some();
        if is_full != std::mem::replace(&mut schedule.is_full, is_full) {
            self.tell_room(&usage).await;
        }
        Ok(())
    }

    async fn tell_room(&self, usage: &Usage) {
        let Usage { used, quota, room, declined, .. } = *usage;
        match declined {
            Some(declined) => tracing::warn!(
                used,
                quota,
                room,
                declined,
                "DISK FULL: what does not fit is declined; unpin, unfollow or forget what is not \
                 needed, then run `perennial gc`, or give the node a larger --quota"
            ),
            None => {
                tracing::info!(used, quota, room, "there is room on the disk again");
                self.network.has_room().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(used: u64, quota: Option<u64>, disk: Option<(u64, u64)>) -> Usage {
        Usage { used, quota, reserve: 0, room: 1000, disk, declined: None }
    }

    #[test]
    fn nine_tenths_of_the_quota_or_of_the_disk_are_the_mark() {
        assert!(!is_low(&usage(90, Some(100), Some((500, 1000)))));
        assert!(is_low(&usage(91, Some(100), Some((500, 1000)))));
        assert!(!is_low(&usage(0, None, Some((100, 1000)))));
        assert!(is_low(&usage(0, None, Some((99, 1000)))));
        assert!(!is_low(&usage(0, None, Some((AMPLE, 100 * AMPLE)))), "of a very large disk");
        assert!(is_low(&usage(0, None, Some((AMPLE - 1, 100 * AMPLE)))));
        assert!(!is_low(&usage(u64::MAX / 2, Some(u64::MAX), None)));
        assert!(is_low(&Usage { declined: Some(1), ..usage(1, Some(100), None) }));
    }

    #[test]
    fn collections_rest_and_longer_if_nothing_went() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let low = usage(99, Some(100), None);
        assert!(schedule.is_due(now, &low));
        assert!(!schedule.is_due(now, &usage(1, Some(100), None)));
        schedule.collected(now, 5);
        assert!(!schedule.is_due(now + REST - EVERY, &low));
        assert!(schedule.is_due(now + REST, &low));
        schedule.collected(now, 0);
        assert!(!schedule.is_due(now + LONG_REST - EVERY, &low));
        assert!(schedule.is_due(now + LONG_REST, &low));
    }
}
