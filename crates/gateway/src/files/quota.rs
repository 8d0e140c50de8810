//! A quota on the memory of texts made from artifact lists: the texts of a list of 100,000 files
//! take 40 MB.
//!
//! Promises that all of them together take a bounded amount of memory, however slowly clients read.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http_error::HttpError;

/// Bytes of all texts together.
const ALL: usize = 64 << 20;
/// Shorter texts count nothing.
const SHORT: usize = 64 << 10;
/// How long a request waits for its share.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes that are left.
#[derive(Debug)]
pub(super) struct Quota(Arc<Semaphore>);

impl Default for Quota {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL)))
    }
}

/// A share for one text.
#[derive(Debug)]
pub(super) struct Reservation {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Quota {
    /// Waits until a text of about this many bytes fits.
    ///
    /// # Errors
    ///
    /// 503 if it does not fit within the patience.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<Reservation, HttpError> {
        if bytes <= SHORT {
            return Ok(Reservation { _permit: None });
        }
        let many = u32::try_from(bytes.min(ALL)).unwrap_or(u32::MAX);
        let permit =
            tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_many_owned(many)).await;
        let busy = || {
            let message = "other clients are receiving lists as long as this one: try again in a \
                           minute";
            HttpError::new(StatusCode::SERVICE_UNAVAILABLE, message)
        };
        // The semaphore is never closed.
        let permit = permit.ok().and_then(Result::ok).ok_or_else(busy)?;
        Ok(Reservation { _permit: Some(permit) })
    }
}

impl Reservation {
    /// A text that keeps its share until the last byte of it is dropped.
    pub(super) fn filled(self, text: Vec<u8>) -> Bytes {
        Bytes::from_owner(ReservedText { text, _reservation: self })
    }
}

struct ReservedText {
    text: Vec<u8>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for ReservedText {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}
