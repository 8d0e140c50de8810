//! Images as container engines take them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use perennial_manifest::{Artifact, ArtifactPath, Draft, Platform, ReleaseId, Role};
use perennial_oci::{Digest, IMAGE_NAME, LayoutFile, OCI_INDEX, OCI_MANIFEST, REF_NAME};
use perennial_operation::ErrorKind;
use serde_json::{Value, json};

use super::Machine;
use crate::archive::{ArchiveError, ExportError, Image, PublishOptions};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const NAME: &str = "quay.io/team/app:v1";

/// The files of an image, in a store.
struct Made<'a>(&'a Machine, Vec<Artifact>);

impl Made<'_> {
    fn put(&mut self, media_type: &str, role: Role, bytes: impl Into<Vec<u8>>) -> Value {
        let bytes = bytes.into();
        let digest = Digest::sha256_of(&bytes);
        let descriptor =
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()});
        self.file(&digest.path(), media_type, role, bytes);
        descriptor
    }

    fn file(&mut self, path: &str, media_type: &str, role: Role, bytes: Vec<u8>) {
        let mut batch = self.0.store().batch();
        let added = batch.add_bytes(bytes).unwrap();
        batch.commit().unwrap();
        let path = ArtifactPath::parse(path).unwrap();
        if !self.1.iter().any(|artifact| artifact.path == path) {
            self.1.push(added.artifact(path, role, media_type));
        }
    }

    /// An image of a layer of its own and one that all images share.
    fn image(&mut self, arch: &str) -> Value {
        let config = json!({"os": "linux", "architecture": arch}).to_string();
        let config = self.put(CONFIG, Role::ImageConfig, config);
        let layers = [
            self.put(LAYER, Role::ImageLayer, vec![7; 70_000]),
            self.put(LAYER, Role::ImageLayer, arch.repeat(1000)),
        ];
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers,
        });
        let mut image = self.put(OCI_MANIFEST, Role::ImageManifest, manifest.to_string());
        image["platform"] = json!({"os": "linux", "architecture": arch});
        image
    }
}

/// Signs an image of two platforms, with a signature of it.
async fn released(machine: &Machine) -> (ReleaseId, Value, Vec<Value>) {
    let mut made = Made(machine, Vec::new());
    let images = vec![made.image("arm64"), made.image("amd64")];
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": images});
    let mut root = made.put(OCI_INDEX, Role::ImageIndex, index.to_string());
    let digest = root["digest"].as_str().unwrap().to_owned();
    root["annotations"] = json!({REF_NAME: "v1"});
    let mut signature = made.put(OCI_MANIFEST, Role::Signature, "{}");
    signature["annotations"] = json!({REF_NAME: "sha256-00.sig"});
    let layout = json!({"schemaVersion": 2, "manifests": [root, signature]});
    made.file("index.json", OCI_INDEX, Role::Index, layout.to_string().into_bytes());
    made.file("oci-layout", "application/json", Role::Index, LayoutFile::header().bytes);
    let draft = Draft {
        purl: "pkg:docker/team/app@v1?repository_url=quay.io".parse().unwrap(),
        license: None,
        artifacts: made.1,
        from: "test".into(),
        tags: BTreeMap::from([(NAME.to_owned(), digest)]),
        observations: Vec::new(),
        notes: None,
    };
    let published = machine.archive.publish(draft, PublishOptions::default()).await.unwrap();
    (published.release, root, images)
}

async fn image(machine: &Machine, release: ReleaseId, platform: Option<&str>) -> Image {
    let fetched = machine.archive.fetch(release, &()).await.unwrap();
    let platform: Option<Platform> = platform.map(|text| text.parse().unwrap());
    machine.archive.image(&fetched, platform).await.unwrap().unwrap()
}

fn read(dir: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap()
}

fn path(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().parse::<Digest>().unwrap().path()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_has_full_names_and_dockers_list() {
    let machine = Machine::new(1);
    let (release, root, images) = released(&machine).await;
    let image = image(&machine, release, None).await;
    assert_eq!((&image.names[..], image.for_docker), (&[NAME.to_owned()][..], true));
    assert_eq!(image.digest.to_string(), root["digest"]);
    let out = machine.dir.path().join("out");
    for _ in 0..2 {
        let exported = machine.archive.export(image.list.clone(), out.clone(), false, Arc::new(()));
        exported.await.unwrap();
    }
    let index = read(&out, "index.json");
    assert_eq!(index["manifests"][0]["annotations"], json!({REF_NAME: "v1", IMAGE_NAME: NAME}));
    assert_eq!(index["manifests"][1]["annotations"], json!({REF_NAME: "sha256-00.sig"}));
    assert_eq!(read(&out, "oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let docker = read(&out, "manifest.json");
    assert_eq!(docker[0]["RepoTags"], json!([NAME]));
    // docker has one platform: this machine's, where the image has it.
    let arch = if cfg!(target_arch = "x86_64") { 1 } else { 0 };
    let manifest = read(&out, &path(&images[arch]));
    assert_eq!(docker[0]["Config"], path(&manifest["config"]));
    let layers: Vec<String> = manifest["layers"].as_array().unwrap().iter().map(path).collect();
    assert_eq!(docker[0]["Layers"], json!(layers));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_holds_the_same_files_and_is_replaced_only_by_force() {
    let machine = Machine::new(1);
    let (release, ..) = released(&machine).await;
    let image = image(&machine, release, None).await;
    let file = machine.dir.path().join("app.tar");
    let save =
        |force: bool| machine.archive.save(image.list.clone(), file.clone(), force, Arc::new(()));
    save(false).await.unwrap();
    let first = std::fs::read(&file).unwrap();
    save(false).await.unwrap();
    assert!(std::fs::read(&file).unwrap() == first, "the same bytes");
    let mut archive = tar::Archive::new(&first[..]);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        if let Some(artifact) = image.list.iter().find(|a| a.path.as_str() == name) {
            assert_eq!(perennial_manifest::BlobId::of(&bytes), artifact.blake3, "{name}");
            names.push(name);
        }
    }
    assert_eq!(names.len(), image.list.len());
    assert!(names[..3].iter().all(|name| !name.starts_with("blobs/")), "{names:?}");
    std::fs::write(&file, b"mine").unwrap();
    let refused = save(false).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Export(ExportError::Exists { .. })), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    save(true).await.unwrap();
    assert!(std::fs::read(&file).unwrap() == first);
    let left = std::fs::read_dir(machine.dir.path()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".perennial")
    });
    assert_eq!(left.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_platform_is_fetched_and_written_alone() {
    let origin = Machine::new(1);
    let (release, _, images) = released(&origin).await;
    let machine = Machine::new(2);
    machine.learn(&origin);
    let platform: Platform = "linux/arm64".parse().unwrap();
    let fetched = machine.archive.fetch_platform(release, &platform, &()).await.unwrap();
    let image = machine.archive.image(&fetched, Some(platform)).await.unwrap().unwrap();
    assert_eq!(image.digest.to_string(), images[0]["digest"]);
    let out = machine.dir.path().join("out");
    machine.archive.export(image.list.clone(), out.clone(), false, Arc::new(())).await.unwrap();
    let index = read(&out, "index.json");
    assert_eq!(index["manifests"][0]["digest"], images[0]["digest"]);
    assert_eq!(index["manifests"][0]["platform"], json!({"os": "linux", "architecture": "arm64"}));
    assert_eq!(index["manifests"][0]["annotations"][IMAGE_NAME], NAME);
    let blobs = std::fs::read_dir(out.join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 4, "manifest, config, two layers");
    let other = Digest::sha256_of("amd64".repeat(1000).as_bytes()).sha256().unwrap();
    assert_eq!(machine.store().blob_of_sha256(&other).unwrap(), None, "it was not fetched");
    let none = "linux/riscv64".parse().unwrap();
    let refused = machine.archive.fetch_platform(release, &none, &()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.to_string().contains("linux/amd64, linux/arm64"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_files_has_no_platform() {
    let machine = Machine::new(1);
    let added = machine.add("pkg:generic/thing@1", &[("readme", b"read me")]).await;
    let fetched = machine.archive.fetch(added.release, &()).await.unwrap();
    assert!(machine.archive.image(&fetched, None).await.unwrap().is_none());
    let platform: Platform = "linux/arm64".parse().unwrap();
    let refused = machine.archive.image(&fetched, Some(platform.clone())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
    let refused = machine.archive.fetch_platform(added.release, &platform, &()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
}
