//! Lets the disk fail at a step of a write, for tests: every call of `durable` is one.

use std::cell::Cell;
use std::io;

/// When the steps of this thread fail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    /// One step fails, after so many that passed; the process goes on.
    Once(u32),
    /// Every step fails, after so many that passed: nothing more reaches the disk, as if the process had been killed.
    From(u32),
}

thread_local! {
    static ARMED: Cell<Option<(Plan, u32)>> = const { Cell::new(None) };
}

/// Counts a step, and fails it if that is planned.
pub(crate) fn step() -> io::Result<()> {
    let Some((plan, passed)) = ARMED.get() else { return Ok(()) };
    ARMED.set(Some((plan, passed + 1)));
    let fails = match plan {
        Plan::Once(n) => passed == n,
        Plan::From(n) => passed >= n,
    };
    if fails { Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())) } else { Ok(()) }
}

/// Does some work while a plan holds. Says whether a step failed.
pub(crate) fn during<T>(plan: Plan, work: impl FnOnce() -> T) -> (T, bool) {
    ARMED.set(Some((plan, 0)));
    let out = work();
    let steps = ARMED.take().map_or(0, |(_, steps)| steps);
    let (Plan::Once(n) | Plan::From(n)) = plan;
    (out, steps > n)
}
