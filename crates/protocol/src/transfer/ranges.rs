//! A set of bytes of one blob, as sorted, disjoint, non-empty ranges.

/// A set of bytes in normal form: sorted, and no two ranges touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// A single range, or the empty set if the range is empty.
    pub(super) fn of(start: u64, end: u64) -> Self {
        Self(if start < end { vec![(start, end)] } else { Vec::new() })
    }

    /// The normal form of arbitrary ranges, truncated at `size`.
    pub(super) fn from_untrusted(ranges: &[(u64, u64)], size: u64) -> Self {
        let mut list: Vec<_> = ranges
            .iter()
            .map(|&(start, end)| (start, end.min(size)))
            .filter(|(start, end)| start < end)
            .collect();
        list.sort_unstable();
        let mut out: Vec<(u64, u64)> = Vec::new();
        for (start, end) in list {
            match out.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => out.push((start, end)),
            }
        }
        Self(out)
    }

    /// Extended outwards to multiples of `group`, truncated at `size`.
    pub(super) fn grown(&self, group: u64, size: u64) -> Self {
        let wide: Vec<_> = self
            .0
            .iter()
            .map(|&(start, end)| (start - start % group, end.div_ceil(group).saturating_mul(group)))
            .collect();
        Self::from_untrusted(&wide, size)
    }

    /// Shrunk inwards to multiples of `group`; the blob's end counts as a multiple.
    pub(super) fn shrunk(&self, group: u64, size: u64) -> Self {
        let narrow: Vec<_> = self
            .0
            .iter()
            .map(|&(start, end)| {
                let end = if end >= size { size } else { end - end % group };
                (start.div_ceil(group).saturating_mul(group), end)
            })
            .collect();
        Self::from_untrusted(&narrow, size)
    }

    /// Reduced to at most `max` ranges, by filling the gaps of the last ones.
    pub(super) fn coarse(mut self, max: usize) -> Self {
        if let (true, Some(&(_, end))) = (self.0.len() > max, self.0.last()) {
            self.0.truncate(max);
            if let Some(last) = self.0.last_mut() {
                last.1 = end;
            }
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    pub(super) fn as_slice(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// The bytes of `self` that are not in `other`.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let (mut j, mut out) = (0, Vec::new());
        for &(start, end) in &self.0 {
            let mut from = start;
            while other.0.get(j).is_some_and(|cut| cut.1 <= from) {
                j += 1;
            }
            let mut k = j;
            while let Some(&(c, d)) = other.0.get(k).filter(|cut| cut.0 < end) {
                if from < c {
                    out.push((from, c));
                }
                from = from.max(d);
                k += 1;
            }
            if from < end {
                out.push((from, end));
            }
        }
        Self(out)
    }

    /// The first bytes, up to `budget` bytes and `max` ranges. A range is cut at a multiple of
    /// `align`, so that at least one `align` is taken, however small the budget.
    pub(super) fn head(&self, budget: u64, max: usize, align: u64) -> Self {
        let (mut left, mut out) = (budget, Vec::new());
        for &(start, end) in self.0.iter().take(max) {
            if left == 0 {
                break;
            }
            let cut = start.saturating_add(left).div_ceil(align).saturating_mul(align).min(end);
            out.push((start, cut));
            left = left.saturating_sub(cut - start);
            if cut < end {
                break;
            }
        }
        Self(out)
    }

    /// The last bytes, about `budget` of them, cut at a multiple of `align`.
    pub(super) fn tail(&self, budget: u64, max: usize, align: u64) -> Self {
        let (mut left, mut out) = (budget, Vec::new());
        for &(start, end) in self.0.iter().rev().take(max) {
            if left == 0 {
                break;
            }
            let cut = end.saturating_sub(left);
            let cut = (cut - cut % align).max(start);
            out.push((cut, end));
            left = left.saturating_sub(end - cut);
            if cut > start {
                break;
            }
        }
        out.reverse();
        Self(out)
    }
}
