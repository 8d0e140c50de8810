//! The blobs and lists of every release in the simulation. Blobs have ids and sizes; their bytes
//! are not simulated, only the time that they take.

use std::collections::BTreeMap;

use perennial_manifest::{ArtifactListRef, BlobId, Body, Release};

/// Every blob, with its size in bytes, and every artifact list.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) sizes: BTreeMap<BlobId, u64>,
    pub(crate) lists: BTreeMap<BlobId, Vec<(BlobId, u64)>>,
}

impl Content {
    /// Adds a release with artifacts of these sizes. Returns its blobs, the list first.
    pub(crate) fn release(
        &mut self,
        name: &str,
        version: u64,
        sizes: &[u64],
    ) -> (Body, Vec<BlobId>) {
        let blob = |what: &str| BlobId::of(format!("{name} {version} {what}").as_bytes());
        let artifacts: Vec<(BlobId, u64)> = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| (blob(&format!("artifact {n}")), *size))
            .collect();
        let list = blob("list");
        let size = 200 * artifacts.len() as u64;
        let mut blobs = vec![list];
        self.sizes.insert(list, size);
        for (blob, size) in &artifacts {
            self.sizes.insert(*blob, *size);
            blobs.push(*blob);
        }
        let purl = format!("pkg:generic/{name}@{version}").parse().expect("a sound purl");
        let count = u32::try_from(artifacts.len()).expect("few");
        let claim = ArtifactListRef { blob: list, count, bytes: sizes.iter().sum(), size };
        let release = Release::new(purl, claim);
        self.lists.insert(list, artifacts);
        (Body::Release(Box::new(release)), blobs)
    }
}
