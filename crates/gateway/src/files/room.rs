//! Room for texts that are made of a release's list: one of 100,000 files has 40 MB of them.
//!
//! Promises that all of them together take so much memory and no more, for as long as slow clients take them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// All there is.
const ROOM: usize = 64 << 20;
/// What is shorter needs none.
const SHORT: usize = 64 << 10;
/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(30);

/// The room that is left.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

/// Room for one text.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Waits for room for a text of about so many bytes.
    pub(super) async fn wait(&self, bytes: usize) -> Result<Place, Problem> {
        if bytes <= SHORT {
            return Ok(Place { _permit: None });
        }
        let many = u32::try_from(bytes.min(ROOM)).unwrap_or(u32::MAX);
        let permit =
            tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_many_owned(many)).await;
        let busy = || {
            let message = "others are being sent lists as long as this one: try again in a minute";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
        };
        // the semaphore is never closed
        let permit = permit.ok().and_then(Result::ok).ok_or_else(busy)?;
        Ok(Place { _permit: Some(permit) })
    }
}

impl Place {
    /// A text that keeps its place until nothing of it is left.
    pub(super) fn filled(self, text: Vec<u8>) -> Bytes {
        Bytes::from_owner(Filled { text, _place: self })
    }
}

struct Filled {
    text: Vec<u8>,
    _place: Place,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}
