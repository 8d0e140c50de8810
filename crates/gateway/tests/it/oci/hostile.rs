//! Hostile clients: nothing they push is stored, signed or left behind.

use std::collections::BTreeMap;

use axum::http::Method;
use perennial_gateway::Options;
use perennial_manifest::{ArtifactListRef, BlobId, Body, Release, Role};

use super::{
    CONSOLE, Image, OCI_MANIFEST, TestRegistry, artifact, bytes, draft, held, key, release,
    request, sha256,
};

#[tokio::test]
async fn malformed_names_reach_nothing() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(5000, 1));
    let long = "a".repeat(256);
    for name in [
        "..",
        "a/..",
        "../a",
        "a/../b",
        "%2e%2e",
        "a%2f..%2fb",
        "a%00b",
        "a%0d%0ax-a:b",
        "A",
        "a//b",
        &long,
    ] {
        for (method, path) in [
            ("POST", format!("/v2/{name}/blobs/uploads/")),
            ("POST", format!("/v2/{name}/blobs/uploads/?digest={}", sha256(&image.layer))),
            ("PATCH", format!("/v2/{name}/blobs/uploads/../../x")),
            ("PUT", format!("/v2/{name}/manifests/v1")),
            ("PUT", format!("/v2/a/blobs/uploads/{name}?digest={}", sha256(&image.layer))),
            ("DELETE", format!("/v2/a/blobs/uploads/{name}")),
            ("PUT", format!("/v2/a/manifests/{name}")),
            ("POST", format!("/v2/a/blobs/uploads/?ns={name}/x")),
        ] {
            let answer = registry.own(method, &path, &[], &image.layer[..]).await;
            assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.status);
            assert!(
                answer.headers.get("location").is_none() && answer.headers.get("x-a").is_none(),
                "{path}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(registry.store.incoming()).unwrap().count(), 0);
    assert!(registry.own_entries().is_empty());
    assert!(registry.store.blob_size(&BlobId::of(&image.layer)).unwrap().is_none());
}

#[tokio::test]
async fn a_manifest_that_calls_itself_a_page_is_a_download() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(5000, 1));
    registry.push_blob("a", &image.layer).await;
    registry.push_blob("a", &image.config).await;
    for kind in ["text/html", "Text/HTML; charset=utf-8", "image/svg+xml", "application/xhtml+xml"]
    {
        let page = String::from_utf8(image.manifest.clone()).unwrap().replace(OCI_MANIFEST, kind);
        let pushed = registry
            .own("PUT", "/v2/a/manifests/v1", &[("content-type", kind)], page.as_bytes())
            .await;
        if pushed.status == 201 {
            let got = registry.get("/v2/a/manifests/v1").await;
            assert_eq!(
                (got.status.as_u16(), got.header("content-disposition")),
                (200, "attachment"),
                "{kind}"
            );
            assert_eq!(got.header("content-security-policy"), "default-src 'none'; sandbox");
        }
    }
    assert!(!registry.own_entries().is_empty(), "one at least was taken");
}

#[tokio::test]
async fn hostile_names_are_refused() {
    let registry = TestRegistry::new();
    held(&registry);
    let huge = format!("{}a", "a/".repeat(128));
    for name in ["..", "a/../b", "%2e%2e/a", "a%2fb", "A", "a//b", "-", "a%00", "%ff", &huge] {
        registry.get(&format!("/v2/{name}/manifests/v1")).await.refused(400, "NAME_INVALID");
        registry.get(&format!("/v2/{name}/tags/list")).await.refused(400, "NAME_INVALID");
        let put = registry.own("POST", &format!("/v2/{name}/blobs/uploads/"), &[], "").await;
        put.refused(400, "NAME_INVALID");
    }
    registry.get(&format!("/v2/{CONSOLE}/manifests/.v1")).await.refused(404, "MANIFEST_UNKNOWN");
    registry
        .get(&format!("/v2/{CONSOLE}/manifests/{}", "a".repeat(129)))
        .await
        .refused(404, "MANIFEST_UNKNOWN");
    registry.get("/v2/x/manifests/v1?ns=../..").await.refused(400, "NAME_INVALID");
    let mut evil = request(Method::GET, "/containerd/hosts.toml", &[], Vec::new());
    evil.headers_mut().insert("host", "a\"]x".parse().unwrap());
    assert_eq!(registry.send(evil).await.status, 400);
}

#[tokio::test]
async fn an_invalid_release_of_a_stranger_fails_no_question() {
    let registry = TestRegistry::new();
    let image = held(&registry);
    let layer = artifact(&registry.store, &image.layer, "x/y", Role::ImageLayer);
    let good = image.artifacts(&registry.store);
    let (manifest, blob) = (
        format!("/v2/{CONSOLE}/manifests/v3.4.1"),
        format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer)),
    );
    for (seed, size) in [(0, 12_345), (1, layer.size), (2, 1)] {
        // The layer as the list, with its own size and others; then the image's true list.
        let draft = draft(CONSOLE, &format!("v{seed}"), good.clone(), BTreeMap::new());
        let signed = release(&registry.store, &key(9), draft);
        let (_, body) = signed.release().unwrap();
        let blob_of_list = if seed == 2 { body.artifacts.blob } else { layer.blake3 };
        let artifacts = ArtifactListRef { blob: blob_of_list, size, ..body.artifacts };
        let body = Body::Release(Box::new(Release { artifacts, ..body.clone() }));
        let next = registry.store.feed(&key(9).id()).unwrap().next(None).unwrap();
        let entry = next.entry(key(9).id(), 1, body).sign(&key(9)).unwrap();
        registry.store.put_entries(std::slice::from_ref(&entry)).unwrap();
        for registry in [&registry, &registry.reopened(Options::default())] {
            assert_eq!(registry.get(&manifest).await.bytes(), image.manifest);
            assert!(registry.get(&blob).await.bytes() == image.layer);
            let listed = registry.get(&format!("/v2/{CONSOLE}/tags/list")).await;
            assert_eq!(listed.json()["tags"], serde_json::json!(["v3.4.1"]));
        }
        let id = entry.id();
        for path in [format!("/r/{id}"), format!("/r/{id}/x")] {
            let answer = registry.get(&path).await;
            assert_eq!(answer.status, 404, "{answer:?}");
        }
    }
}
