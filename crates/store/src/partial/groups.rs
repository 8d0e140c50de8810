//! Which groups of a blob have arrived.

use crate::large::GROUP_BYTES;

/// The groups that arrived and verified, one bit each.
#[derive(Debug)]
pub(super) struct Groups {
    bits: Vec<u64>,
    pub(super) here: u64,
    pub(super) all: u64,
}

impl Groups {
    pub(super) fn new(size: u64) -> Self {
        let all = size.div_ceil(GROUP_BYTES).max(1);
        let words = usize::try_from(all.div_ceil(64)).unwrap_or(usize::MAX);
        Self { bits: vec![0; words], here: 0, all }
    }

    fn place(group: u64) -> (usize, u64) {
        (usize::try_from(group / 64).unwrap_or(usize::MAX), 1 << (group % 64))
    }

    pub(super) fn set(&mut self, group: u64) {
        let (word, bit) = Self::place(group);
        if let Some(word) = self.bits.get_mut(word)
            && *word & bit == 0
        {
            *word |= bit;
            self.here += 1;
        }
    }

    pub(super) fn has(&self, group: u64) -> bool {
        let (word, bit) = Self::place(group);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }
}
