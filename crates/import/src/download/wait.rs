//! How long to wait before an upstream is asked again, and when to stop asking.

use std::time::Duration;

/// The first wait; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    tries: u32,
    /// The longest wait that an upstream may ask for.
    wish: Duration,
}

impl Patience {
    /// For what was asked for.
    pub(super) const LONG: Self = Self { tries: 7, wish: Duration::from_secs(120) };
    /// For what may well be missing.
    pub(super) const SHORT: Self = Self { tries: 3, wish: Duration::from_secs(5) };

    /// How long to wait after so many tries, of which the last failed; none to give up. The upstream's wish counts unless it
    /// is out of all proportion.
    pub(super) fn before_next(self, tried: u32, wish: Option<Duration>) -> Option<Duration> {
        if tried >= self.tries {
            return None;
        }
        match wish {
            Some(wish) => (wish <= self.wish).then_some(wish),
            None => Some(FIRST.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(LONGEST)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let patience = Patience { tries: 9, ..Patience::LONG };
        let waits: Vec<_> = (1..9).map_while(|tried| patience.before_next(tried, None)).collect();
        assert_eq!(
            waits.iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
        );
        assert_eq!(patience.before_next(9, None), None);
        assert_eq!(patience.before_next(9, Some(Duration::ZERO)), None);
        assert_eq!(patience.before_next(1, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(patience.before_next(1, Some(Duration::from_secs(86_400))), None);
        assert_eq!(Patience::SHORT.before_next(1, Some(Duration::from_secs(7))), None);
    }
}
