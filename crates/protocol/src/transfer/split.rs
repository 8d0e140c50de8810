//! Sizes of assignments: geometry only, no choice of peers.

use super::limits;
use super::ranges::Ranges;
use super::want::Want;

/// The remaining capacity of an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    bytes: u64,
    items: usize,
    ranges: usize,
    small_only: bool,
}

impl Budget {
    /// The capacity for a peer of this `rate` (`None` if unmeasured) when `peers` share `free`
    /// bytes: enough to keep it busy for [`limits::PIECE_TIME`], but no more than half of its
    /// share.
    pub(super) fn new(rate: Option<u64>, free: u64, peers: u64) -> Self {
        let wish =
            rate.map_or(limits::PIECE, |rate| rate.saturating_mul(limits::PIECE_TIME.as_secs()));
        let share = free / peers.max(1).saturating_mul(2);
        // A single peer shares with no other, and gets full pieces.
        let share = if peers <= 1 { u64::MAX } else { share };
        Self {
            bytes: wish.min(share).clamp(limits::PIECE_MIN, limits::PIECE_MAX),
            items: limits::ITEMS,
            ranges: limits::RANGES,
            small_only: false,
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.bytes == 0 || self.items == 0 || self.ranges == 0
    }

    /// Takes ranges from `able`, the free ranges of `want` that the peer can supply; `None` if they
    /// do not fit. Small blobs are taken whole, many at a time; a large blob does not join small
    /// ones.
    pub(super) fn take(&mut self, want: &Want, able: &Ranges) -> Option<Ranges> {
        if self.is_spent() || able.is_empty() {
            return None;
        }
        if want.is_small() {
            if !self.small_only {
                self.small_only = true;
                self.bytes = self.bytes.min(limits::BATCH);
            }
            let part = able.head(u64::MAX, limits::RANGES_PER_ITEM.min(self.ranges), limits::GROUP);
            self.ranges -= part.as_slice().len();
            self.bytes = self.bytes.saturating_sub(part.bytes());
            self.items -= 1;
            return Some(part);
        }
        if self.small_only {
            return None;
        }
        let part =
            able.head(self.bytes, limits::RANGES_PER_ITEM.min(self.ranges), limits::PIECE_MIN);
        self.ranges -= part.as_slice().len();
        self.bytes = self.bytes.saturating_sub(part.bytes());
        self.items -= 1;
        Some(part)
    }
}

/// The part of the `bytes` owed by one peer that another should take over, so that both finish at
/// the same time at these rates.
pub(super) fn loot(bytes: u64, victim_rate: u64, thief_rate: u64) -> u64 {
    let rates = (u128::from(thief_rate) + u128::from(victim_rate)).max(1);
    let share = u128::from(bytes) * u128::from(thief_rate) / rates;
    u64::try_from(share).unwrap_or(bytes).clamp(limits::GROUP, limits::PIECE_MAX)
}
