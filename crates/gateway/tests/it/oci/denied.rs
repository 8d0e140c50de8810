//! Images that the owner denied: by package, by publisher, by digest.

use std::time::Duration;

use perennial_manifest::DenyTarget;
use perennial_store::GcOptions;
use serde_json::json;

use super::{CONSOLE, Image, TestRegistry, bytes, followed};

#[tokio::test]
async fn a_denied_image_answers_451_by_tag_and_by_digest_and_is_listed_nowhere() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let image = Image::new(bytes(300_000, 7));
    let signed = image.release(&registry.store, &publisher, CONSOLE, "v1");
    let purl = signed.release().unwrap().1.purl.clone();
    let catalog = registry.get("/v2/_catalog").await.json();
    assert_eq!(catalog["repositories"].as_array().unwrap().len(), 1);
    let layer = super::sha256(&image.layer);
    let paths = [
        format!("/v2/{CONSOLE}/manifests/v1"),
        format!("/v2/{CONSOLE}/manifests/{}", image.digest()),
        format!("/v2/{CONSOLE}/blobs/{layer}"),
        format!("/v2/{CONSOLE}/tags/list"),
    ];
    for target in [DenyTarget::from(purl), publisher.id().into()] {
        registry.store.deny(target.clone(), "malware in it".into()).unwrap();
        for path in &paths {
            let message = registry.get(path).await.refused(451, "DENIED");
            assert!(message.contains("malware in it"), "{target} {path}: {message}");
        }
        assert_eq!(registry.get("/v2/_catalog").await.json()["repositories"], json!([]));
        registry.store.undeny(&target).unwrap();
        for path in &paths {
            assert_eq!(registry.get(path).await.status, 200, "{target} {path}");
        }
    }
    registry.store.deny(layer.parse().unwrap(), "a court order".into()).unwrap();
    let message = registry.get(&paths[2]).await.refused(451, "DENIED");
    assert!(message.contains("a court order"), "{message}");
    assert_eq!(registry.get(&paths[0]).await.status, 200, "only the layer is denied");
}

#[tokio::test]
async fn of_two_publishers_of_a_tag_the_one_that_is_not_denied_counts() {
    let registry = TestRegistry::new();
    let (two, three) = (followed(&registry, 2), followed(&registry, 3));
    let (a, b) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    a.release(&registry.store, &two, CONSOLE, "v1");
    b.release(&registry.store, &three, CONSOLE, "v1");
    let path = format!("/v2/{CONSOLE}/manifests/v1");
    registry.get(&path).await.refused(409, "DENIED");
    registry.store.deny(two.id().into(), String::new()).unwrap();
    assert_eq!(registry.get(&path).await.bytes(), b.manifest);
}

#[tokio::test]
async fn what_only_a_denied_release_lists_answers_451_when_it_is_not_held() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let image = Image::new(bytes(300_000, 7));
    image.release(&registry.store, &publisher, CONSOLE, "v1");
    registry.store.deny(publisher.id().into(), "malware in it".into()).unwrap();
    registry.store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    let layer = super::sha256(&image.layer);
    assert!(registry.store.blob_of_sha256(&layer.parse().unwrap()).unwrap().is_none(), "it went");
    for path in [
        format!("/v2/{CONSOLE}/manifests/v1"),
        format!("/v2/{CONSOLE}/manifests/{}", image.digest()),
        format!("/v2/{CONSOLE}/blobs/{layer}"),
    ] {
        let message = registry.get(&path).await.refused(451, "DENIED");
        assert!(message.contains("malware in it"), "{path}: {message}");
    }
}
