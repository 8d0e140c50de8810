//! Store work from async code: on a thread where it may wait for the disk.

use perennial_store::StoreError;

/// Runs store work on a blocking thread. A panic there is an error here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(StoreError::Index(format!("store work ended early: {error}"))),
    }
}
