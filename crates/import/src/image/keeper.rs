//! Into the store: what is held already is not brought again, and what arrives lasts before the next is asked for.
//!
//! Each blob is a batch of its own, so that an import that is cut loses nothing that came whole.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oci_spec::image::{Digest, DigestAlgorithm};
use perennial_manifest::{BlobId, Sha256Digest};
use perennial_store::{Added, Lease, SMALL, Store, StoreError};

use super::named::Named;
use super::{Check, Incoming, MAX_MANIFEST, Origin, Wanted};
use crate::ImportError;
use crate::blocking::blocking;
use crate::meter::Meter;

/// How often to look whether another import is done with the same blob.
const LOOK: Duration = Duration::from_millis(100);

/// A blob that is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) blob: BlobId,
    pub(crate) sha256: Sha256Digest,
    pub(crate) size: u64,
}

/// The store, as an import of images sees it.
pub(crate) struct Keeper<'a> {
    store: &'a Store,
    named: Named,
    pub(crate) meter: Meter<'a>,
    leases: Mutex<Vec<Lease>>,
    new_bytes: AtomicU64,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(store: &'a Store, meter: Meter<'a>) -> Self {
        Self {
            store,
            named: Named::default(),
            meter,
            leases: Mutex::default(),
            new_bytes: AtomicU64::new(0),
        }
    }

    /// What keeps the blobs, and how many bytes of them are new.
    pub(crate) fn finish(self) -> (Vec<Lease>, u64) {
        (
            self.leases.into_inner().unwrap_or_else(PoisonError::into_inner),
            self.new_bytes.into_inner(),
        )
    }

    /// A manifest, from the store or else from its origin, checked.
    pub(crate) async fn manifest(
        &self,
        origin: &impl Origin,
        digest: &Digest,
    ) -> Result<(Kept, Vec<u8>), ImportError> {
        if let Some((kept, Some(bytes))) = self.held(digest, None).await? {
            return Ok((kept, bytes));
        }
        let bytes = origin.manifest(digest).await?;
        Check::bytes(digest, &bytes)?;
        Ok((self.bytes(bytes.clone()).await?, bytes))
    }

    /// A blob, from the store or else from its origin, checked.
    pub(crate) async fn blob(
        &self,
        origin: &impl Origin,
        wanted: &Wanted,
    ) -> Result<Kept, ImportError> {
        let incoming = loop {
            if let Some((kept, _)) = self.held(&wanted.digest, Some(wanted.size)).await? {
                self.meter.bytes(kept.size);
                return Ok(kept);
            }
            if let Some(incoming) = self.open(wanted).await? {
                break incoming;
            }
            tokio::time::sleep(LOOK).await;
        };
        let resumed = incoming.len() > 0;
        self.meter.bytes(incoming.len());
        let arrived = origin.blob(wanted, incoming, &self.meter).await?;
        match self.file(&wanted.digest, arrived).await {
            // what an earlier attempt left may be what is wrong
            Err(ImportError::Mismatch { .. }) if resumed => match self.open(wanted).await? {
                Some(incoming) => {
                    let arrived = origin.blob(wanted, incoming, &self.meter).await?;
                    self.file(&wanted.digest, arrived).await
                }
                None => Err(ImportError::Upstream {
                    what: wanted.digest.to_string(),
                    reason: "another import fetches it; try again".into(),
                }),
            },
            outcome => outcome,
        }
    }

    /// Keeps bytes that are in memory.
    pub(crate) async fn bytes(&self, bytes: Vec<u8>) -> Result<Kept, ImportError> {
        let store = self.store.clone();
        let (added, lease) = blocking(move || {
            let mut batch = store.batch();
            let added = batch.add_bytes(bytes)?;
            let lease = batch.commit()?;
            note(&store, &added)?;
            Ok((added, lease))
        })
        .await?;
        Ok(self.added(added, lease))
    }

    async fn open(&self, wanted: &Wanted) -> Result<Option<Incoming>, ImportError> {
        let (dir, wanted) = (self.store.incoming(), wanted.clone());
        blocking(move || Incoming::open(&dir, &wanted)).await
    }

    async fn file(&self, digest: &Digest, incoming: Incoming) -> Result<Kept, ImportError> {
        let (store, named, digest) = (self.store.clone(), self.named.clone(), digest.clone());
        let (added, lease) = blocking(move || {
            let (path, _lock) = incoming.finish()?;
            let mut batch = store.batch();
            let added = batch.take_file(&path, &|_| {})?;
            let lease = batch.commit()?;
            note(&store, &added)?;
            named.note(&digest, added.blob);
            Ok((added, lease))
        })
        .await?;
        Ok(self.added(added, lease))
    }

    fn added(&self, added: Added, lease: Lease) -> Kept {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).push(lease);
        if added.new {
            self.new_bytes.fetch_add(added.size, Ordering::Relaxed);
        }
        Kept { blob: added.blob, sha256: added.sha256, size: added.size }
    }

    /// A blob that is held and, read through, is what its digest says; with its bytes if it is as short as a manifest.
    async fn held(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Option<(Kept, Option<Vec<u8>>)>, ImportError> {
        let (store, named, digest) = (self.store.clone(), self.named.clone(), digest.clone());
        let found = blocking(move || {
            for blob in named.by(&digest, &store)? {
                let lease = store.lease(vec![blob]);
                let Some(held) = store.blob_size(&blob)? else { continue };
                if size.is_some_and(|size| size != held) {
                    continue;
                }
                let bytes = (size.is_none() && held <= MAX_MANIFEST).then(Vec::new);
                // the store says the SHA-256 of what it reads, which is hashed once then
                let is_sha256 = *digest.algorithm() == DigestAlgorithm::Sha256;
                let check = (!is_sha256).then(|| Check::new(&digest)).transpose()?;
                let mut through = Through { check, bytes };
                match store.copy_out(&blob, &mut through) {
                    Ok(sha256) if through.is(&digest, &sha256) => {
                        return Ok(Some((Kept { blob, sha256, size: held }, through.bytes, lease)));
                    }
                    // a list that lied, or damage: fetched again, which heals it
                    Ok(_) | Err(StoreError::Corrupt { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(None)
        })
        .await?;
        Ok(found.map(|(kept, bytes, lease)| {
            self.leases.lock().unwrap_or_else(PoisonError::into_inner).push(lease);
            (kept, bytes)
        }))
    }
}

/// Bytes that are read through, and those that are to be looked into.
struct Through {
    check: Option<Check>,
    bytes: Option<Vec<u8>>,
}

impl Through {
    /// Whether they are what a digest names.
    fn is(&mut self, digest: &Digest, sha256: &Sha256Digest) -> bool {
        match self.check.take() {
            Some(check) => check.finish().is_ok(),
            None => sha256.to_hex() == digest.digest(),
        }
    }
}

impl io::Write for Through {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(check) = &mut self.check {
            check.update(bytes);
        }
        if let Some(kept) = &mut self.bytes {
            kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Large blobs are found by SHA-256 only if that is noted; small ones by their packs.
fn note(store: &Store, added: &Added) -> Result<(), StoreError> {
    if added.size > SMALL { store.note_sha256(&[(added.sha256, added.blob)]) } else { Ok(()) }
}
