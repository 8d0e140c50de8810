//! Whether this node knows all that its own key has signed.
//!
//! A key that was made here starts a feed here. A key that was copied here (a restored backup, a
//! second machine) may have signed elsewhere, and an entry signed before the rest of the feed is
//! known would fork it. Directories of earlier versions, which have no note of this, are trusted as
//! they always were.

use perennial_manifest::PublisherId;
use perennial_store::{OwnFeed, Store, StoreError};

use super::{Archive, ArchiveError};

/// Notes at a start where the key comes from. `made_now`: this start made it; `existed`: the data
/// directory is older than this start.
pub(crate) fn note_key(
    store: &Store,
    publisher: PublisherId,
    made_now: bool,
    existed: bool,
) -> Result<(), StoreError> {
    if store.is_read_only() {
        return Ok(());
    }
    let known = match store.own_feed() {
        // A rotation that broke off hands over to a key that was made here.
        Some(own) if own.publisher == publisher || own.next == Some(publisher) => return Ok(()),
        Some(_) => made_now,
        None => made_now || existed,
    };
    store.set_own_feed(OwnFeed::of(publisher, known))
}

impl Archive {
    /// Refuses to sign while another machine may be signing with this key, and before a copied
    /// key's feed is known: peers are asked for it first.
    ///
    /// # Errors
    /// [`ArchiveError::Twin`], [`ArchiveError::UnknownFeed`], or the store's error.
    pub(super) async fn may_sign(&self) -> Result<(), ArchiveError> {
        if self.store.is_read_only() {
            return Err(StoreError::ReadOnly { path: self.store.dir().to_owned() }.into());
        }
        if let Some(address) = self.network.twin().await {
            return Err(ArchiveError::Twin { address });
        }
        let publisher = self.publisher();
        if self.store.own_feed().is_none_or(|own| own.known || own.publisher != publisher) {
            return Ok(());
        }
        let unreached = self.network.connected().await;
        if self.network.reconciled().await {
            let came = self.blocking(move |archive| {
                let came = archive.store.feed(&publisher)?.highest().is_some();
                if came {
                    archive.store.set_own_feed(OwnFeed::of(publisher, true))?;
                }
                Ok::<_, StoreError>(came)
            });
            if came.await? {
                return Ok(());
            }
        }
        let answered = self.network.overview().borrow().peers.len();
        Err(ArchiveError::UnknownFeed { answered, unreached })
    }

    /// Declares that this node's key has signed nothing that is not here.
    ///
    /// # Errors
    /// Failures of the disk.
    pub async fn begin_feed(&self) -> Result<(), ArchiveError> {
        let own = OwnFeed::of(self.publisher(), true);
        self.blocking(move |archive| archive.store.set_own_feed(own)).await
    }
}
