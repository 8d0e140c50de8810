//! Quota for texts that are made of a release's list: one of 100,000 files has 40 MB of them.
//!
//! Promises that all of them together take so much memory and no more, for as long as slow clients take them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http_error::HttpError;

/// All there is.
const ROOM: usize = 64 << 20;
/// What is shorter needs none.
const SHORT: usize = 64 << 10;
/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(30);

/// The room that is left.
#[derive(Debug)]
pub(super) struct Quota(Arc<Semaphore>);

impl Default for Quota {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

/// Quota for one text.
#[derive(Debug)]
pub(super) struct Reservation {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Quota {
    /// Waits for room for a text of about so many bytes.
    pub(super) async fn wait(&self, bytes: usize) -> Result<Reservation, HttpError> {
        if bytes <= SHORT {
            return Ok(Reservation { _permit: None });
        }
        let many = u32::try_from(bytes.min(ROOM)).unwrap_or(u32::MAX);
        let permit =
            tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_many_owned(many)).await;
        let busy = || {
            let message = "others are being sent lists as long as this one: try again in a minute";
            HttpError::new(StatusCode::SERVICE_UNAVAILABLE, message)
        };
        // the semaphore is never closed
        let permit = permit.ok().and_then(Result::ok).ok_or_else(busy)?;
        Ok(Reservation { _permit: Some(permit) })
    }
}

impl Reservation {
    /// A text that keeps its place until nothing of it is left.
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
