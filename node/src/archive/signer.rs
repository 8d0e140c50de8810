//! Signing entries with this node's publisher key, one after the other.
//!
//! Promises that no entry is signed in a place that was seen taken: the highest entry seen of our own key is remembered
//! outside the index, and a lower feed here (a restored backup, a second machine) is refused.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use perennial_manifest::{
    Admit, Body, Entry, Keypair, NextEntry, Profile, PublisherId, PublisherKind, SignRefusal,
    SignedEntry,
};
use perennial_store::{Pin, Store, StoreError};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// The feed does not allow it.
    #[error(transparent)]
    Refused(#[from] SignRefusal),
    /// The statement is not allowed.
    #[error(transparent)]
    Entry(#[from] perennial_manifest::EntryError),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was just signed does not fit its feed: somebody else wrote to it.
    #[error("the entry just signed was not taken into its own feed: {0}")]
    NotTaken(String),
}

/// Signs for one publisher.
#[derive(Debug)]
pub(crate) struct Signer {
    key: Keypair,
    /// One entry at a time: the next one's place follows from the last one's.
    turn: Mutex<()>,
}

impl Signer {
    pub(crate) fn new(key: Keypair) -> Self {
        Self { key, turn: Mutex::new(()) }
    }

    pub(crate) fn publisher(&self) -> PublisherId {
        self.key.id()
    }

    /// Signs a statement and stores it; it lasts once this returned. The first of a feed is preceded by a profile.
    pub(crate) fn sign(
        &self,
        store: &Store,
        kind: Option<PublisherKind>,
        body: Body,
    ) -> Result<Vec<SignedEntry>, SignError> {
        let _turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut signed = Vec::new();
        let known = self.kind(store)?;
        let new_kind = kind.is_some_and(|kind| known.is_some_and(|known| known != kind));
        if known.is_none() || new_kind {
            let name = self.publisher().to_string();
            let publisher_kind = kind.unwrap_or_default();
            let profile = Profile { name, publisher_kind, contact: None, claims: Vec::new() };
            signed.push(self.append(store, Body::Profile(profile), false)?);
        }
        let merge = matches!(body, Body::Merge(_));
        signed.push(self.append(store, body, merge)?);
        Ok(signed)
    }

    fn append(&self, store: &Store, body: Body, merge: bool) -> Result<SignedEntry, SignError> {
        let publisher = self.publisher();
        let feed = store.feed(&publisher)?;
        let seen = store.seen(&publisher).map(|(seq, _)| seq);
        let NextEntry { seq, prevs } =
            if merge { feed.next_merge(seen)? } else { feed.next(seen)? };
        let issued_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signed = Entry { publisher, seq, prevs, issued_at, body }.sign(&self.key)?;
        if let Some((release, _)) = signed.release() {
            // before the entry: a crash in between leaves a pin of nothing, never a release that may be collected
            store.set_pin(Pin::Release(release), true)?;
        }
        let puts = store.put_entries(std::slice::from_ref(&signed))?;
        match puts.first().map(|put| &put.admit) {
            Some(Admit::New) => {}
            other => return Err(SignError::NotTaken(format!("{other:?}"))),
        }
        store.see(&publisher, seq, signed.id())?;
        Ok(signed)
    }

    /// What our feed's newest profile says we are.
    pub(crate) fn kind(&self, store: &Store) -> Result<Option<PublisherKind>, StoreError> {
        store.publisher_kind(&self.publisher())
    }
}
