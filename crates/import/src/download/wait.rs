//! How long to wait before an upstream is asked again, and when to stop asking.

use std::time::Duration;

/// The first wait; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// The longest wait that an upstream may ask for.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long to wait after so many tries, of which the last failed; none to give up. The upstream's wish counts unless it is
/// out of all proportion.
pub(super) fn before_next(tried: u32, tries: u32, wish: Option<Duration>) -> Option<Duration> {
    if tried >= tries {
        return None;
    }
    match wish {
        Some(wish) => (wish <= PATIENCE).then_some(wish),
        None => Some(FIRST.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(LONGEST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<_> = (1..8).map_while(|tried| before_next(tried, 8, None)).collect();
        assert_eq!(
            waits.iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [500, 1000, 2000, 4000, 8000, 16000, 30000]
        );
        assert_eq!(before_next(8, 8, None), None);
        assert_eq!(before_next(1, 8, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(before_next(8, 8, Some(Duration::ZERO)), None);
        assert_eq!(before_next(1, 8, Some(Duration::from_secs(86_400))), None);
    }
}
