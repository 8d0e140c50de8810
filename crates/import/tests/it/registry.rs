//! Images from a registry: successes, failures, and the secrets sent along.

mod certificates;
mod lists;
mod odd;
mod pulls;
mod refusals;
mod transfers;

use perennial_import::{
    Failed, Images, ImportError, Imported, Options, Progress, Watch, all_tags, images,
};
use perennial_manifest::{Artifact, ArtifactList, Body, Draft, Keypair, Release};
use perennial_store::{OpenOptions, Store};

pub(crate) use self::transfers::gzip;

/// A store in a temporary directory.
struct Node {
    store: Store,
    dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), OpenOptions::default()).unwrap();
        Self { store, dir }
    }

    async fn add(&self, what: &Images) -> Result<Imported, ImportError> {
        self.add_as(what, true).await
    }

    async fn add_as(&self, what: &Images, allow_private: bool) -> Result<Imported, ImportError> {
        let options = Options { allow_private, plain_http: true, ..Options::default() };
        sent(images(&self.store, &options, what, &Nobody)).await
    }

    /// Signs a release as the first of a key's log, as a node does after an import.
    fn sign(&self, seed: [u8; 32], draft: &Draft) {
        let (encoded, artifacts) =
            ArtifactList::new(draft.artifacts.clone()).unwrap().encode().unwrap();
        self.store.add_small(vec![encoded]).unwrap();
        let release =
            Release { tags: draft.tags.clone(), ..Release::new(draft.purl.clone(), artifacts) };
        let key = Keypair::from_seed(seed);
        let place = self.store.feed(&key.id()).unwrap().next(None).unwrap();
        let entry = place.entry(key.id(), 1_750_000_000, Body::Release(Box::new(release)));
        self.store.put_entries(&[entry.sign(&key).unwrap()]).unwrap();
    }

    async fn one(&self, reference: &str) -> Imported {
        self.add(&named(&[reference])).await.unwrap()
    }

    fn bytes(&self, artifact: &Artifact) -> Vec<u8> {
        let mut bytes = Vec::new();
        let sha256 = self.store.copy_out(&artifact.blake3, &mut bytes).unwrap();
        assert_eq!((sha256, bytes.len() as u64), (artifact.sha256, artifact.size));
        bytes
    }

    /// Files of unfinished transfers.
    fn arriving(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.store.incoming()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Requires a future to be `Send`, because a node runs imports on any thread.
fn sent<T: Send>(import: T) -> T {
    import
}

struct Nobody;

impl Watch for Nobody {
    fn progress(&self, progress: &Progress) {
        assert!(progress.total_bytes.is_none_or(|total| progress.bytes <= total));
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// The images of all tags of a repository.
async fn tags(repository: &str) -> Result<(Vec<String>, Vec<Failed>), ImportError> {
    let options = Options { allow_private: true, plain_http: true, ..Options::default() };
    sent(all_tags(&options, repository, None, &Nobody)).await
}

fn named(references: &[&str]) -> Images {
    let references = references.iter().map(|text| (*text).to_owned()).collect();
    Images { references, ..Images::default() }
}

/// The only draft, which must be valid for signing.
fn only(imported: &Imported) -> &Draft {
    assert_eq!(imported.failed, []);
    assert_eq!(imported.drafts.len(), 1);
    let draft = &imported.drafts[0];
    ArtifactList::new(draft.artifacts.clone()).unwrap();
    draft
}

fn at<'a>(draft: &'a Draft, path: &str) -> &'a Artifact {
    let found = draft.artifacts.iter().find(|artifact| artifact.path.as_str() == path);
    found.unwrap_or_else(|| panic!("{path} is not among the artifacts"))
}

/// The artifact of a blob, by digest.
fn blob<'a>(draft: &'a Draft, digest: &str) -> &'a Artifact {
    at(draft, &format!("blobs/{}", digest.replace(':', "/")))
}
