//! How much of an answer is read at a time, so that all answers together hold a bounded number of bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are read and sent at a time, at most.
const PIECE: u64 = 512 << 10;
/// The fewest: what is verified at once.
const GROUP: u64 = 16 << 10;
/// Bytes that all answers together have read and not yet sent, more or less: the more answers, the smaller their pieces.
const READ: u64 = 24 << 20;

/// How many answers are being sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadBudget(Arc<AtomicU64>);

impl ReadBudget {
    pub(super) fn one_more(&self) -> ReadShare {
        self.0.fetch_add(1, Ordering::Relaxed);
        ReadShare(self.clone())
    }
}

/// One of the answers that are being sent.
#[derive(Debug)]
pub(super) struct ReadShare(ReadBudget);

impl ReadShare {
    /// How much of it is read at a time.
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
    fn many_answers_hold_no_more_bytes_than_some_do() {
        let sending = ReadBudget::default();
        let mut all = vec![sending.one_more()];
        assert_eq!(all[0].piece(), PIECE);
        let held = |all: &[ReadShare]| all.iter().map(ReadShare::piece).sum::<u64>();
        for many in [48, 100, 256, 1024] {
            all.resize_with(many, || sending.one_more());
            assert!(held(&all) <= READ && held(&all) > READ / 2, "{many}: {}", held(&all));
            assert_eq!(all[0].piece() % GROUP, 0);
        }
        all.resize_with(5000, || sending.one_more());
        assert_eq!(all[0].piece(), GROUP);
        all.truncate(1);
        assert_eq!(all[0].piece(), PIECE, "who went holds nothing");
    }
}
