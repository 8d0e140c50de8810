//! Deleting manifests by their digest: gone from that repository at once, with their tags.

use axum::http::Method;
use perennial_gateway::Options;
use serde_json::json;

use super::{Image, OCI_INDEX, OCI_MANIFEST, TestRegistry, bytes, push, put, sha256};

async fn head(registry: &TestRegistry, name: &str, reference: &str) -> u16 {
    let path = format!("/v2/{name}/manifests/{reference}");
    registry.ask(Method::HEAD, &path, &[]).await.status.as_u16()
}

async fn delete(registry: &TestRegistry, name: &str, reference: &str) -> u16 {
    let path = format!("/v2/{name}/manifests/{reference}");
    registry.own("DELETE", &path, &[], "").await.status.as_u16()
}

#[tokio::test]
async fn a_deleted_digest_is_gone_from_its_repository_with_its_tags_and_from_no_other() {
    let registry = TestRegistry::new();
    let (old, image) = (Image::new(bytes(5000, 1)), Image::new(bytes(5000, 2)));
    push(&registry, "a", "v1", &old).await;
    for tag in ["v1", "v2"] {
        push(&registry, "a", tag, &image).await;
        push(&registry, "b", tag, &image).await;
    }
    let digest = image.digest();
    assert_eq!(delete(&registry, "a", &digest).await, 202);
    for reference in ["v1", "v2", &digest] {
        assert_eq!(head(&registry, "a", reference).await, 404, "{reference}");
        assert_eq!(head(&registry, "localhost/a", reference).await, 404, "{reference}");
        assert_eq!(head(&registry, "b", reference).await, 200, "{reference}");
    }
    assert_eq!(registry.get("/v2/a/tags/list").await.json()["tags"], json!([]));
    assert_eq!(head(&registry, "quay.io/else/where", &digest).await, 200);
    assert_eq!(head(&registry, "a", &old.digest()).await, 200, "it was not deleted");
    assert_eq!(delete(&registry, "a", &digest).await, 404, "twice");
    let blob = registry.get(&format!("/v2/a/blobs/{}", sha256(&image.layer))).await;
    assert_eq!(blob.status, 200, "the bytes stay");
    // The deletion is signed: another gateway on the same store, as after a restart, knows it.
    let again = registry.reopened(Options::default());
    assert_eq!(head(&again, "a", &digest).await, 404);
    assert_eq!(head(&again, "b", &digest).await, 200);
    // Pushed again, by its digest or by a tag, it is there again.
    push(&registry, "a", &digest, &image).await;
    assert_eq!(head(&registry, "a", &digest).await, 200);
    assert_eq!(head(&registry, "a", "v1").await, 404);
    push(&registry, "a", "v3", &image).await;
    assert_eq!((head(&registry, "a", "v3").await, head(&registry, "a", &digest).await), (200, 200));
}

#[tokio::test]
async fn a_manifest_without_a_tag_is_deleted_as_well() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(5000, 1));
    let digest = image.digest();
    push(&registry, "a", &digest, &image).await;
    assert_eq!(head(&registry, "a", &digest).await, 200);
    assert_eq!(delete(&registry, "a", &digest).await, 202);
    assert_eq!(head(&registry, "a", &digest).await, 404);
    assert_eq!(delete(&registry, "a", &digest).await, 404);
    push(&registry, "a", &digest, &image).await;
    assert_eq!(head(&registry, "a", &digest).await, 200);
}

#[tokio::test]
async fn an_image_of_an_index_is_deleted_after_the_index() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(5000, 1));
    push(&registry, "a", "amd64", &image).await;
    let child = json!({"mediaType": OCI_MANIFEST, "digest": image.digest(),
        "size": image.manifest.len()});
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]});
    let index = index.to_string().into_bytes();
    assert_eq!(put(&registry, "a", "v1", &index, OCI_INDEX).await.status, 201);
    let path = format!("/v2/a/manifests/{}", image.digest());
    let message = registry.own("DELETE", &path, &[], "").await.refused(409, "DENIED");
    assert!(message.contains("part of another image"), "{message}");
    assert_eq!(head(&registry, "a", &image.digest()).await, 200);
    assert_eq!(head(&registry, "a", "amd64").await, 200);
    assert_eq!(delete(&registry, "a", &sha256(&index)).await, 202);
    assert_eq!(head(&registry, "a", "v1").await, 404);
    assert_eq!(head(&registry, "a", &image.digest()).await, 200);
    assert_eq!(delete(&registry, "a", &image.digest()).await, 202);
    assert_eq!(head(&registry, "a", &image.digest()).await, 404);
    assert_eq!(head(&registry, "a", "amd64").await, 404);
    // An index pushed again brings its image back, or it could not be pulled.
    assert_eq!(put(&registry, "a", "v1", &index, OCI_INDEX).await.status, 201);
    assert_eq!(head(&registry, "a", &image.digest()).await, 200);
}

#[tokio::test]
async fn a_deleted_referrer_is_listed_no_longer() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(5000, 1));
    push(&registry, "a", "v1", &image).await;
    registry.push_blob("a", b"{}").await;
    let signature = image.signature();
    let digest = sha256(&signature);
    assert_eq!(put(&registry, "a", &digest, &signature, OCI_MANIFEST).await.status, 201);
    let listed = format!("/v2/a/referrers/{}", image.digest());
    assert_eq!(registry.get(&listed).await.json()["manifests"][0]["digest"], digest);
    assert_eq!(delete(&registry, "a", &digest).await, 202);
    assert_eq!(registry.get(&listed).await.json()["manifests"], json!([]));
    assert_eq!(head(&registry, "a", &digest).await, 404);
}
