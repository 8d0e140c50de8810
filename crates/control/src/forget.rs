//! Forgetting a publisher: the statements that are known of it.

use perennial_manifest::{PublisherId, PublisherRef};
use serde::{Deserialize, Serialize};

/// A request to drop the entries of a publisher that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// The publisher.
    pub publisher: PublisherRef,
}

/// What was dropped of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetDone {
    /// The publisher.
    pub publisher: PublisherId,
    /// Number of entries dropped.
    pub entries: u64,
    /// Number of entries that stay: those up to the last pinned release.
    pub kept: u64,
}
