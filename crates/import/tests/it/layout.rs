//! Images on this machine: layouts and archives, sound and hostile.

mod docker;
mod hostile;
mod oci;
mod picked;

use std::path::{Path, PathBuf};

use crate::made::Made;
use perennial_import::{Archive, ImportError, Imported, layout};
use perennial_manifest::{Artifact, ArtifactList, Draft};
use perennial_store::{OpenOptions, Store};
use serde_json::{Value, json};

/// A store, and a directory for archives.
struct Node {
    store: Store,
    dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store"), OpenOptions::default()).unwrap();
        Self { store, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn add(&self, source: &str, name: Option<&str>) -> Result<Imported, ImportError> {
        let what = Archive {
            source: source.to_owned(),
            name: name.map(str::to_owned),
            ..Archive::default()
        };
        sent(layout(&self.store, &what, &())).await
    }

    async fn one(&self, source: &str, name: Option<&str>) -> Draft {
        let mut imported = self.add(source, name).await.unwrap();
        assert_eq!(imported.failed, []);
        assert_eq!(imported.drafts.len(), 1);
        let draft = imported.drafts.remove(0);
        ArtifactList::new(draft.artifacts.clone()).unwrap();
        draft
    }

    fn bytes(&self, artifact: &Artifact) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.store.copy_out(&artifact.blake3, &mut bytes).unwrap();
        bytes
    }

    fn read(&self, draft: &Draft, path: &str) -> Vec<u8> {
        let found = draft.artifacts.iter().find(|artifact| artifact.path.as_str() == path);
        self.bytes(found.unwrap_or_else(|| panic!("{path} is not among the artifacts")))
    }
}

/// Requires a future to be `Send`, because a node runs imports on any thread.
fn sent<T: Send>(import: T) -> T {
    import
}

/// The files of a layout, by path.
type Files = Vec<(String, Vec<u8>)>;

/// The layout of some images, each with the annotations it has in `index.json`.
fn files(made: &Made, named: &[(&Value, Value)]) -> Files {
    let manifests: Vec<_> = named
        .iter()
        .map(|(descriptor, annotations)| {
            let mut descriptor = (*descriptor).clone();
            descriptor["annotations"] = annotations.clone();
            descriptor
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.into_bytes()),
    ];
    for (digest, (_, bytes)) in &made.0 {
        files.push((format!("blobs/{}", digest.replace(':', "/")), bytes.clone()));
    }
    files
}

fn write_dir(dir: &Path, files: &Files) {
    for (path, bytes) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn write_tar(path: &Path, files: &Files) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    tar.finish().unwrap();
}

fn tagged(tag: &str) -> Value {
    json!({ "org.opencontainers.image.ref.name": tag })
}
