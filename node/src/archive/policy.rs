//! What is kept: follows and pins.

use perennial_manifest::{BlobId, PublisherId, ReleaseId, Selector};
use perennial_protocol::input::Follows as ProtocolFollows;
use perennial_store::{Follows, Pin};

use super::{Archive, ArchiveError, Observer};

/// Bytes of a local name for a publisher, at most.
const MAX_NAME: usize = 100;

/// What a pin keeps, resolved from what the user named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinTarget {
    /// All blobs of a release.
    Release(ReleaseId),
    /// One blob.
    Blob(BlobId),
}

impl From<PinTarget> for Pin {
    fn from(target: PinTarget) -> Self {
        match target {
            PinTarget::Release(release) => Pin::Release(release),
            PinTarget::Blob(blob) => Pin::Blob(blob),
        }
    }
}

/// The user's follows as the protocol needs them; this node's own feed is always among them.
pub(crate) fn protocol_follows(follows: &Follows, own: PublisherId) -> ProtocolFollows {
    if follows.all {
        return ProtocolFollows::All;
    }
    ProtocolFollows::Publishers(follows.publishers.keys().copied().chain([own]).collect())
}

impl Archive {
    /// The publisher that a text means: its DID, or the local name of one that is followed.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownPublisher`].
    pub fn publisher_named(&self, text: &str) -> Result<PublisherId, ArchiveError> {
        let follows = self.store.follows();
        let mut publishers = follows.publishers.iter();
        let named = publishers.find(|(_, name)| name.as_deref() == Some(text));
        named
            .map(|(publisher, _)| *publisher)
            .or_else(|| text.parse().ok())
            .ok_or_else(|| ArchiveError::UnknownPublisher(text.to_owned()))
    }

    /// Keeps what every publisher releases. Trusts none of them for names.
    ///
    /// # Errors
    /// The store's.
    pub async fn follow_all(&self) -> Result<(), ArchiveError> {
        self.change_follows(|follows| {
            follows.all = true;
            Ok(())
        })
        .await
    }

    /// Keeps what a publisher releases, and trusts it for names. A `name` replaces the one it had on this node.
    ///
    /// # Errors
    /// [`ArchiveError::PublisherName`], or the store's.
    pub async fn follow(
        &self,
        publisher: PublisherId,
        name: Option<String>,
    ) -> Result<(), ArchiveError> {
        if name.as_ref().is_some_and(|name| {
            name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control)
        }) {
            return Err(ArchiveError::PublisherName);
        }
        self.change_follows(move |follows| {
            let known_as = follows.publishers.entry(publisher).or_default();
            if name.is_some() {
                *known_as = name;
            }
            Ok(())
        })
        .await
    }

    /// Stops keeping what every publisher releases. What is held stays until [`Archive::gc`].
    ///
    /// # Errors
    /// [`ArchiveError::NotFollowed`], or the store's.
    pub async fn unfollow_all(&self) -> Result<(), ArchiveError> {
        self.change_follows(|follows| {
            if !std::mem::take(&mut follows.all) {
                return Err(ArchiveError::NotFollowed("all".to_owned()));
            }
            Ok(())
        })
        .await
    }

    /// Stops following a publisher. What is held of it stays until [`Archive::gc`].
    ///
    /// # Errors
    /// [`ArchiveError::NotFollowed`], or the store's.
    pub async fn unfollow(&self, publisher: PublisherId) -> Result<(), ArchiveError> {
        self.change_follows(move |follows| match follows.publishers.remove(&publisher) {
            Some(_) => Ok(()),
            None => Err(ArchiveError::NotFollowed(publisher.to_string())),
        })
        .await
    }

    /// Changes the follows on disk, then tells the protocol. Neither is undone when the caller leaves.
    async fn change_follows(
        &self,
        change: impl FnOnce(&mut Follows) -> Result<(), ArchiveError> + Send + 'static,
    ) -> Result<(), ArchiveError> {
        let archive = self.clone();
        let task = self.tasks.spawn(async move {
            let follows = archive.blocking(move |archive| {
                let mut follows = archive.store.follows();
                change(&mut follows)?;
                archive.store.set_follows(&follows)?;
                Ok::<_, ArchiveError>(follows)
            });
            let follows = protocol_follows(&follows.await?, archive.publisher());
            archive.network.follow(follows).await;
            Ok(())
        });
        task.await?
    }

    /// Keeps a release or a blob whatever else happens. A release is not fetched by this alone.
    ///
    /// # Errors
    /// As for [`Archive::resolve`]; [`ArchiveError::NotHeld`] for a SHA-256 that names no blob here.
    pub async fn pin(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        observer: &dyn Observer,
    ) -> Result<PinTarget, ArchiveError> {
        let target = self.pin_target(selector, only, true, observer).await?;
        self.blocking(move |archive| archive.store.set_pin(target.into(), true)).await?;
        Ok(target)
    }

    /// Removes a pin. What it kept stays until [`Archive::gc`].
    ///
    /// # Errors
    /// [`ArchiveError::NotPinned`], or as for [`Archive::pin`].
    pub async fn unpin(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        observer: &dyn Observer,
    ) -> Result<PinTarget, ArchiveError> {
        let target = self.pin_target(selector, only, false, observer).await?;
        let changed = self.blocking(move |archive| archive.store.set_pin(target.into(), false));
        if !changed.await? {
            return Err(ArchiveError::NotPinned(selector.clone()));
        }
        Ok(target)
    }

    async fn pin_target(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        ask: bool,
        observer: &dyn Observer,
    ) -> Result<PinTarget, ArchiveError> {
        Ok(match selector {
            Selector::Blob(blob) => PinTarget::Blob(*blob),
            Selector::Sha256(digest) => {
                let digest = *digest;
                let blob = self.blocking(move |archive| archive.store.blob_of_sha256(&digest));
                PinTarget::Blob(blob.await?.ok_or(ArchiveError::NotHeld(digest))?)
            }
            Selector::Release(release) => PinTarget::Release(*release),
            _ => PinTarget::Release(self.resolve(selector, only, ask, observer).await?[0].release),
        })
    }
}
