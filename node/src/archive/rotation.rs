//! Replacing the key that this node signs with.
//!
//! Each step is durable before the next, and the next key is noted before the first: a rotation
//! that breaks off, at whatever step, is ended by the next start.

use std::path::PathBuf;

use perennial_manifest::Keypair;
use perennial_store::{OwnFeed, Store, StoreError};

use super::publish::Signing;
use super::{Archive, ArchiveError, protocol_follows};
use crate::keys::Keys;

impl Archive {
    /// Hands this node's feed over to a new key, signed by both, and signs with that from now on.
    /// Followers go on to it by themselves once they have the entry. The old key is kept aside, at
    /// the path returned.
    ///
    /// # Errors
    /// As for [`Archive::yank`], and failures to write the key.
    pub async fn rotate(&self, keys: Keys) -> Result<PathBuf, ArchiveError> {
        let aside = self.signing(move |signing| signing.rotate(&keys)).await?;
        let follows = protocol_follows(&self.store.follows(), self.publisher());
        self.network.follow(follows).await;
        Ok(aside)
    }

    /// Ends a rotation that broke off after both keys had signed it.
    pub(crate) async fn end_rotation(&self, keys: &Keys) {
        match under_way(&self.store) {
            Ok(None) => {}
            Ok(Some(_)) => match self.rotate(keys.clone()).await {
                Ok(_) => tracing::info!(key = %self.publisher(), "a rotation that broke off ended"),
                Err(error) => tracing::warn!(
                    %error, "a rotation that broke off cannot end; run `perennial key rotate`"
                ),
            },
            Err(error) => tracing::warn!(%error, "whether a rotation broke off is unknown"),
        }
    }
}

/// The feed of a key that has handed over to one with which this node does not sign yet.
fn under_way(store: &Store) -> Result<Option<OwnFeed>, StoreError> {
    let Some(own) = store.own_feed().filter(|_| !store.is_read_only()) else { return Ok(None) };
    let Some(next) = own.next else { return Ok(None) };
    Ok(store.feed(&own.publisher)?.names_successor(&next).then_some(own))
}

impl Signing<'_> {
    /// Hands the feed over to the next key, and goes on with it. Returns where the old one is kept.
    fn rotate(&mut self, keys: &Keys) -> Result<PathBuf, ArchiveError> {
        let Archive { store, signer, .. } = self.archive;
        let turn = signer.turn(store);
        let begun = under_way(store)?;
        let old = begun.map_or_else(|| signer.publisher(), |own| own.publisher);
        let next = match begun.and_then(|own| own.next) {
            Some(next) => begun_key(keys, &next)?,
            None => {
                let next = keys.next()?;
                store.set_own_feed(OwnFeed { next: Some(next.id()), ..OwnFeed::of(old, true) })?;
                self.signed.push(turn.hand_over(&next)?);
                next
            }
        };
        // What the old key signed keeps its meaning here.
        let mut follows = store.follows();
        follows.follow(old);
        store.set_follows(&follows)?;
        store.follow_rotations()?;
        let kind = store.publisher_kind(&old)?;
        let aside = keys.promote_next(&old, &next.id())?;
        self.signed.extend(turn.go_on(next, kind)?);
        store.set_own_feed(OwnFeed::of(signer.publisher(), true))?;
        Ok(aside)
    }
}

/// The key to which a rotation that broke off hands over: in its place already, or not yet.
fn begun_key(keys: &Keys, next: &perennial_manifest::PublisherId) -> Result<Keypair, ArchiveError> {
    match keys.existing_publisher()? {
        Some(key) if key.id() == *next => Ok(key),
        _ => Ok(keys.next()?),
    }
}
