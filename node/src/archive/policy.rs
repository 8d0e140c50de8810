//! The retention policy: follows and pins.

use perennial_manifest::{FollowName, NamePattern, PublisherId, PublisherRef, Selector};
use perennial_protocol::Follows as ProtocolFollows;
use perennial_store::{Follows, Forgotten, Pin};
use tokio_util::sync::CancellationToken;

use super::resolve::is_unknown;
use super::{Archive, ArchiveError, Meaning, Observer};

/// The user's follows as the protocol needs them; always includes this node's own feed.
pub(crate) fn protocol_follows(follows: &Follows, own: PublisherId) -> ProtocolFollows {
    if follows.all {
        return ProtocolFollows::All;
    }
    ProtocolFollows::Publishers(follows.publishers.keys().copied().chain([own]).collect())
}

/// The publisher followed under a name, if any.
fn publisher_by_name(
    follows: &Follows,
    name: &FollowName,
) -> Result<Option<PublisherId>, ArchiveError> {
    let named = |(_, own): &(_, &Option<String>)| own.as_deref() == Some(name.as_str());
    let mut named = follows.publishers.iter().filter(named).map(|(id, _)| *id);
    match (named.next(), named.next()) {
        // Stores of earlier versions may hold one name twice.
        (Some(one), Some(other)) => {
            Err(ArchiveError::SharedName { name: name.clone(), by: Box::new([one, other]) })
        }
        (one, _) => Ok(one),
    }
}

impl Archive {
    /// The publisher that a user refers to: by its id, or by the name it is followed under.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownPublisher`] when no followed publisher has the name,
    /// [`ArchiveError::SharedName`] when several have it.
    pub fn publisher_named(&self, publisher: &PublisherRef) -> Result<PublisherId, ArchiveError> {
        match publisher {
            PublisherRef::Id(id) => Ok(*id),
            PublisherRef::Name(name) => publisher_by_name(&self.store.follows(), name)?
                .ok_or_else(|| ArchiveError::UnknownPublisher(name.clone())),
        }
    }

    /// Keeps the releases of every publisher, without trusting them for names.
    ///
    /// # Errors
    /// The store's error.
    pub async fn follow_all(&self) -> Result<(), ArchiveError> {
        self.change_follows(|follows| {
            follows.all = true;
            Ok(())
        })
        .await
    }

    /// Trusts a publisher for names, and keeps its releases: all, or `only` those with such names,
    /// none without a pattern. A `name` replaces the publisher's previous name on this node.
    ///
    /// # Errors
    /// [`ArchiveError::NameTaken`] if another publisher has the name, or the store's error.
    pub async fn follow(
        &self,
        publisher: PublisherId,
        name: Option<FollowName>,
        only: Option<Vec<NamePattern>>,
    ) -> Result<(), ArchiveError> {
        self.change_follows(move |follows| {
            let mut others = follows.publishers.iter().filter(|(id, _)| **id != publisher);
            if let Some(name) = &name
                && let Some((by, _)) =
                    others.find(|(_, other)| other.as_deref() == Some(name.as_str()))
            {
                // Names convey trust, so each belongs to one publisher.
                return Err(ArchiveError::NameTaken { name: name.clone(), by: *by });
            }
            let known_as = follows.follow(publisher);
            if let Some(name) = name {
                *known_as = Some(name.into());
            }
            match only {
                Some(patterns) => follows.only.insert(publisher, patterns),
                None => follows.only.remove(&publisher),
            };
            Ok(())
        })
        .await
    }

    /// Stops keeping every publisher's releases. Held content stays until [`Archive::gc`].
    ///
    /// # Errors
    /// [`ArchiveError::NotFollowed`], or the store's error.
    pub async fn unfollow_all(&self) -> Result<(), ArchiveError> {
        self.change_follows(|follows| {
            if !std::mem::take(&mut follows.all) {
                return Err(ArchiveError::NotFollowed("all".to_owned()));
            }
            Ok(())
        })
        .await
    }

    /// Stops following a publisher. Its held content stays until [`Archive::gc`].
    ///
    /// # Errors
    /// [`ArchiveError::NotFollowed`], or the store's error.
    pub async fn unfollow(&self, publisher: PublisherId) -> Result<(), ArchiveError> {
        self.change_follows(move |follows| match follows.unfollow(&publisher) {
            true => Ok(()),
            false => Err(ArchiveError::NotFollowed(publisher.to_string())),
        })
        .await
    }

    /// Drops the entries that are known of a publisher, but those that pins need. The bytes of its
    /// releases stay until [`Archive::gc`].
    ///
    /// # Errors
    /// [`ArchiveError::StillFollowed`], [`ArchiveError::OwnPublisher`],
    /// [`ArchiveError::NothingKnown`], or the store's error.
    pub async fn forget(&self, publisher: PublisherId) -> Result<Forgotten, ArchiveError> {
        if publisher == self.publisher() {
            return Err(ArchiveError::OwnPublisher(publisher));
        }
        let forgotten = self.blocking(move |archive| {
            if archive.store.follows().covers(&publisher) {
                return Err(ArchiveError::StillFollowed(publisher));
            }
            Ok(archive.store.forget(&publisher)?)
        });
        match forgotten.await? {
            Forgotten { entries: 0, kept: 0 } => Err(ArchiveError::NothingKnown(publisher)),
            forgotten => Ok(forgotten),
        }
    }

    /// Changes the follows on disk, then informs the protocol. Neither is undone when the caller
    /// leaves.
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
                // It may have handed its feed over before it was followed.
                archive.store.follow_rotations()?;
                Ok::<_, ArchiveError>(archive.store.follows())
            });
            let follows = protocol_follows(&follows.await?, archive.publisher());
            archive.network.follow(follows).await;
            Ok(())
        });
        task.await?
    }

    /// Tells the protocol of the next keys of followed publishers that hand their feeds over, until
    /// the node stops.
    pub(crate) async fn watch_rotations(self, stop: CancellationToken) {
        let mut stored = self.network.stored();
        let mut told = self.store.follows();
        while let Some(Ok(())) = stop.run_until_cancelled(stored.changed()).await {
            let follows = self.store.follows();
            if follows != told {
                self.network.follow(protocol_follows(&follows, self.publisher())).await;
                told = follows;
            }
        }
    }

    /// Pins a release or a blob, which protects it from collection. Pinning alone does not fetch
    /// it.
    ///
    /// # Errors
    /// As for [`Archive::resolve`]; [`ArchiveError::NotHeld`] for a SHA-256 that names no held
    /// blob.
    pub async fn pin(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        observer: &dyn Observer,
    ) -> Result<Pin, ArchiveError> {
        let target = self.pin_target(selector, only, true, observer).await?;
        self.blocking(move |archive| archive.store.set_pin(target, true)).await?;
        Ok(target)
    }

    /// Removes a pin. Its content stays until [`Archive::gc`].
    ///
    /// # Errors
    /// [`ArchiveError::NotPinned`], or as for [`Archive::pin`].
    pub async fn unpin(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        observer: &dyn Observer,
    ) -> Result<Pin, ArchiveError> {
        let target = match self.pin_target(selector, only, false, observer).await {
            Ok(target) => target,
            // What is not known here is not pinned, whatever peers know.
            Err(ArchiveError::NotHeld(_)) => return Err(ArchiveError::NotPinned(selector.clone())),
            Err(error) if is_unknown(&error) => {
                return Err(ArchiveError::NotPinned(selector.clone()));
            }
            Err(error) => return Err(error),
        };
        let changed = self.blocking(move |archive| archive.store.set_pin(target, false));
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
    ) -> Result<Pin, ArchiveError> {
        let pins = self.store.pins();
        // A pin outlives what is known of its release.
        if let Selector::Release(release) = selector
            && pins.contains(&Pin::Release(*release))
        {
            return Ok(Pin::Release(*release));
        }
        if let Some(digest) = selector.sha256() {
            let blob = self.blocking(move |archive| archive.store.blob_of_sha256(&digest));
            let pin = blob.await?.map(Pin::Blob);
            if let Some(pin) = pin.filter(|pin| pins.contains(pin)) {
                return Ok(pin);
            }
        }
        // A digest pins what is here; only names are asked of peers.
        let ask = ask && selector.sha256().is_none() && !matches!(selector, Selector::Release(_));
        match (selector, self.meaning(selector, only, ask, observer).await) {
            (_, Ok(Meaning::Release(found))) => Ok(Pin::Release(found[0].release)),
            (_, Ok(Meaning::Blob { blob, .. })) => Ok(Pin::Blob(blob)),
            // A release that is not known yet may be pinned by its id.
            (Selector::Release(release), Err(_)) => Ok(Pin::Release(*release)),
            (_, Err(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use perennial_manifest::Keypair;

    use super::*;

    #[test]
    fn a_name_means_one_followed_publisher_or_none() {
        let publisher = |seed| Keypair::from_seed([seed; 32]).id();
        let named = |names: &[(u8, Option<&str>)]| Follows {
            publishers: names
                .iter()
                .map(|(seed, name)| (publisher(*seed), name.map(str::to_owned)))
                .collect(),
            ..Follows::default()
        };
        let savers: FollowName = "savers".parse().unwrap();
        let follows = named(&[(1, Some("others")), (2, Some("savers")), (3, None)]);
        assert_eq!(publisher_by_name(&follows, &savers).unwrap(), Some(publisher(2)));
        let follows = named(&[(1, Some("saver")), (3, None)]);
        assert_eq!(publisher_by_name(&follows, &savers).unwrap(), None);
        let follows = named(&[(1, Some("savers")), (2, Some("savers"))]);
        let error = publisher_by_name(&follows, &savers).unwrap_err();
        assert!(matches!(error, ArchiveError::SharedName { .. }), "{error}");
    }
}
