//! Large blobs by SHA-256. Small ones are found in their packs, which hash them when they are
//! stored.
//!
//! Owns the digests that this node computed (`L`), which a rebuild recovers from the outboards. The
//! digests that lists claim are kept by release (`search`, `D`), and never stand here: anyone can
//! sign a list.

use perennial_manifest::BlobId;

use super::Catalog;
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::rows;

impl Catalog<'_> {
    /// A large blob by the SHA-256 that was computed when it was added.
    pub(crate) fn large_of(&self, sha256: &[u8; 32]) -> Result<Option<BlobId>, StoreError> {
        let value = self.index.get(&rows::large_sha256(sha256))?;
        Ok(value.and_then(|value| value.try_into().ok()).map(BlobId::from_bytes))
    }

    /// Notes the SHA-256 that this node computed for a held large blob, unless it is noted already.
    pub(super) fn note_hashed(
        &self,
        blob: &BlobId,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        // Whoever wrote the blob wrote down the digest that it computed on the way.
        let info = self.blobs.large().info(blob)?;
        if let Some(sha256) = info.and_then(|info| info.sha256)
            && self.large_of(sha256.as_bytes())? != Some(*blob)
        {
            changes.push(noted(sha256.as_bytes(), blob));
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
    /// the list says beyond them counts for nothing.
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
        assert_eq!((computed(&two.sha256), computed(&lie)), (Some(two.blob), None));
        assert_eq!(store.blob_of_sha256(&lie).unwrap(), None);
        assert!(store.refutes(&lie, &two.blob).unwrap());
        assert!(!store.refutes(&lie, &perennial_manifest::BlobId::of(b"unknown")).unwrap());
    }
}
