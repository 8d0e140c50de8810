//! Work on the store, off the threads that answer requests.

use tokio::task::JoinError;

/// Runs `work` on a blocking thread. It runs to its end even if the caller is dropped.
///
/// # Errors
///
/// The error of the work, or that it panicked.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await?
}
