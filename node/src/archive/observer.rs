//! Progress reports from an operation to its caller, and cancellation when the caller has left.

use perennial_operation::Progress;

/// The caller of an operation, as the operation sees it. `()` ignores progress and never leaves.
pub trait Observer: Send + Sync {
    /// Receives progress. Called often, also from blocking threads; must not block.
    fn progress(&self, progress: Progress);

    /// Returns whether the caller has left. Long operations then stop at the next file or blob;
    /// acknowledged work stays.
    fn has_left(&self) -> bool;
}

impl Observer for () {
    fn progress(&self, _: Progress) {}

    fn has_left(&self) -> bool {
        false
    }
}
