//! Work that waits for a disk, where it holds nobody up.

use crate::ImportError;

/// Begins work at once, on a thread that may wait. What it does is done though nobody waits for the outcome any more.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> impl Future<Output = Result<T, ImportError>> + Send {
    let begun = tokio::task::spawn_blocking(work);
    async move {
        begun.await.unwrap_or_else(|error| match error.try_into_panic() {
            // a fault of ours: it is the caller's as if there were no other thread
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ImportError::Cancelled),
        })
    }
}
