//! The deny list, as the owner of the node changes it.

use perennial_manifest::DenyTarget;

use super::{Archive, ArchiveError};

impl Archive {
    /// Denies a digest, a package or a publisher: from now on nothing of it is taken in, served or
    /// announced.
    ///
    /// # Errors
    /// [`ArchiveError::DeniesItself`] for this node's own publisher, or the store's error.
    pub async fn deny(&self, target: DenyTarget, reason: String) -> Result<(), ArchiveError> {
        if target == DenyTarget::Publisher(self.publisher()) {
            return Err(ArchiveError::DeniesItself);
        }
        self.blocking(move |archive| archive.store.deny(target, reason)).await?;
        Ok(())
    }

    /// Takes something off the deny list, and returns the reason that was given.
    ///
    /// # Errors
    /// [`ArchiveError::NotDenied`], or the store's error.
    pub async fn undeny(&self, target: DenyTarget) -> Result<String, ArchiveError> {
        self.blocking(move |archive| {
            let reason = archive.store.denied().remove(&target);
            match archive.store.undeny(&target)? {
                true => Ok(reason.unwrap_or_default()),
                false => Err(ArchiveError::NotDenied(target)),
            }
        })
        .await
    }
}
