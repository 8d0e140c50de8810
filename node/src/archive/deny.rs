//! The deny list, as the owner of the node changes it.

use perennial_manifest::DenyTarget;

use super::repair::held;
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
        self.change_denied(move |archive| Ok(archive.store.deny(target, reason)?)).await
    }

    /// Takes something off the deny list, and returns the reason that was given.
    ///
    /// # Errors
    /// [`ArchiveError::NotDenied`], or the store's error.
    pub async fn undeny(&self, target: DenyTarget) -> Result<String, ArchiveError> {
        self.change_denied(move |archive| {
            let reason = archive.store.denied().remove(&target);
            match archive.store.undeny(&target)? {
                true => Ok(reason.unwrap_or_default()),
                false => Err(ArchiveError::NotDenied(target)),
            }
        })
        .await
    }

    /// Changes the deny list, and announces the releases that are held from now on, and no others.
    async fn change_denied<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Archive) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let changed = self.blocking(move |archive| {
            let before = held(&archive.store)?;
            let changed = change(archive)?;
            Ok::<_, ArchiveError>((changed, before, held(&archive.store)?))
        });
        let (changed, before, now) = changed.await?;
        for release in before.difference(&now) {
            self.network.dropped(*release).await;
        }
        for release in now.difference(&before) {
            self.network.held(*release).await;
        }
        Ok(changed)
    }
}
