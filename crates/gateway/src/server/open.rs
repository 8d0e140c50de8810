//! The open connections, and who of them leaves when others wait.
//!
//! The place of a connection is free from the moment that it is asked to leave: it ends at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perennial_protocol::{Prefix, leaver};
use tokio::sync::Notify;

use super::activity::Activity;

/// How long a connection has to be idle before it can lose its place.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a client may leave a response unread before it can lose its place.
const TAKING: Duration = Duration::from_secs(5);

/// The places of all connections.
#[derive(Debug)]
pub(super) struct Open {
    most: usize,
    /// Places of one prefix, at most.
    per_prefix: usize,
    taken: Mutex<Vec<Taken>>,
    freed: Notify,
}

#[derive(Debug, Clone)]
struct Taken {
    prefix: Prefix,
    activity: Arc<Activity>,
}

/// The place of one connection, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Arc<Open>,
    pub(super) activity: Arc<Activity>,
}

impl Open {
    /// `most` places, all free. A prefix has half of them.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        let per_prefix = most.div_ceil(2);
        Self { most, per_prefix, taken: Mutex::default(), freed: Notify::new() }
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection. If all are taken, or all of its prefix, the connection that needs
    /// its place least loses it: of the most crowded prefix, the longest idle one, else the one
    /// whose client has read less than it could for longest.
    pub(super) fn place(self: &Arc<Self>, prefix: Prefix) -> Option<Place> {
        let mut taken = self.taken();
        let is_near = |other: &Taken| prefix.is_shared() && other.prefix == prefix;
        let near = taken.iter().filter(|other| is_near(other)).count();
        if near >= self.per_prefix || taken.len() >= self.most {
            let candidates = taken.iter().enumerate().map(|(at, other)| {
                let may = near < self.per_prefix || is_near(other);
                (at, other.prefix, may.then(|| may_end(&other.activity)).flatten())
            });
            let leaving = leaver(candidates)?;
            taken.swap_remove(leaving).activity.end();
        }
        let activity = Arc::new(Activity::new());
        taken.push(Taken { prefix, activity: Arc::clone(&activity) });
        Some(Place { open: Arc::clone(self), activity })
    }

    /// Asks so many connections to end with the response that they are in, those that have lasted
    /// longest first, of the most crowded prefixes: a client that keeps asking on one connection
    /// gets in line again, too. While places are free, only prefixes that have their share are
    /// asked: whoever is in line is of one of these.
    pub(super) fn rotate(&self, many: usize) {
        let taken = self.taken();
        let is_full = taken.len() >= self.most;
        for _ in 0..many {
            let candidates = taken.iter().enumerate().map(|(at, other)| {
                let began = other.activity.began();
                let near = || taken.iter().filter(|one| one.prefix == other.prefix).count();
                let may = began.elapsed() >= SETTLE
                    && !other.activity.is_finishing()
                    && (is_full || (other.prefix.is_shared() && near() >= self.per_prefix));
                (at, other.prefix, may.then_some(began))
            });
            match leaver(candidates).and_then(|at| taken.get(at)) {
                Some(oldest) => oldest.activity.finish(),
                None => return,
            }
        }
    }

    /// Connections of a prefix, for those that wait.
    pub(super) fn near(&self, prefix: Prefix) -> usize {
        self.taken().iter().filter(|other| prefix.is_shared() && other.prefix == prefix).count()
    }

    /// Resolves after a place has become free.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.taken().retain(|other| !Arc::ptr_eq(&other.activity, &self.activity));
        self.open.freed.notify_one();
    }
}

/// The rank of a connection that can lose its place, or `None`: idle connections rank before slow
/// ones, and within each group the longest idle or slow ranks first.
fn may_end(activity: &Activity) -> Option<(bool, Instant)> {
    match activity.idle() {
        Some(since) => (since.elapsed() >= SETTLE).then_some((false, since)),
        None => {
            let slow = activity.not_taking().filter(|since| since.elapsed() >= TAKING);
            slow.map(|since| (true, since))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(mut reached: impl FnMut() -> bool) {
        let deadline = Instant::now() + 20 * SETTLE;
        while !reached() {
            assert!(Instant::now() < deadline, "not within {:?}", 20 * SETTLE);
            std::thread::sleep(SETTLE / 20);
        }
    }

    fn at_work(open: &Arc<Open>, prefix: u64) -> (Place, super::super::activity::InFlight) {
        let place = open.place(Prefix(prefix)).expect("a place");
        let request = place.activity.request();
        (place, request)
    }

    #[test]
    fn a_prefix_has_half_of_the_places_and_those_behind_a_proxy_have_all() {
        let open = Arc::new(Open::new(5));
        let crowd: Vec<_> = (0..3).map(|_| at_work(&open, 7)).collect();
        assert!(open.place(Prefix(7)).is_none(), "they are at work");
        assert_eq!((open.near(Prefix(7)), open.near(Prefix::NONE)), (3, 0));
        let other = at_work(&open, 8);
        drop(crowd);
        let proxied: Vec<_> = (0..4).map(|_| at_work(&open, 0)).collect();
        assert!(open.place(Prefix::NONE).is_none());
        drop((other, proxied));
        assert!(open.taken().is_empty());
    }

    #[test]
    fn the_oldest_end_with_their_response_when_nobody_is_idle() {
        let open = Arc::new(Open::new(2));
        let all = [at_work(&open, 0), at_work(&open, 0)];
        open.rotate(2);
        assert!(all.iter().all(|(place, _)| !place.activity.is_finishing()), "not so soon");
        let finishing = || all.each_ref().map(|(place, _)| place.activity.is_finishing());
        until(|| {
            open.rotate(1);
            finishing()[0]
        });
        assert_eq!(finishing(), [true, false], "the oldest first, one at a time");
        until(|| {
            open.rotate(1);
            finishing()[1]
        });
    }

    #[test]
    fn the_longest_idle_of_the_most_crowded_prefix_goes() {
        let open = Arc::new(Open::new(4));
        let mut places: Vec<_> =
            [9, 7, 7, 8].into_iter().map(|n| open.place(Prefix(n)).expect("a place")).collect();
        assert!(open.place(Prefix(8)).is_none(), "nobody is idle for long");
        until(|| {
            places.extend(open.place(Prefix(8)));
            places.len() == 5
        });
        let there = |place: &Place| {
            open.taken().iter().any(|other| Arc::ptr_eq(&other.activity, &place.activity))
        };
        assert_eq!(places.iter().map(there).collect::<Vec<_>>(), [true, false, true, true, true]);
    }
}
