//! How many bytes each response reads at a time, so that all responses together buffer a bounded
//! number of bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes read and sent at a time.
const PIECE: u64 = 512 << 10;
/// Fewest bytes read at a time: the unit of verification.
const GROUP: u64 = 16 << 10;
/// Approximate bytes that all responses together have read and not yet sent; pieces shrink as the
/// number of responses grows.
const READ: u64 = 24 << 20;

/// The number of responses being sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadBudget(Arc<AtomicU64>);

impl ReadBudget {
    pub(super) fn one_more(&self) -> ReadShare {
        self.0.fetch_add(1, Ordering::Relaxed);
        ReadShare(self.clone())
    }
}

/// One response's share of the budget.
#[derive(Debug)]
pub(super) struct ReadShare(ReadBudget);

impl ReadShare {
    /// The number of bytes to read at a time.
    pub(super) fn piece(&self) -> u64 {
        let fair = READ / self.0.0.load(Ordering::Relaxed).max(1);
        (fair - fair % GROUP).clamp(GROUP, PIECE)
    }
}

impl Drop for ReadShare {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_answers_hold_no_more_bytes_than_a_few() {
        let budget = ReadBudget::default();
        let mut all = vec![budget.one_more()];
        assert_eq!(all[0].piece(), PIECE);
        let held = |all: &[ReadShare]| all.iter().map(ReadShare::piece).sum::<u64>();
        for many in [48, 100, 256, 1024] {
            all.resize_with(many, || budget.one_more());
            assert!(held(&all) <= READ && held(&all) > READ / 2, "{many}: {}", held(&all));
            assert_eq!(all[0].piece() % GROUP, 0);
        }
        all.resize_with(5000, || budget.one_more());
        assert_eq!(all[0].piece(), GROUP);
        all.truncate(1);
        assert_eq!(all[0].piece(), PIECE, "an answer that ended holds nothing");
    }
}
