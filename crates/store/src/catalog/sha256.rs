//! Large blobs by SHA-256. Small ones are found in their packs, which hash them when they are
//! stored.
//!
//! Separates digests that this node computed (`L`) from those that a list claims (`C`): a claim
//! must be hashed before it is believed. A rebuild recovers both, from the outboards and from the
//! lists that are here.

use perennial_manifest::{Artifact, BlobId};

use super::Catalog;
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::large::SMALL;
use crate::rows;

impl Catalog<'_> {
    /// A large blob by the SHA-256 that was computed when it was added.
    pub(crate) fn large_of(&self, sha256: &[u8; 32]) -> Result<Option<BlobId>, StoreError> {
        let value = self.index.get(&rows::large_sha256(sha256))?;
        Ok(value.and_then(|value| value.try_into().ok()).map(BlobId::from_bytes))
    }

    /// A held blob for which a signed list claims this SHA-256.
    pub(crate) fn claimed(&self, sha256: &[u8; 32]) -> Result<Option<BlobId>, StoreError> {
        let prefix = rows::claimed_sha256(sha256, &[]);
        let mut claimed = Vec::new();
        self.index.walk(&prefix, &prefix, &mut |key, _| {
            claimed.extend(
                key.get(33..65).and_then(|bytes| bytes.try_into().ok()).map(BlobId::from_bytes),
            );
            true
        })?;
        for blob in claimed {
            if self.blobs.has(&blob)? {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    }

    /// Notes the SHA-256 that a list states for a held large blob, unless it is noted already: as a
    /// fact if this node computed it, as a claim otherwise.
    pub(super) fn claim(
        &self,
        artifact: &Artifact,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let sha256 = artifact.sha256.as_bytes();
        if artifact.size <= SMALL || self.large_of(sha256)? == Some(artifact.blake3) {
            return Ok(());
        }
        // The batch that added the blob wrote down the digest that it computed.
        let info = self.blobs.large().info(&artifact.blake3)?;
        if info.and_then(|info| info.sha256) == Some(artifact.sha256) {
            changes.push(noted(sha256, &artifact.blake3));
            return Ok(());
        }
        let key = rows::claimed_sha256(sha256, artifact.blake3.as_bytes());
        if self.index.get(&key)?.is_none() {
            changes.push(Change::Put(key, Vec::new()));
        }
        Ok(())
    }

    pub(crate) fn note_large(&self, pairs: &[([u8; 32], BlobId)]) -> Result<(), StoreError> {
        let changes: Vec<Change> = pairs.iter().map(|(sha256, blob)| noted(sha256, blob)).collect();
        if changes.is_empty() { Ok(()) } else { self.index.apply(&changes) }
    }
}

fn noted(sha256: &[u8; 32], blob: &BlobId) -> Change {
    Change::Put(rows::large_sha256(sha256), blob.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use perennial_manifest::{ArtifactPath, Body, Keypair, Purl, Release, Role, Sha256Digest};

    use crate::{OpenOptions, Store};

    /// One write of the index holds the entry and the digests that adding its blobs computed; what
    /// the list says beyond them stays a claim.
    #[test]
    fn digests_computed_by_an_add_are_recorded_with_the_entry() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), OpenOptions::default()).unwrap();
        let mut batch = store.batch();
        let (one, two) = (
            batch.add_bytes(vec![1; 100_000]).unwrap(),
            batch.add_bytes(vec![2; 100_000]).unwrap(),
        );
        let lie = Sha256Digest::from_bytes([7; 32]);
        let path = |name| ArtifactPath::parse(name).unwrap();
        let mut artifacts = vec![one.artifact(path("one"), Role::Binary, "a/b")];
        artifacts.push(two.artifact(path("two"), Role::Binary, "a/b"));
        artifacts[1].sha256 = lie;
        let list = perennial_manifest::ArtifactList::new(artifacts).unwrap();
        let (encoded, claim) = list.encode().unwrap();
        batch.add_bytes(encoded).unwrap();
        let _lease = batch.commit().unwrap();
        let key = Keypair::from_seed([1; 32]);
        let release = Release::new(Purl::generic("a", "1").unwrap(), claim);
        let place = store.feed(&key.id()).unwrap().next(None).unwrap();
        let entry = place.entry(key.id(), 1, Body::Release(Box::new(release)));
        store.put_entries(&[entry.sign(&key).unwrap()]).unwrap();
        let computed = |sha256: &Sha256Digest| {
            store.inner().read(|catalog| catalog.large_of(sha256.as_bytes())).unwrap()
        };
        assert_eq!(computed(&one.sha256), Some(one.blob));
        assert_eq!((computed(&two.sha256), computed(&lie)), (None, None));
        assert_eq!(store.blob_of_sha256(&lie).unwrap(), Some(two.blob), "a claim");
    }
}
