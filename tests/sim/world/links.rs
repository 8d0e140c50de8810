//! Links between hosts: latency, loss, partitions.

use rand::Rng;
use rand::seq::SliceRandom;

use super::{Event, World};

impl World {
    /// Links every host to a ring neighbour and some others.
    pub(crate) fn mesh(&mut self, degree: usize) {
        let count = self.hosts.len();
        for one in 0..count {
            self.link(one, (one + 1) % count);
            let mut others: Vec<usize> = (0..count).collect();
            others.shuffle(&mut self.rng);
            for other in others.into_iter().take(degree / 2) {
                self.link(one, other);
            }
        }
    }

    pub(crate) fn link(&mut self, one: usize, other: usize) {
        let pair = (one.min(other), one.max(other));
        let possible = one != other
            && self.side[one] == self.side[other]
            && self.hosts[one].online
            && self.hosts[other].online;
        if possible && self.links.insert(pair) {
            let latency = self.rng.random_range(5..80);
            self.latency.insert(pair, latency);
            self.after(latency, one, Event::Up(other));
            self.after(latency, other, Event::Up(one));
        }
    }

    pub(super) fn unlink(&mut self, pair: (usize, usize)) {
        if self.links.remove(&pair) {
            self.after(1, pair.0, Event::Down(pair.1));
            self.after(1, pair.1, Event::Down(pair.0));
        }
    }

    /// Cuts every link between the sides; hosts on different sides cannot reach each other.
    pub(crate) fn partition(&mut self, side: impl Fn(usize) -> u8) -> Vec<(usize, usize)> {
        self.side = (0..self.hosts.len()).map(side).collect();
        let cut: Vec<(usize, usize)> =
            self.links.iter().filter(|(a, b)| self.side[*a] != self.side[*b]).copied().collect();
        for pair in &cut {
            self.unlink(*pair);
        }
        cut
    }

    pub(crate) fn heal(&mut self, cut: Vec<(usize, usize)>) {
        self.side = vec![0; self.hosts.len()];
        for (one, other) in cut {
            self.link(one, other);
        }
    }

    pub(crate) fn set_online(&mut self, host: usize, online: bool) {
        self.hosts[host].online = online;
        if !online {
            let links: Vec<_> =
                self.links.iter().filter(|(a, b)| *a == host || *b == host).copied().collect();
            for pair in links {
                self.unlink(pair);
            }
        }
    }

    /// Isolates a host on a side of its own, where no other host can reach it.
    pub(crate) fn side_apart(&mut self, host: usize) {
        self.side[host] = 9;
    }

    pub(super) fn linked(&self, one: usize, other: usize) -> bool {
        self.links.contains(&(one.min(other), one.max(other)))
    }

    /// The latency of a message in milliseconds, with jitter; `None` when the message is lost.
    pub(super) fn travel(&mut self, from: usize, to: usize) -> Option<u64> {
        let base = *self.latency.get(&(from.min(to), from.max(to)))?;
        let (jitter, lost) =
            (self.rng.random_range(0..10), self.rng.random_range(0..100) < self.loss);
        (!lost && self.linked(from, to)).then_some(base + jitter)
    }
}
