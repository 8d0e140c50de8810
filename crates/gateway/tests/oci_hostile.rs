//! What hostile clients push: nothing of it is stored, signed or left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod oci;

use oci::{Image, OCI_MANIFEST, World, bytes, sha256};
use perennial_manifest::BlobId;

#[tokio::test]
async fn names_that_are_no_names_reach_nothing() {
    let world = World::new();
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
            let answer = world.own(method, &path, &[], &image.layer[..]).await;
            assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.status);
            assert!(
                answer.headers.get("location").is_none() && answer.headers.get("x-a").is_none(),
                "{path}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(world.store.incoming()).unwrap().count(), 0);
    assert!(world.own_entries().is_empty());
    assert!(world.store.blob_size(&BlobId::of(&image.layer)).unwrap().is_none());
}

#[tokio::test]
async fn a_manifest_that_calls_itself_a_page_is_a_download() {
    let world = World::new();
    let image = Image::new(bytes(5000, 1));
    world.push_blob("a", &image.layer).await;
    world.push_blob("a", &image.config).await;
    for kind in ["text/html", "Text/HTML; charset=utf-8", "image/svg+xml", "application/xhtml+xml"]
    {
        let page = String::from_utf8(image.manifest.clone()).unwrap().replace(OCI_MANIFEST, kind);
        let pushed = world
            .own("PUT", "/v2/a/manifests/v1", &[("content-type", kind)], page.as_bytes())
            .await;
        if pushed.status == 201 {
            let got = world.get("/v2/a/manifests/v1").await;
            assert_eq!(
                (got.status.as_u16(), got.header("content-disposition")),
                (200, "attachment"),
                "{kind}"
            );
            assert_eq!(got.header("content-security-policy"), "default-src 'none'; sandbox");
        }
    }
    assert!(!world.own_entries().is_empty(), "one at least was taken");
}
