//! Reading from the registry frontend: endpoints, names, manifests that lie.

use std::collections::BTreeMap;

use axum::http::Method;
use perennial_manifest::Role;
use serde_json::json;

use super::{
    CONSOLE, Image, OCI_INDEX, OCI_MANIFEST, TestRegistry, artifact, bytes, draft, followed, held,
    key, release, request, sha256,
};

#[tokio::test]
async fn every_reading_endpoint_answers_as_the_specification_says() {
    let registry = TestRegistry::new();
    let image = held(&registry);
    let ping = registry.ask(Method::GET, "/v2/", &[("authorization", "Bearer anonymous")]).await;
    assert_eq!((ping.status.as_u16(), ping.bytes()), (200, &b"{}"[..]));
    assert_eq!(ping.header("docker-distribution-api-version"), "registry/2.0");
    let elsewhere = registry.get("/v2").await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.header("location")), (301, "/v2/"));
    let digest = image.digest();
    for reference in ["v3.4.1", &digest, &digest.replace(':', "%3A")] {
        let path = format!("/v2/{CONSOLE}/manifests/{reference}");
        let got = registry.get(&path).await;
        assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.manifest[..]));
        assert_eq!(got.header("content-type"), OCI_MANIFEST);
        assert_eq!(got.header("docker-content-digest"), digest);
        assert_eq!(got.header("etag"), format!("\"{digest}\""));
        let head = registry.ask(Method::HEAD, &path, &[]).await;
        assert_eq!((head.status.as_u16(), head.bytes().len()), (200, 0));
        assert_eq!(head.header("content-length"), image.manifest.len().to_string());
        let etag = format!("\"{digest}\"");
        let same = registry.ask(Method::GET, &path, &[("if-none-match", &etag)]).await;
        assert_eq!((same.status.as_u16(), same.bytes().len()), (304, 0));
        let same = registry.ask(Method::HEAD, &path, &[("if-none-match", &etag)]).await;
        assert_eq!(
            (same.status.as_u16(), same.header("content-length")),
            (304, ""),
            "not that of no body"
        );
        let whole = registry.ask(Method::GET, &path, &[("range", "bytes=0-9")]).await;
        assert_eq!((whole.status.as_u16(), whole.header("accept-ranges")), (200, ""));
        let no = registry.ask(Method::GET, &path, &[("accept", OCI_INDEX)]).await;
        assert!(no.refused(404, "MANIFEST_UNKNOWN").contains("Accept"));
    }
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    let got = registry.get(&path).await;
    assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.layer[..]));
    assert_eq!(got.header("docker-content-digest"), sha256(&image.layer));
    let part = registry.ask(Method::GET, &path, &[("range", "bytes=100000-299999")]).await;
    assert_eq!((part.status.as_u16(), part.bytes()), (206, &image.layer[100_000..]));
    assert_eq!(part.header("content-range"), "bytes 100000-299999/300000");
    let past = registry.ask(Method::GET, &path, &[("range", "bytes=300000-")]).await;
    assert_eq!((past.status.as_u16(), past.header("content-range")), (416, "bytes */300000"));
    let tags = registry.get(&format!("/v2/{CONSOLE}/tags/list")).await;
    assert_eq!(tags.json(), json!({"name": CONSOLE, "tags": ["v3.4.1"]}));
    assert_eq!(registry.get("/v2/_catalog").await.json(), json!({"repositories": [CONSOLE]}));
    let missing = sha256(b"nothing");
    let unknown =
        registry.get(&format!("/v2/{CONSOLE}/blobs/{missing}")).await.refused(404, "BLOB_UNKNOWN");
    assert!(unknown.starts_with("this node knows no"), "said once, not twice: {unknown}");
    registry
        .get(&format!("/v2/{CONSOLE}/manifests/{missing}"))
        .await
        .refused(404, "MANIFEST_UNKNOWN");
    registry.get(&format!("/v2/{CONSOLE}/manifests/v9")).await.refused(404, "MANIFEST_UNKNOWN");
    registry.get("/v2/quay.io/no/such/manifests/v9").await.refused(404, "NAME_UNKNOWN");
    registry.get("/v2/quay.io/no/such/tags/list").await.refused(404, "NAME_UNKNOWN");
    registry.get(&format!("/v2/{CONSOLE}/blobs/sha256:00")).await.refused(400, "DIGEST_INVALID");
    registry.get(&format!("/v2/{CONSOLE}/blobs/md5:00")).await.refused(400, "DIGEST_INVALID");
    registry.get("/v2/x").await.refused(404, "UNSUPPORTED");
    let layer_as_manifest = format!("/v2/{CONSOLE}/manifests/{}", sha256(&image.layer));
    registry.get(&layer_as_manifest).await.refused(404, "MANIFEST_UNKNOWN");
    let hosts = registry.get("/containerd/hosts.toml").await;
    let text = String::from_utf8(hosts.bytes().to_vec()).unwrap();
    assert!(
        text.contains("[host.\"http://node.example:4480\"]") && text.contains("\"resolve\""),
        "{text}"
    );
    let mut encrypted = request(Method::GET, "/containerd/hosts.toml", &[], Vec::new());
    encrypted.extensions_mut().insert(axum::http::uri::Scheme::HTTPS);
    let text = String::from_utf8(registry.send(encrypted).await.bytes().to_vec()).unwrap();
    assert!(text.contains("[host.\"https://node.example:4480\"]"), "{text}");
}

#[tokio::test]
async fn one_image_answers_to_its_name_in_three_ways() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let (one, port, docker) =
        (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)), Image::new(bytes(10, 3)));
    one.release(&registry.store, &publisher, CONSOLE, "v1");
    port.release(&registry.store, &publisher, "127.0.0.1:5000/x/y", "v1");
    docker.release(&registry.store, &publisher, "docker.io/library/alpine", "v1");
    for (path, image) in [
        ("quay.io/kubesphere/ks-console/manifests/v1", &one),
        ("kubesphere/ks-console/manifests/v1?ns=quay.io", &one),
        ("kubesphere/ks-console/manifests/v1", &one),
        ("127.0.0.1_5000/x/y/manifests/v1", &port),
        ("x/y/manifests/v1?ns=127.0.0.1:5000", &port),
        ("x/y/manifests/v1", &port),
        ("docker.io/library/alpine/manifests/v1", &docker),
        ("docker.io/alpine/manifests/v1", &docker),
        ("library/alpine/manifests/v1?ns=docker.io", &docker),
        ("alpine/manifests/v1", &docker),
        ("library/alpine/manifests/v1", &docker),
    ] {
        let got = registry.get(&format!("/v2/{path}")).await;
        assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.manifest[..]), "{path}");
    }
    registry.get("/v2/x/y/manifests/v1?ns=quay.io").await.refused(404, "NAME_UNKNOWN");
    let catalog =
        json!({"repositories": ["127.0.0.1_5000/x/y", "docker.io/library/alpine", CONSOLE]});
    assert_eq!(registry.get("/v2/_catalog").await.json(), catalog);
    // An untrusted publisher's registry does not make a bare name ambiguous; a followed publisher's
    // does.
    one.release(&registry.store, &key(9), "evil.example/kubesphere/ks-console", "v1");
    assert_eq!(registry.get("/v2/kubesphere/ks-console/manifests/v1").await.status, 200);
    one.release(&registry.store, &publisher, "ghcr.io/kubesphere/ks-console", "v1");
    let message =
        registry.get("/v2/kubesphere/ks-console/manifests/v1").await.refused(404, "NAME_UNKNOWN");
    assert!(
        message.contains(CONSOLE) && message.contains("ghcr.io/kubesphere/ks-console"),
        "{message}"
    );
    let by_digest = format!("/v2/kubesphere/ks-console/manifests/{}", one.digest());
    assert_eq!(registry.get(&by_digest).await.status, 200, "a digest means one thing everywhere");
}

#[tokio::test]
async fn a_list_that_lies_about_a_manifest_serves_nothing() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let (good, bad) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    let mut lie = artifact(&registry.store, &bad.manifest, OCI_MANIFEST, Role::ImageManifest);
    (lie.sha256, lie.path) = {
        let good = artifact(&registry.swarm, &good.manifest, OCI_MANIFEST, Role::ImageManifest);
        (good.sha256, good.path)
    };
    let tags = BTreeMap::from([(format!("{CONSOLE}:v1"), good.digest())]);
    let signed = release(&registry.store, &publisher, draft(CONSOLE, "v1", vec![lie], tags));
    registry.store.put_entries(&[signed]).unwrap();
    let message =
        registry.get(&format!("/v2/{CONSOLE}/manifests/v1")).await.refused(404, "MANIFEST_UNKNOWN");
    assert!(message.contains("other bytes"), "{message}");
}

#[tokio::test]
async fn a_digest_is_served_in_any_repository_and_a_tag_names_the_registry_that_has_it() {
    let registry = TestRegistry::new();
    let image = held(&registry);
    let path = CONSOLE.split_once('/').expect("a registry").1;
    for name in [format!("docker.io/{path}"), path.to_owned(), "ghcr.io/no/such".to_owned()] {
        let manifest = registry.get(&format!("/v2/{name}/manifests/{}", image.digest())).await;
        assert_eq!((manifest.status.as_u16(), manifest.bytes()), (200, &image.manifest[..]));
        let blob = registry.get(&format!("/v2/{name}/blobs/{}", sha256(&image.layer))).await;
        assert_eq!((blob.status.as_u16(), blob.bytes()), (200, &image.layer[..]));
    }
    let tag = registry.get(&format!("/v2/docker.io/{path}/manifests/v3.4.1")).await;
    let message = tag.refused(404, "NAME_UNKNOWN");
    let place = format!("{CONSOLE}:v3.4.1");
    assert!(message.contains(&place) && message.contains("by digest"), "{message}");
    let other = registry.get(&format!("/v2/docker.io/{path}/manifests/v9")).await;
    assert!(!other.refused(404, "NAME_UNKNOWN").contains(CONSOLE));
    // The same where the repository is known by other tags, and never by a stranger's word.
    image.release(&registry.store, &key(9), &format!("evil.example/{path}"), "v3.4.1");
    image.release(&registry.store, &key(2), &format!("docker.io/{path}"), "v1");
    let tag = registry.get(&format!("/v2/docker.io/{path}/manifests/v3.4.1")).await;
    let message = tag.refused(404, "MANIFEST_UNKNOWN");
    assert!(message.contains(&place) && !message.contains("evil"), "{message}");
}
