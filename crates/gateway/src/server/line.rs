//! The line of accepted clients for which there is no place yet.
//!
//! It is short, and nobody stands in it for long: whoever finds it full, and whoever has waited in
//! vain, is told to come back.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use perennial_protocol::{Prefix, leaver};
use tokio::net::TcpStream;

use super::open::{Open, Place};

/// Clients in line, at most.
const LENGTH: usize = 64;
/// How long a client waits for a place: longer than a slow client keeps one that others want.
const PATIENCE: Duration = Duration::from_secs(8);

/// A client in line.
#[derive(Debug)]
struct Waiting<C> {
    client: C,
    prefix: Prefix,
    since: Instant,
}

/// The clients in line, the first to come first.
#[derive(Debug)]
pub(super) struct Line<C = TcpStream>(Vec<Waiting<C>>);

impl<C> Default for Line<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C> Line<C> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a client in. If the line is too long then, returns the last one of the prefix that has
    /// most clients in it.
    pub(super) fn push(&mut self, client: C, prefix: Prefix, now: Instant) -> Option<C> {
        self.0.push(Waiting { client, prefix, since: now });
        if self.0.len() <= LENGTH {
            return None;
        }
        let last = self.0.iter().enumerate().map(|(at, one)| (at, one.prefix, Some(Reverse(at))));
        leaver(last).map(|at| self.0.remove(at).client)
    }

    /// The next client that gets a place: of the prefix that has fewest, the first to come.
    pub(super) fn next(&mut self, open: &std::sync::Arc<Open>) -> Option<(C, Prefix, Place)> {
        let mut order: Vec<(usize, usize, Prefix)> = Vec::new();
        for (at, waiting) in self.0.iter().enumerate() {
            // One of each prefix: where the first gets no place, the second does not either.
            if !order.iter().any(|(.., prefix)| *prefix == waiting.prefix) {
                order.push((open.near(waiting.prefix), at, waiting.prefix));
            }
        }
        order.sort_unstable();
        let placed = order
            .into_iter()
            .find_map(|(_, at, prefix)| open.place(prefix).map(|place| (at, prefix, place)));
        let (at, prefix, place) = placed?;
        Some((self.0.remove(at).client, prefix, place))
    }

    /// A client that has waited in vain.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<C> {
        let first = self.0.first()?;
        let is_late = now.duration_since(first.since) >= PATIENCE;
        is_late.then(|| self.0.remove(0).client)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_line_is_short_and_moves_on() {
        let (mut line, now) = (Line::default(), Instant::now());
        assert_eq!(line.push(0, Prefix(8), now), None);
        for n in 1..LENGTH {
            assert_eq!(line.push(n, Prefix(7), now), None);
        }
        assert_eq!(line.push(LENGTH, Prefix(9), now), Some(LENGTH - 1), "the last of many");
        assert_eq!(line.overdue(now + PATIENCE / 2), None);
        assert_eq!(line.overdue(now + PATIENCE), Some(0));
        assert_eq!(line.len(), LENGTH - 1);
    }

    #[test]
    fn prefixes_with_few_places_go_first() {
        let (mut line, now) = (Line::default(), Instant::now());
        let open = Arc::new(Open::new(4));
        let held = open.place(Prefix(7)).expect("a place");
        for (client, prefix) in [("a", 7), ("b", 7), ("c", 8), ("d", 7), ("e", 8)] {
            assert_eq!(line.push(client, Prefix(prefix), now), None);
        }
        let mut places = vec![held];
        let mut order = Vec::new();
        while let Some((client, _, place)) = line.next(&open) {
            places.push(place);
            order.push(client);
        }
        assert_eq!(order, ["c", "a", "e"]);
        drop(places);
        assert_eq!(line.next(&open).map(|(client, ..)| client), Some("b"));
    }
}
