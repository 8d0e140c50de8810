//! Fault injection for tests: every call of `durable` is a step that can fail, or at which other
//! work can run.

use std::cell::RefCell;
use std::io;

/// When steps of this thread fail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    /// One step fails after this many passed; the process continues.
    Once(u32),
    /// Every step fails after this many passed: nothing more reaches the disk, as after a kill.
    From(u32),
}

/// Receives the number of steps that passed, and tells whether the next one fails.
type Armed = Box<dyn FnMut(u32) -> bool>;

thread_local! {
    static ARMED: RefCell<Option<(Armed, u32)>> = const { RefCell::new(None) };
}

/// Counts a step, and fails it if the plan says so.
pub(crate) fn step() -> io::Result<()> {
    let fails = ARMED.with_borrow_mut(|armed| {
        let Some((fails, passed)) = armed else { return false };
        *passed += 1;
        fails(*passed - 1)
    });
    if fails {
        Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()))
    } else {
        Ok(())
    }
}

fn armed<T>(fails: Armed, work: impl FnOnce() -> T) -> (T, u32) {
    ARMED.set(Some((fails, 0)));
    let out = work();
    (out, ARMED.take().map_or(0, |(_, steps)| steps))
}

/// Runs `work` under a plan. Returns whether a step failed.
pub(crate) fn during<T>(plan: Plan, work: impl FnOnce() -> T) -> (T, bool) {
    let (Plan::Once(n) | Plan::From(n)) = plan;
    let fails = move |passed| if let Plan::Once(n) = plan { passed == n } else { passed >= n };
    let (out, steps) = armed(Box::new(fails), work);
    (out, steps > n)
}

/// Runs `work`, and `other` once `n` steps of it have passed. Returns whether it had that many.
pub(crate) fn at_step<T>(
    n: u32,
    mut other: impl FnMut() + 'static,
    work: impl FnOnce() -> T,
) -> (T, bool) {
    let between = move |passed| {
        if passed == n {
            other();
        }
        false
    };
    let (out, steps) = armed(Box::new(between), work);
    (out, steps > n)
}
