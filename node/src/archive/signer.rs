//! Signs entries with this node's publisher key, one at a time.
//!
//! Never signs a position in the feed that is known to be taken: the highest entry seen of the
//! node's own key is remembered outside the index, and a feed shorter than that (a restored backup,
//! a second machine) is refused.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use perennial_manifest::{
    Admit, Body, EntryError, Keypair, Profile, PublisherId, PublisherKind, Rotate, SignRefusal,
    SignedEntry,
};
use perennial_store::{Pin, Store, StoreError};

use super::publish::unix_seconds;

/// Why signing failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The feed cannot be extended.
    #[error(transparent)]
    Refused(#[from] SignRefusal),
    /// The statement is not valid.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The statement could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry just signed does not extend the feed: another process or machine appended to it at
    /// the same time.
    #[error("the entry just signed was not admitted to its own feed")]
    NotAdmitted(Option<Admit>),
    /// The signed entry does not read back as a release.
    #[error("the entry just signed is not a release")]
    NotARelease,
}

/// The signer of one publisher's feed.
#[derive(Debug)]
pub(crate) struct Signer {
    key: RwLock<Keypair>,
    /// Locked while an entry is signed and stored: the position of the next entry follows from the
    /// last one.
    turn: Mutex<()>,
}

impl Signer {
    pub(crate) fn new(key: Keypair) -> Self {
        Self { key: RwLock::new(key), turn: Mutex::new(()) }
    }

    pub(crate) fn publisher(&self) -> PublisherId {
        self.key().id()
    }

    fn key(&self) -> Keypair {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until no other statement is being signed. Until the turn is dropped, this node's feed
    /// grows by nothing else.
    pub(super) fn turn<'a>(&'a self, store: &'a Store) -> Turn<'a> {
        let lock = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { signer: self, store, _lock: lock }
    }

    /// The kind stated in this publisher's newest profile.
    pub(crate) fn kind(&self, store: &Store) -> Result<Option<PublisherKind>, StoreError> {
        store.publisher_kind(&self.publisher())
    }
}

/// The exclusive use of a signer.
pub(super) struct Turn<'a> {
    signer: &'a Signer,
    store: &'a Store,
    _lock: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// Signs a statement and stores it; durable once this returns. A feed's first statement, and a
    /// statement that changes the publisher's kind, is preceded by a profile. Returns the signed
    /// entries in feed order.
    pub(super) fn sign(
        &self,
        kind: Option<PublisherKind>,
        body: Body,
    ) -> Result<Vec<SignedEntry>, SignError> {
        let mut signed = Vec::new();
        let known = self.signer.kind(self.store)?;
        let new_kind = kind.is_some_and(|kind| known.is_some_and(|known| known != kind));
        if known.is_none() || new_kind {
            let name = self.signer.publisher().to_string();
            let publisher_kind = kind.unwrap_or_default();
            let profile = Profile { name, publisher_kind, contact: None, claims: Vec::new() };
            signed.push(self.append(Body::Profile(profile), false)?);
        }
        let merge = matches!(body, Body::Merge(_));
        signed.push(self.append(body, merge)?);
        Ok(signed)
    }

    fn append(&self, body: Body, merge: bool) -> Result<SignedEntry, SignError> {
        let (store, publisher) = (self.store, self.signer.publisher());
        let feed = store.feed(&publisher)?;
        let seen = store.seen(&publisher).map(|(seq, _)| seq);
        let next = if merge { feed.next_merge(seen)? } else { feed.next(seen)? };
        let signed = next.entry(publisher, unix_seconds(), body).sign(&self.signer.key())?;
        self.take(signed)
    }

    /// Signs with both keys that the feed goes on under the next one.
    pub(super) fn hand_over(&self, next: &Keypair) -> Result<SignedEntry, SignError> {
        let (store, publisher) = (self.store, self.signer.publisher());
        let seen = store.seen(&publisher).map(|(seq, _)| seq);
        let place = store.feed(&publisher)?.next(seen)?;
        let body = Body::Rotate(Rotate { next: next.id() });
        let entry = place.entry(publisher, unix_seconds(), body);
        self.take(entry.sign_rotation(&self.signer.key(), next)?)
    }

    /// Signs with the next key from now on, and begins its feed with a profile of this kind, unless
    /// it has one.
    pub(super) fn go_on(
        &self,
        next: Keypair,
        kind: Option<PublisherKind>,
    ) -> Result<Option<SignedEntry>, SignError> {
        let name = next.id().to_string();
        *self.signer.key.write().unwrap_or_else(PoisonError::into_inner) = next;
        if self.signer.kind(self.store)?.is_some() {
            return Ok(None);
        }
        let publisher_kind = kind.unwrap_or_default();
        let profile = Profile { name, publisher_kind, contact: None, claims: Vec::new() };
        self.append(Body::Profile(profile), false).map(Some)
    }

    /// Stores what was signed.
    fn take(&self, signed: SignedEntry) -> Result<SignedEntry, SignError> {
        let (store, publisher, seq) = (self.store, signed.entry().publisher, signed.entry().seq);
        if let Some((release, _)) = signed.release() {
            // Before the entry: a crash in between leaves a dangling pin, never a release that may
            // be collected.
            store.set_pin(Pin::Release(release), true)?;
        }
        let puts = store.put_entries(std::slice::from_ref(&signed))?;
        match puts.into_iter().next().and_then(|put| put.admit) {
            Some(Admit::New) => {}
            other => return Err(SignError::NotAdmitted(other)),
        }
        store.see(&publisher, seq, signed.id())?;
        Ok(signed)
    }
}
