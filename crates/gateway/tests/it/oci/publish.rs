//! Pushing manifests: they become signed releases; deleting yanks releases and deletes no bytes.

use std::time::Duration;

use axum::http::Method;
use perennial_manifest::{ArtifactList, BlobId, Role, SignedEntry};
use perennial_store::{BlobState, GcOptions};
use serde_json::{Value, json};

use super::{
    Image, OCI_INDEX, OCI_MANIFEST, TestRegistry, begin, bytes, draft, incoming, key, push, put,
    release, sha256, sha512,
};

fn list(registry: &TestRegistry, signed: &SignedEntry) -> ArtifactList {
    registry.store.read_list(&signed.release().unwrap().1.artifacts).unwrap().unwrap()
}

/// An index of images, each with its architecture.
fn index(images: &[(&Image, &str)]) -> Vec<u8> {
    let manifests: Vec<Value> = images
        .iter()
        .map(|(image, arch)| {
            json!({"mediaType": OCI_MANIFEST, "digest": image.digest(),
                "size": image.manifest.len(),
                   "platform": {"os": "linux", "architecture": arch}})
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn a_pushed_tag_becomes_a_signed_release_of_the_whole_image() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(100_000, 1));
    let answer = push(&registry, "127.0.0.1_5000/team/app", "v1", &image).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("docker-content-digest")),
        (201, image.digest().as_str())
    );
    assert_eq!(
        answer.header("location"),
        format!("/v2/127.0.0.1_5000/team/app/manifests/{}", image.digest())
    );
    let entries = registry.own_entries();
    let (_, release) = entries[0].release().unwrap();
    assert_eq!(release.purl.as_str(), "pkg:docker/team/app@v1?repository_url=127.0.0.1:5000");
    let tags: Vec<_> =
        release.tags.iter().map(|(tag, digest)| (tag.as_str(), digest.as_str())).collect();
    assert_eq!(tags, [("127.0.0.1:5000/team/app:v1", image.digest().as_str())]);
    let list = list(&registry, &entries[0]);
    let files: Vec<_> =
        list.iter().map(|a| (a.path.as_str().to_owned(), a.role, a.media_type.clone())).collect();
    let blob = |bytes: &[u8]| format!("blobs/{}", sha256(bytes).replace(':', "/"));
    for expected in [
        (blob(&image.manifest), Role::ImageManifest, OCI_MANIFEST.to_owned()),
        (
            blob(&image.config),
            Role::ImageConfig,
            "application/vnd.oci.image.config.v1+json".to_owned(),
        ),
        (
            blob(&image.layer),
            Role::ImageLayer,
            "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        ),
        ("index.json".to_owned(), Role::Index, OCI_INDEX.to_owned()),
        (
            "oci-layout".to_owned(),
            Role::Index,
            "application/vnd.oci.layout.header.v1+json".to_owned(),
        ),
    ] {
        assert!(files.contains(&expected), "{expected:?} {files:?}");
    }
    assert_eq!(files.len(), 5);
    let read = |name: &str| -> Value {
        let artifact = list.iter().find(|a| a.path.as_str() == name).unwrap();
        let mut bytes = Vec::new();
        registry.store.copy_out(&artifact.blake3, &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    assert_eq!(read("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let manifests = json!([{
        "mediaType": OCI_MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": "v1"},
    }]);
    assert_eq!(read("index.json")["manifests"], manifests);
    for path in [
        "127.0.0.1_5000/team/app/manifests/v1",
        "team/app/manifests/v1",
        "team/app/manifests/v1?ns=127.0.0.1:5000",
    ] {
        assert_eq!(registry.get(&format!("/v2/{path}")).await.bytes(), image.manifest, "{path}");
    }
    // The same push again signs nothing new; another image does.
    assert_eq!(push(&registry, "127.0.0.1_5000/team/app", "v1", &image).await.status, 201);
    assert_eq!(registry.own_entries().len(), 1);
    let newer = Image::new(bytes(100_000, 2));
    assert_eq!(push(&registry, "127.0.0.1_5000/team/app", "v1", &newer).await.status, 201);
    assert_eq!(registry.get("/v2/team/app/manifests/v1").await.bytes(), newer.manifest);
    assert_eq!(push(&registry, "127.0.0.1_5000/team/app", "v1", &image).await.status, 201);
    assert_eq!(registry.get("/v2/team/app/manifests/v1").await.bytes(), image.manifest);
    // A name without a registry belongs to this node.
    assert_eq!(push(&registry, "mine", "v1", &image).await.status, 201);
    let entries = registry.own_entries();
    let purl = &entries.last().unwrap().release().unwrap().1.purl;
    assert_eq!(purl.as_str(), "pkg:docker/mine@v1?repository_url=localhost");
    assert_eq!(registry.get("/v2/mine/manifests/v1").await.bytes(), image.manifest);
    assert_eq!(registry.get("/v2/localhost/mine/manifests/v1").await.bytes(), image.manifest);
}

#[tokio::test]
async fn an_index_is_signed_with_all_its_images() {
    let registry = TestRegistry::new();
    let (amd, arm) = (Image::new(bytes(100_000, 1)), Image::new(bytes(100_000, 2)));
    let index = index(&[(&amd, "amd64"), (&arm, "arm64")]);
    assert_eq!(push(&registry, "a", &amd.digest(), &amd).await.status, 201);
    let missing =
        put(&registry, "a", "v1", &index, OCI_INDEX).await.refused(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(missing.contains(&arm.digest()), "{missing}");
    assert_eq!(push(&registry, "a", &arm.digest(), &arm).await.status, 201);
    assert!(registry.own_entries().is_empty(), "a digest alone is no release");
    let by_digest = registry.get(&format!("/v2/a/manifests/{}", amd.digest())).await;
    assert_eq!(
        (by_digest.bytes(), by_digest.header("content-type")),
        (&amd.manifest[..], OCI_MANIFEST)
    );
    // An image that waits for its tag is not collected.
    registry.store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    assert_eq!(put(&registry, "a", "v1", &index, OCI_INDEX).await.status, 201);
    let list = list(&registry, &registry.own_entries()[0]);
    assert_eq!(
        list.len(),
        9,
        "index, two times manifest, config and layer, two files of the layout"
    );
    let of = |arch: &str| {
        list.iter().filter(|a| a.platform.as_ref().is_some_and(|p| p.arch == arch)).count()
    };
    assert_eq!((of("amd64"), of("arm64")), (3, 3), "each image's manifest, config and layer");
    for artifact in list.iter() {
        assert!(registry.store.blob_size(&artifact.blake3).unwrap().is_some(), "{}", artifact.path);
    }
}

#[tokio::test]
async fn manifests_that_break_a_rule_are_refused_and_sign_nothing() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(5000, 1));
    let message = put(&registry, "a", "v1", &image.manifest, OCI_MANIFEST)
        .await
        .refused(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(message.contains(&sha256(&image.config)), "{message}");
    assert_eq!(
        registry.store.blob_state(&BlobId::of(&image.manifest)).unwrap(),
        BlobState::Missing
    );
    registry.push_blob("a", &image.layer).await;
    registry.push_blob("a", &image.config).await;
    put(&registry, "a", &sha256(b"x"), &image.manifest, OCI_MANIFEST)
        .await
        .refused(400, "DIGEST_INVALID");
    put(&registry, "a", "sha256:00", &image.manifest, OCI_MANIFEST)
        .await
        .refused(400, "DIGEST_INVALID");
    put(&registry, "a", "v1", &image.manifest, OCI_INDEX).await.refused(400, "MANIFEST_INVALID");
    put(&registry, "a", ".v1", &image.manifest, OCI_MANIFEST)
        .await
        .refused(400, "MANIFEST_INVALID");
    put(&registry, "a", "v1", b"{}", OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    put(&registry, "a", "v1", b"\xff", OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    put(&registry, "a", "v1", &vec![b' '; (4 << 20) + 1], OCI_MANIFEST)
        .await
        .refused(413, "SIZE_INVALID");
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let lie = text.replace(":5000", ":5001").into_bytes();
    put(&registry, "a", "v1", &lie, OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    let bad = text.replace("sha256:", "sha256:../").into_bytes();
    put(&registry, "a", "v1", &bad, OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    let both = text.replace(r#""layers":"#, r#""manifests":[],"layers":"#);
    let refused = put(&registry, "a", "v1", both.as_bytes(), OCI_MANIFEST).await;
    let message = refused.refused(400, "MANIFEST_INVALID");
    assert!(message.contains("an index and a manifest at once"), "{message}");
    // Its bytes make it an OCI manifest, whatever type the client declares.
    let mut undeclared: Value = serde_json::from_slice(&image.manifest).unwrap();
    undeclared.as_object_mut().unwrap().remove("mediaType");
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    put(&registry, "a", "v1", undeclared.to_string().as_bytes(), docker)
        .await
        .refused(400, "MANIFEST_INVALID");
    assert!(registry.own_entries().is_empty());
    assert_eq!(put(&registry, "a", "v1", &image.manifest, OCI_MANIFEST).await.status, 201);
}

#[tokio::test]
async fn a_referrer_is_signed_by_its_digest_and_listed() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(5000, 1));
    push(&registry, "a", "v1", &image).await;
    registry.push_blob("a", b"{}").await;
    let signature = image.signature();
    for _ in 0..2 {
        let answer = put(&registry, "a", &sha256(&signature), &signature, OCI_MANIFEST).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("oci-subject")),
            (201, image.digest().as_str())
        );
    }
    let entries = registry.own_entries();
    assert_eq!(entries.len(), 2);
    let release = entries[1].release().unwrap().1;
    assert_eq!(
        (release.purl.version(), release.tags.len()),
        (Some(sha256(&signature).as_str()), 0)
    );
    let listed = registry.get(&format!("/v2/a/referrers/{}", image.digest())).await.json();
    assert_eq!(listed["manifests"][0]["digest"], sha256(&signature));
    let got = registry.get(&format!("/v2/a/manifests/{}", sha256(&signature))).await;
    assert_eq!(got.bytes(), signature);
}

#[tokio::test]
async fn sha512_names_blobs_and_manifests_as_well() {
    let registry = TestRegistry::new();
    let mut image = Image::new(bytes(5000, 1));
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    image.manifest = text.replace(&sha256(&image.layer), &sha512(&image.layer)).into_bytes();
    let digest = sha512(&image.layer);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(registry.own("POST", &path, &[], &image.layer[..]).await.status, 201);
    registry.push_blob("a", &image.config).await;
    assert_eq!(put(&registry, "a", "v1", &image.manifest, OCI_MANIFEST).await.status, 201);
    let list = list(&registry, &registry.own_entries()[0]);
    assert!(list.iter().any(|a| a.path.as_str() == format!("blobs/{}", digest.replace(':', "/"))));
    let got = registry.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(
        (got.bytes(), got.header("docker-content-digest")),
        (&image.layer[..], digest.as_str())
    );
    let by = sha512(&image.manifest);
    assert_eq!(put(&registry, "a", &by, &image.manifest, OCI_MANIFEST).await.status, 201);
    assert_eq!(registry.get(&format!("/v2/a/manifests/{by}")).await.bytes(), image.manifest);
}

#[tokio::test]
async fn an_index_may_name_what_is_no_manifest() {
    let registry = TestRegistry::new();
    let layer = bytes(5000, 3);
    let strange = br#"{"a":"document of a type that no one here knows"}"#;
    let mut children = Vec::new();
    for (kind, bytes) in [
        ("application/vnd.oci.image.layer.v1.tar+gzip", &layer[..]),
        ("application/vnd.buildkit.cacheconfig.v0", b"{\"layers\":[]}"),
        ("application/vnd.example.strange.v1+json", strange),
    ] {
        registry.push_blob("c/x", bytes).await;
        children.push(json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()}));
    }
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
    let index = index.to_string().into_bytes();
    assert_eq!(put(&registry, "c/x", "cache", &index, OCI_INDEX).await.status, 201);
    assert_eq!(registry.get("/v2/c/x/manifests/cache").await.bytes(), index);
    let got = registry.get(&format!("/v2/c/x/blobs/{}", sha256(strange))).await;
    assert_eq!(got.bytes(), strange);
    let list = list(&registry, &registry.own_entries()[0]);
    assert_eq!(list.len(), 6, "index, its three children, two files of the layout");
}

#[tokio::test]
async fn a_push_by_digest_may_ask_for_tags() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(5000, 1));
    registry.push_blob("a", &image.layer).await;
    registry.push_blob("a", &image.config).await;
    for digest in [image.digest(), sha512(&image.manifest)] {
        let (one, two) = (format!("{}-1", &digest[..6]), format!("{}.2", &digest[..6]));
        let reference = format!("{digest}?tag={one}&tag={two}&tag={one}");
        let answer = put(&registry, "a", &reference, &image.manifest, OCI_MANIFEST).await;
        assert_eq!(answer.status, 201);
        let tags: Vec<_> = answer.headers.get_all("oci-tag").iter().collect();
        assert_eq!(tags, [one.as_str(), two.as_str()]);
        assert_eq!(answer.header("docker-content-digest"), digest);
        for tag in [&one, &two] {
            let got = registry.get(&format!("/v2/a/manifests/{tag}")).await;
            assert_eq!(got.bytes(), image.manifest);
            assert_eq!(got.header("docker-content-digest"), digest, "as it was pushed");
        }
    }
    assert_eq!(registry.own_entries().len(), 4, "a release for each tag");
    // Each is deleted alone.
    let path = "/v2/a/manifests/sha256-1";
    assert_eq!(registry.own("DELETE", path, &[], "").await.status, 202);
    assert_eq!(registry.get("/v2/a/manifests/sha256.2").await.status, 200);
    // A push without any has no such header; one that cannot be a tag signs nothing.
    let plain = put(&registry, "a", &image.digest(), &image.manifest, OCI_MANIFEST).await;
    assert_eq!((plain.status.as_u16(), plain.header("oci-tag")), (201, ""));
    for wrong in ["-x", "", "a/b", &image.digest()] {
        let reference = format!("{}?tag=fine&tag={wrong}", image.digest());
        let answer = put(&registry, "a", &reference, &image.manifest, OCI_MANIFEST).await;
        answer.refused(400, "MANIFEST_INVALID");
    }
    let many: String = (0..65).map(|at| format!("&tag=t{at}")).collect();
    let reference = format!("{}?{many}", image.digest());
    put(&registry, "a", &reference, &image.manifest, OCI_MANIFEST)
        .await
        .refused(414, "MANIFEST_INVALID");
    registry.get("/v2/a/manifests/fine").await.refused(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn deleting_signs_a_withdrawal_and_destroys_nothing() {
    let registry = TestRegistry::new();
    let (one, two) = (Image::new(bytes(5000, 1)), Image::new(bytes(5000, 2)));
    push(&registry, "a", "v1", &one).await;
    push(&registry, "a", "v1", &two).await;
    push(&registry, "a", "v2", &two).await;
    assert_eq!(registry.own("DELETE", "/v2/a/manifests/v1", &[], "").await.status, 202);
    registry.get("/v2/a/manifests/v1").await.refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(registry.get("/v2/a/tags/list").await.json()["tags"], json!(["v2"]));
    for image in [&one, &two] {
        assert_eq!(
            registry.get(&format!("/v2/a/manifests/{}", image.digest())).await.bytes(),
            image.manifest
        );
    }
    registry.own("DELETE", "/v2/a/manifests/v1", &[], "").await.refused(404, "MANIFEST_UNKNOWN");
    let by_digest = format!("/v2/a/manifests/{}", two.digest());
    assert_eq!(registry.own("DELETE", &by_digest, &[], "").await.status, 202);
    registry.get("/v2/a/manifests/v2").await.refused(404, "MANIFEST_UNKNOWN");
    registry.get(&by_digest).await.refused(404, "MANIFEST_UNKNOWN");
    let blob = format!("/v2/a/blobs/{}", sha256(&two.layer));
    registry.own("DELETE", &blob, &[], "").await.refused(405, "UNSUPPORTED");
    assert!(registry.get(&blob).await.bytes() == two.layer);
    // A deleted tag can be pushed again.
    assert_eq!(push(&registry, "a", "v1", &one).await.status, 201);
    assert_eq!(registry.get("/v2/a/manifests/v1").await.bytes(), one.manifest);
    // A release with two tags is not yanked for one of them.
    let tags = ["both", "latest"].map(|tag| (format!("localhost/two:{tag}"), one.digest()));
    let signed = release(
        &registry.store,
        &key(1),
        draft("localhost/two", "both", one.artifacts(&registry.store), tags.into()),
    );
    registry.store.put_entries(&[signed]).unwrap();
    let message =
        registry.own("DELETE", "/v2/two/manifests/both", &[], "").await.refused(409, "DENIED");
    assert!(message.contains("latest"), "{message}");
    assert_eq!(registry.get("/v2/two/manifests/latest").await.bytes(), one.manifest);
    // Only its publisher can yank a release.
    registry.follow(&key(2));
    one.release(&registry.store, &key(2), "quay.io/x/y", "v1");
    registry
        .own("DELETE", "/v2/quay.io/x/y/manifests/v1", &[], "")
        .await
        .refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(registry.get("/v2/quay.io/x/y/manifests/v1").await.status, 200);
    registry.own("DELETE", "/v2/no/such/manifests/v1", &[], "").await.refused(404, "NAME_UNKNOWN");
    for (method, path, allow) in [
        ("POST", "/v2/a/manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("PUT", "/v2/a/tags/list", "GET, HEAD"),
        ("DELETE", blob.as_str(), "GET, HEAD"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("POST", "/v2/a/blobs/uploads/00", "GET, HEAD, PATCH, PUT, DELETE"),
        ("POST", "/v2/", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
    ] {
        let answer = registry.own(method, path, &[], "").await;
        answer.refused(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        let asked = registry.ask(Method::OPTIONS, path, &[]).await;
        assert_eq!((asked.status.as_u16(), asked.header("allow")), (200, allow), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_push_at_once() {
    let registry = TestRegistry::new();
    let images: Vec<Image> = (0..8).map(|seed| Image::new(bytes(200_000, seed))).collect();
    let pushes = images.iter().enumerate().map(|(at, image)| {
        let registry = &registry;
        async move {
            let name = format!("team/app{}", at % 2);
            let digest = sha256(&image.layer);
            let location = begin(registry, &name).await;
            for piece in image.layer.chunks(30_000) {
                assert_eq!(registry.own("PATCH", &location, &[], piece).await.status, 202);
            }
            assert_eq!(
                registry.own("PUT", &format!("{location}?digest={digest}"), &[], "").await.status,
                201
            );
            registry.push_blob(&name, &image.config).await;
            let answer =
                put(registry, &name, &format!("v{at}"), &image.manifest, OCI_MANIFEST).await;
            assert_eq!(answer.status, 201, "{:?}", answer.body);
        }
    });
    futures::future::join_all(pushes).await;
    for (at, image) in images.iter().enumerate() {
        let path = format!("/v2/team/app{}/manifests/v{at}", at % 2);
        assert_eq!(registry.get(&path).await.bytes(), image.manifest, "{path}");
    }
    assert_eq!(incoming(&registry), 0);
}
