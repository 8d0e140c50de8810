//! Places for requests that wait for peers: fewer than there are connections, so that requests for
//! what is held are answered all the same.
//!
//! Clients of one address prefix have a quarter of them. Whoever finds none is told at once to come
//! back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use perennial_protocol::Prefix;

use crate::http_error::HttpError;

/// Places, unless the server has few connections.
pub(crate) const MOST: usize = 96;

/// The places of all requests.
#[derive(Debug)]
pub(crate) struct Waits {
    most: usize,
    taken: Mutex<HashMap<Prefix, usize>>,
}

/// The place of one request, free again when dropped.
#[derive(Debug)]
pub(crate) struct Wait {
    waits: Arc<Waits>,
    prefix: Prefix,
}

impl Waits {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Prefix, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a request of this client.
    ///
    /// # Errors
    ///
    /// 503 if all are taken, or those of the client's prefix.
    pub(crate) fn begin(self: &Arc<Self>, prefix: Prefix) -> Result<Wait, HttpError> {
        let mut taken = self.taken();
        let near = taken.get(&prefix).copied().unwrap_or_default();
        let is_share_taken = prefix.is_shared() && near >= self.most.div_ceil(4);
        if is_share_taken || taken.values().sum::<usize>() >= self.most {
            let message = "too many requests wait for what this node fetches from its peers: try \
                           again in a moment";
            return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, message));
        }
        *taken.entry(prefix).or_default() += 1;
        Ok(Wait { waits: Arc::clone(self), prefix })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut taken = self.waits.taken();
        if let Some(near) = taken.get_mut(&self.prefix) {
            *near -= 1;
            if *near == 0 {
                taken.remove(&self.prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_a_quarter_and_those_behind_a_proxy_have_all() {
        let waits = Waits::new(8);
        let mine: Vec<_> = (0..2).map(|_| waits.begin(Prefix(7)).expect("a place")).collect();
        let refused = waits.begin(Prefix(7)).expect_err("its share is taken");
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().is_some(), "it says when to come back");
        let proxied: Vec<_> = (0..6).map(|_| waits.begin(Prefix::NONE).expect("a place")).collect();
        assert!(waits.begin(Prefix(8)).is_err() && waits.begin(Prefix::NONE).is_err());
        drop(mine);
        assert!(waits.begin(Prefix(8)).is_ok());
        drop(proxied);
        assert!(waits.taken().is_empty());
    }
}
