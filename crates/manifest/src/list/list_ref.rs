//! The reference to an artifact list in the entry of a release.

use serde::{Deserialize, Serialize};

use super::{ListError, MAX_ARTIFACTS, MAX_LIST};
use crate::BlobId;

/// The artifact list, as a release entry refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArtifactListRef {
    /// The encoded list.
    pub blob: BlobId,
    /// Number of artifacts.
    pub count: u32,
    /// Sum of their sizes, in bytes.
    pub bytes: u64,
    /// Length of the encoded list, in bytes.
    pub size: u64,
}

impl ArtifactListRef {
    /// Checks the claims before anything is fetched or allocated for them.
    ///
    /// # Errors
    /// [`ListError`]: a claim is zero or over its bound.
    pub fn check(&self) -> Result<(), ListError> {
        let too_large = |what, found, limit: usize| {
            Err(ListError::TooLarge { what, found, limit: limit as u64 })
        };
        if self.count == 0 {
            return Err(ListError::Empty);
        }
        if self.count as usize > MAX_ARTIFACTS {
            return too_large("the number of artifacts", u64::from(self.count), MAX_ARTIFACTS);
        }
        if self.size > MAX_LIST as u64 {
            return too_large("the length", self.size, MAX_LIST);
        }
        Ok(())
    }
}
