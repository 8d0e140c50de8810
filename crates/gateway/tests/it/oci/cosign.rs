//! Cosign's tags, which an image's release brings along.

use std::collections::BTreeMap;

use perennial_manifest::{ArtifactPath, Keypair, Role, SignedEntry};
use perennial_store::Store;
use serde_json::json;

use super::{Image, OCI_INDEX, OCI_MANIFEST, TestRegistry, artifact, bytes, draft, key, release};

const REPOSITORY: &str = "quay.io/a/b";

/// A release of an image as an import makes it: with its signature, whose tag only `index.json`
/// names.
fn imported(
    store: &Store,
    key: &Keypair,
    image: &Image,
    signature: &Image,
    tag: &str,
) -> SignedEntry {
    let entry = |image: &Image, name: &str| {
        json!({"mediaType": OCI_MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
               "annotations": {"org.opencontainers.image.ref.name": name}})
    };
    let manifests = [entry(image, "v1"), entry(signature, tag)];
    let index =
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).to_string();
    let mut index = artifact(store, index.as_bytes(), OCI_INDEX, Role::Index);
    index.path = ArtifactPath::parse("index.json").unwrap();
    let artifacts = [image.artifacts(store), signature.artifacts(store), vec![index]].concat();
    let tags = BTreeMap::from([(format!("{REPOSITORY}:v1"), image.digest())]);
    release(store, key, draft(REPOSITORY, "v1", artifacts, tags))
}

#[tokio::test]
async fn a_signature_that_came_with_an_image_is_pulled_by_its_tag() {
    let registry = TestRegistry::new();
    let (image, signature, forged) =
        (Image::new(bytes(5000, 1)), Image::new(bytes(50, 2)), Image::new(bytes(50, 3)));
    let tag = image.digest().replace(':', "-") + ".sig";
    let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
    // An untrusted publisher's statement about a signature does not count.
    let stranger = imported(&registry.store, &key(3), &image, &forged, &tag);
    registry.store.put_entries(&[stranger]).unwrap();
    registry.get(&path).await.refused(404, "MANIFEST_UNKNOWN");
    // All content comes from the swarm: the list, index.json, the manifest.
    let signed = imported(&registry.swarm, &key(2), &image, &signature, &tag);
    registry.store.put_entries(&[signed]).unwrap();
    registry.follow(&key(2));
    let got = registry.get(&path).await;
    assert_eq!((got.status.as_u16(), got.bytes()), (200, &signature.manifest[..]));
    assert_eq!(got.header("docker-content-digest"), signature.digest());
    let other = path.replace(".sig", ".att");
    registry.get(&other).await.refused(404, "MANIFEST_UNKNOWN");
    registry.get(&path.replace("quay.io/a/b", "quay.io/a/c")).await.refused(404, "NAME_UNKNOWN");
}
