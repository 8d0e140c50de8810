//! The way into the store: blobs already held are not fetched again, and each blob that arrives is
//! durable before the next is requested.
//!
//! Each blob is a batch of its own, so that an interrupted import loses no complete blob.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use perennial_manifest::Sha256Digest;
use perennial_oci::{Check, Digest, MAX_MANIFEST, Stored};
use perennial_store::{Added, Lease, SMALL, Store, StoreError};

use crate::ImportError;
use crate::image::sha512_names::Sha512Names;
use crate::image::{Incoming, Origin, Wanted};
use crate::locked::when_free;
use crate::meter::{Meter, blocking};

/// The store, as an image import uses it.
pub(crate) struct BlobSink<'a> {
    store: &'a Store,
    names: Sha512Names,
    pub(crate) meter: Meter<'a>,
    leases: Mutex<Vec<Lease>>,
    new_bytes: AtomicU64,
}

/// A requested blob: in the store, or a file to fill.
enum Found {
    Held(Stored),
    Missing(Box<Incoming>),
}

/// A blob in the store, with its bytes if it is as short as a manifest.
type Held = (Stored, Option<Vec<u8>>);

impl<'a> BlobSink<'a> {
    pub(crate) fn new(store: &'a Store, meter: Meter<'a>) -> Self {
        Self {
            store,
            names: Sha512Names::default(),
            meter,
            leases: Mutex::default(),
            new_bytes: AtomicU64::new(0),
        }
    }

    /// The leases that keep the blobs, and the number of new bytes.
    pub(crate) fn finish(self) -> (Vec<Lease>, u64) {
        (
            self.leases.into_inner().unwrap_or_else(PoisonError::into_inner),
            self.new_bytes.into_inner(),
        )
    }

    /// A verified manifest, from the store or else from its origin.
    pub(crate) async fn manifest(
        &self,
        origin: &impl Origin,
        digest: &Digest,
    ) -> Result<(Stored, Vec<u8>), ImportError> {
        if let Some((stored, Some(bytes))) = self.held(digest, None).await? {
            return Ok((stored, bytes));
        }
        let bytes = origin.manifest(digest).await?;
        let mut check = digest.check();
        check.update(&bytes);
        check.finish()?;
        Ok((self.bytes(bytes.clone()).await?, bytes))
    }

    /// A verified blob, from the store or else from its origin.
    pub(crate) async fn blob(
        &self,
        origin: &impl Origin,
        wanted: &Wanted,
    ) -> Result<Stored, ImportError> {
        let found = when_free(|| async {
            if let Some((stored, _)) = self.held(&wanted.digest, Some(wanted.size)).await? {
                return Ok(Some(Found::Held(stored)));
            }
            Ok(self.open(wanted).await?.map(|incoming| Found::Missing(Box::new(incoming))))
        });
        let incoming = match found.await? {
            Found::Held(stored) => {
                self.meter.bytes(stored.size);
                return Ok(stored);
            }
            Found::Missing(incoming) => *incoming,
        };
        let resumed = incoming.len() > 0;
        self.meter.bytes(incoming.len());
        let arrived = origin.blob(wanted, incoming, &self.meter).await?;
        match self.file(&wanted.digest, arrived).await {
            // The fault may lie in the bytes that an earlier attempt left.
            Err(ImportError::Mismatch { .. }) if resumed => {
                let incoming = when_free(|| self.open(wanted)).await?;
                let arrived = origin.blob(wanted, incoming, &self.meter).await?;
                self.file(&wanted.digest, arrived).await
            }
            outcome => outcome,
        }
    }

    /// Stores bytes that are in memory.
    pub(crate) async fn bytes(&self, bytes: Vec<u8>) -> Result<Stored, ImportError> {
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
        let (room, wanted) = (self.store.incoming_room(), wanted.clone());
        blocking(move || Incoming::open(&room, &wanted)).await
    }

    async fn file(&self, digest: &Digest, incoming: Incoming) -> Result<Stored, ImportError> {
        let (store, names, digest) = (self.store.clone(), self.names.clone(), *digest);
        let (added, lease) = blocking(move || {
            let (path, _lock) = incoming.finish()?;
            let mut batch = store.batch();
            let added = batch.take_file(&path, &|_| {})?;
            let lease = batch.commit()?;
            note(&store, &added)?;
            names.note(&digest, added.blob);
            Ok((added, lease))
        })
        .await?;
        Ok(self.added(added, lease))
    }

    fn added(&self, added: Added, lease: Lease) -> Stored {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).push(lease);
        if added.new {
            self.new_bytes.fetch_add(added.size, Ordering::Relaxed);
        }
        Stored { blob: added.blob, sha256: added.sha256, size: added.size }
    }

    /// A stored blob whose bytes, read in full, have the digest.
    async fn held(&self, digest: &Digest, size: Option<u64>) -> Result<Option<Held>, ImportError> {
        let (store, names, digest) = (self.store.clone(), self.names.clone(), *digest);
        let found = blocking(move || {
            for blob in names.candidates(&digest, &store)? {
                let lease = store.lease(vec![blob]);
                let Some(held) = store.blob_size(&blob)? else { continue };
                if size.is_some_and(|size| size != held) {
                    continue;
                }
                let bytes = (size.is_none() && held <= MAX_MANIFEST).then(Vec::new);
                // The store reports the SHA-256 of the bytes it reads, so they are not hashed
                // twice.
                let check = digest.sha256().is_none().then(|| digest.check());
                let mut through = Through { check, bytes };
                match store.copy_out(&blob, &mut through) {
                    Ok(sha256) if through.is(&digest, &sha256) => {
                        let stored = Stored { blob, sha256, size: held };
                        return Ok(Some((stored, through.bytes, lease)));
                    }
                    // A false list or a damaged blob; fetching again repairs both.
                    Ok(_) | Err(StoreError::Corrupt { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(None)
        })
        .await?;
        Ok(found.map(|(stored, bytes, lease)| {
            self.leases.lock().unwrap_or_else(PoisonError::into_inner).push(lease);
            (stored, bytes)
        }))
    }
}

/// A writer that hashes bytes, and keeps those of a manifest.
struct Through {
    check: Option<Check>,
    bytes: Option<Vec<u8>>,
}

impl Through {
    /// Whether the bytes have a digest; `sha256` is their SHA-256.
    fn is(&mut self, digest: &Digest, sha256: &Sha256Digest) -> bool {
        match self.check.take() {
            Some(check) => check.finish().is_ok(),
            None => digest.sha256() == Some(*sha256),
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

/// Records the SHA-256 of a large blob; small blobs are found by their packs.
fn note(store: &Store, added: &Added) -> Result<(), StoreError> {
    if added.size > SMALL { store.note_sha256(&[(added.sha256, added.blob)]) } else { Ok(()) }
}
