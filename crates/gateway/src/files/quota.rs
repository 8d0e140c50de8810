//! A memory quota for texts made from artifact lists: those of a list of 100,000 files take 40 MB.
//!
//! All texts together take a bounded amount of memory, however slowly clients read.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http_error::HttpError;

/// Bytes of all texts together, at most.
const ALL: usize = 64 << 20;
/// Texts shorter than this are not charged.
const SHORT: usize = 64 << 10;
/// How long a request waits for its share.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes of the quota that are still free.
#[derive(Debug)]
pub(super) struct Quota(Arc<Semaphore>);

impl Default for Quota {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL)))
    }
}

/// A share of the quota, reserved for one text.
#[derive(Debug)]
pub(super) struct Reservation {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Quota {
    /// Waits until a text of about `bytes` bytes fits the quota.
    ///
    /// # Errors
    ///
    /// 503 if the quota stays exhausted for [`PATIENCE`].
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
    /// Turns the reservation into the text, which returns its share when its last byte is dropped.
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
