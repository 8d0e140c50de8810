//! Records found and read in all packs of a store.
//!
//! No lock is held while a visitor runs, so that it may look other records up.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use perennial_manifest::{BlobId, Sha256Digest};

use super::Packs;
use super::record::{Kind, Record, Row};
use crate::error::StoreError;

impl Packs {
    /// Does something with all packs, and does it again if one of them was removed or rewritten
    /// meanwhile: what it had is in others then.
    fn steadily<T>(
        &self,
        mut work: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            let epoch = self.epoch.load(Ordering::SeqCst);
            match work() {
                Err(StoreError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound
                        && epoch != self.epoch.load(Ordering::SeqCst) => {}
                outcome => return outcome,
            }
        }
    }

    /// The length of a record's content, if it is here.
    pub(crate) fn len_of(&self, kind: Kind, key: &[u8; 32]) -> Result<Option<u32>, StoreError> {
        self.steadily(|| {
            if let Some(row) = self.active().find(kind, key) {
                return Ok(Some(row.len));
            }
            for pack in self.sealed() {
                if let Some(row) = pack.find(kind, key)? {
                    return Ok(Some(row.len));
                }
            }
            Ok(None)
        })
    }

    /// The SHA-256 of a small blob, as it was when the blob was written.
    pub(crate) fn sha256_of(&self, blob: &BlobId) -> Result<Option<Sha256Digest>, StoreError> {
        self.steadily(|| {
            if let Some(row) = self.active().find(Kind::Blob, blob.as_bytes()) {
                return Ok(Some(Sha256Digest::from_bytes(row.check)));
            }
            for pack in self.sealed() {
                if let Some(row) = pack.find(Kind::Blob, blob.as_bytes())? {
                    return Ok(Some(Sha256Digest::from_bytes(row.check)));
                }
            }
            Ok(None)
        })
    }

    /// Reads and checks a record. `Ok(None)`: it is not here. A damaged record is
    /// [`StoreError::Corrupt`].
    pub(crate) fn read(&self, kind: Kind, key: &[u8; 32]) -> Result<Option<Record>, StoreError> {
        self.steadily(|| {
            let mut damaged = None;
            {
                let active = self.active();
                match active.find(kind, key).map(|row| active.read(&row)) {
                    Some(Ok(record)) => return Ok(Some(record)),
                    Some(Err(error)) => damaged = Some(error),
                    None => {}
                }
            }
            for pack in self.sealed() {
                if let Some(row) = pack.find(kind, key)? {
                    match pack.read(&row) {
                        Ok(record) => return Ok(Some(record)),
                        // Another pack may have a good copy, after a refetch.
                        Err(error) => damaged = Some(error),
                    }
                }
            }
            damaged.map_or(Ok(None), Err)
        })
    }

    /// Keys of a kind that begin with `prefix`, ascending, about `limit` at most.
    pub(crate) fn keys_with(
        &self,
        kind: Kind,
        prefix: &[u8],
        limit: usize,
    ) -> Result<BTreeSet<[u8; 32]>, StoreError> {
        self.steadily(|| {
            let mut found = self.active().keys_with(kind, prefix).take(limit).collect();
            for pack in self.sealed() {
                pack.keys_with(kind, prefix, limit, &mut found)?;
            }
            Ok(found)
        })
    }

    /// The blob with this SHA-256.
    pub(crate) fn blob_of(&self, sha256: &Sha256Digest) -> Result<Option<BlobId>, StoreError> {
        self.steadily(|| {
            if let Some(blob) = self.active().blob_of(sha256) {
                return Ok(Some(blob));
            }
            for pack in self.sealed() {
                if let Some(blob) = pack.blob_of(sha256)? {
                    return Ok(Some(blob));
                }
            }
            Ok(None)
        })
    }

    /// Visits all records of a kind, oldest pack first, without reading their content. A pack that
    /// cannot be read keeps none of the others from being visited, and is the error at the end.
    /// Some are visited twice if a pack is removed or rewritten meanwhile.
    pub(crate) fn each(
        &self,
        kind: Kind,
        visit: &mut dyn FnMut([u8; 32], u32) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.steadily(|| {
            let mut sealed = self.sealed();
            sealed.reverse();
            let mut read = Ok(());
            for pack in sealed {
                let rows = pack.rows();
                for row in rows.iter().flatten().filter(|row| row.kind == kind) {
                    visit(row.key, row.len)?;
                }
                read = read.and(rows.map(drop));
            }
            let rows = self.active().rows();
            for row in rows.into_iter().filter(|row| row.kind == kind) {
                visit(row.key, row.len)?;
            }
            read
        })
    }

    /// Visits all small blobs: name, length, and when their pack was last written to, in Unix
    /// seconds. Records have no time of their own, so a blob is at least as old as that.
    pub(crate) fn each_blob(
        &self,
        visit: &mut dyn FnMut(BlobId, u32, u64),
    ) -> Result<(), StoreError> {
        self.steadily(|| {
            let mut visit_all = |rows: Vec<Row>, written| {
                for row in rows.into_iter().filter(|row| row.kind == Kind::Blob) {
                    visit(BlobId::from_bytes(row.key), row.len, written);
                }
            };
            for pack in self.sealed() {
                visit_all(pack.rows()?, pack.written()?);
            }
            let (rows, written) = {
                let active = self.active();
                (active.rows(), active.written()?)
            };
            visit_all(rows, written);
            Ok(())
        })
    }
}
