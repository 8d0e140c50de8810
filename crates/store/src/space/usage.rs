//! What is used of the disk, and whether anything was declined for want of room.

use std::time::{Duration, Instant};

use super::{Space, disk};
use crate::error::StoreError;

/// Room below which an archive is full: not even one small blob fits.
const FULL: u64 = 64 << 10;
/// How long what was declined is told, if nothing else is: fetches that failed are tried again
/// within an hour.
const TOLD: Duration = Duration::from_secs(2 * 3600);

/// What an archive uses of its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of everything below the data directory, never less than the file system has
    /// allocated.
    pub used: u64,
    /// Bytes that it may have.
    pub quota: Option<u64>,
    /// Bytes of the reserve, which is given up on a full disk.
    pub reserve: u64,
    /// Bytes that can still be taken in.
    pub room: u64,
    /// Bytes free on the disk for this user, and all bytes of the disk, if the system says.
    pub disk: Option<(u64, u64)>,
    /// Bytes that were declined last and would be again; none while there is room.
    pub declined: Option<u64>,
}

impl Usage {
    /// Whether the quota, rather than the disk, is what leaves no more room.
    #[must_use]
    pub fn is_limited_by_quota(&self) -> bool {
        let of_quota = self.quota.map(|quota| quota.saturating_sub(self.used));
        match (of_quota, self.disk) {
            (Some(of_quota), Some((free, _))) => of_quota <= free,
            (of_quota, _) => of_quota.is_some(),
        }
    }
}

fn recent(refused: Option<(Instant, u64)>) -> Option<u64> {
    refused.filter(|(at, _)| at.elapsed() < TOLD).map(|(_, bytes)| bytes)
}

impl Space {
    /// What is used of the disk. Counts first if files were removed and the last count is not of
    /// this moment.
    pub(crate) fn usage(&self) -> Result<Usage, StoreError> {
        if self.ledger().is_worth_a_walk() {
            self.walk()?;
        }
        Ok(self.glance())
    }

    /// As [`Space::usage`], without counting.
    pub(crate) fn glance(&self) -> Usage {
        let ledger = self.ledger();
        let (room, _) = self.room(&ledger);
        let declined = recent(ledger.refused).filter(|refused| *refused > room);
        let declined = declined.or((room < FULL).then_some(FULL));
        Usage {
            used: ledger.used(),
            quota: self.quota,
            reserve: ledger.reserve,
            room,
            disk: disk(&self.root),
            declined: declined.filter(|_| self.wanted_reserve > 0),
        }
    }

    /// The error for what was declined last, if it would be again.
    pub(crate) fn refusal(&self) -> Option<StoreError> {
        let ledger = self.ledger();
        let (room, limit) = self.room(&ledger);
        let last = recent(ledger.refused.max(ledger.claimed));
        let needed = last.filter(|refused| *refused > room)?;
        Some(self.no_room(&ledger, limit, needed, &self.root))
    }
}
