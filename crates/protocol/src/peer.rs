//! Peer ids: opaque text, as the network layer writes it.
//!
//! Owns the bound on their length. How a peer id is made, and how to reach the peer, belongs to the
//! network layer.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest peer id, in bytes.
pub const MAX_PEER_ID: usize = 128;

/// Identifies a peer. Cheap to clone; ordered, so that iteration over peers is deterministic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(Arc<str>);

/// The text is not a peer id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a peer id is 1 to {MAX_PEER_ID} printable ASCII bytes")]
pub struct PeerIdError;

impl PeerId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;
    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        if text.is_empty()
            || text.len() > MAX_PEER_ID
            || !text.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(PeerIdError);
        }
        Ok(Self(Arc::from(text)))
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.0)
    }
}
