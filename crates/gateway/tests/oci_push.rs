//! Pushing to the registry face: uploads, manifests that become signed releases, deletion that destroys nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod oci;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Method;
use oci::{
    Answer, Image, OCI_INDEX, OCI_MANIFEST, TOKEN, World, bytes, key, request, sha256, sha512,
};
use perennial_gateway::Options;
use perennial_manifest::{ArtifactList, BlobId, Role, SignedEntry};
use perennial_store::{BlobState, GcOptions};
use serde_json::{Value, json};

async fn push(world: &World, name: &str, reference: &str, image: &Image) -> Answer {
    world.push_blob(name, &image.layer).await;
    world.push_blob(name, &image.config).await;
    put(world, name, reference, &image.manifest, OCI_MANIFEST).await
}

async fn put(world: &World, name: &str, reference: &str, manifest: &[u8], kind: &str) -> Answer {
    world
        .own(
            "PUT",
            &format!("/v2/{name}/manifests/{reference}"),
            &[("content-type", kind)],
            manifest,
        )
        .await
}

async fn begin(world: &World, name: &str) -> String {
    let answer = world.own("POST", &format!("/v2/{name}/blobs/uploads/"), &[], "").await;
    assert_eq!(answer.status, 202);
    answer.header("location").to_owned()
}

fn incoming(world: &World) -> usize {
    std::fs::read_dir(world.store.incoming()).unwrap().count()
}

fn list(world: &World, signed: &SignedEntry) -> ArtifactList {
    world.store.read_list(&signed.release().unwrap().1.artifacts).unwrap().unwrap()
}

/// An index of images for these architectures.
fn index(images: &[(&Image, &str)]) -> Vec<u8> {
    let manifests: Vec<Value> = images
        .iter()
        .map(|(image, arch)| {
            json!({"mediaType": OCI_MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
                   "platform": {"os": "linux", "architecture": arch}})
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn only_the_owner_changes_anything() {
    let world = World::new();
    let image = Image::new(bytes(10, 1));
    assert_eq!(push(&world, "a", "v1", &image).await.status, 201);
    let paths = [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("PATCH", "/v2/a/blobs/uploads/00".to_owned()),
        ("GET", "/v2/a/blobs/uploads/00".to_owned()),
        ("PUT", "/v2/a/manifests/v1".to_owned()),
        ("DELETE", "/v2/a/manifests/v1".to_owned()),
    ];
    let closed = World::with(Options::default());
    for (method, path) in &paths {
        let method: Method = method.parse().unwrap();
        for headers in
            [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic Og==")]]
        {
            let answer = world.ask(method.clone(), path, headers).await;
            answer.refused(401, "UNAUTHORIZED");
            assert!(
                answer
                    .header("www-authenticate")
                    .starts_with("Bearer realm=\"http://node.example:4480/")
            );
        }
        let message = closed.own(method.as_str(), path, &[], "").await.refused(405, "UNSUPPORTED");
        assert!(message.contains("token"), "{message}");
    }
    assert_eq!(world.own_entries().len(), 1);
    assert_eq!(closed.get("/v2/").await.header("www-authenticate"), "");
    // the password of any user is the token
    let basic = format!("Basic {}", base64(&format!("me:{TOKEN}")));
    let answer =
        world.ask(Method::POST, "/v2/a/blobs/uploads/", &[("authorization", &basic)]).await;
    assert_eq!(answer.status, 202);
    assert_eq!(incoming(&world), 1);
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn blobs_come_whole_or_in_chunks_in_order() {
    let world = World::new();
    let blob = bytes(100_000, 1);
    let digest = sha256(&blob);
    let whole =
        world.own("POST", &format!("/v2/a/b/blobs/uploads/?digest={digest}"), &[], &blob[..]).await;
    assert_eq!(
        (whole.status.as_u16(), whole.header("docker-content-digest")),
        (201, digest.as_str())
    );
    assert_eq!(whole.header("location"), format!("/v2/a/b/blobs/{digest}"));
    assert!(world.get(whole.header("location")).await.bytes() == blob);

    let blob = bytes(100_000, 2);
    let digest = sha256(&blob);
    let at = begin(&world, "a/b").await;
    assert!(at.starts_with("/v2/a/b/blobs/uploads/"), "{at}");
    let first = world.own("PATCH", &at, &[("content-range", "0-39999")], &blob[..40_000]).await;
    assert_eq!((first.status.as_u16(), first.header("range")), (202, "0-39999"));
    assert_eq!(first.header("location"), at);
    for (range, piece) in [
        ("50000-59999", &blob[50_000..60_000]),
        ("0-39999", &blob[..40_000]),
        ("39999-49998", &blob[39_999..49_999]),
        ("40000-39999", &blob[..0]),
        ("x-y", &blob[..1]),
        ("99999999999999999999999-999999999999999999999999", &blob[..1]),
    ] {
        let wrong = world.own("PATCH", &at, &[("content-range", range)], piece).await;
        wrong.refused(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(
            (wrong.header("range"), wrong.header("location")),
            ("0-39999", at.as_str()),
            "{range}"
        );
    }
    let short = [("content-range", "40000-49999"), ("content-length", "5")];
    world.own("PATCH", &at, &short, &blob[..5]).await.refused(416, "BLOB_UPLOAD_INVALID");
    let status = world.own("GET", &at, &[], "").await;
    assert_eq!((status.status.as_u16(), status.header("range")), (204, "0-39999"));
    let second = world.own("PATCH", &at, &[], &blob[40_000..90_000]).await;
    assert_eq!((second.status.as_u16(), second.header("range")), (202, "0-89999"));
    let end = format!("{at}?digest={digest}");
    let done = world.own("PUT", &end, &[("content-range", "90000-99999")], &blob[90_000..]).await;
    assert_eq!(
        (done.status.as_u16(), done.header("docker-content-digest")),
        (201, digest.as_str())
    );
    assert!(world.get(&format!("/v2/a/b/blobs/{digest}")).await.bytes() == blob);
    let named = world.store.blob_of_sha256(&digest.parse().unwrap()).unwrap();
    assert_eq!(named, Some(BlobId::of(&blob)), "what was counted here is known as such");
    world.own("GET", &at, &[], "").await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(incoming(&world), 0);
}

#[tokio::test]
async fn what_does_not_have_its_digest_is_not_stored() {
    let world = World::new();
    let blob = bytes(100_000, 1);
    for wrong in [sha256(b"other"), sha512(b"other")] {
        let whole = world
            .own("POST", &format!("/v2/a/blobs/uploads/?digest={wrong}"), &[], &blob[..])
            .await;
        whole.refused(400, "DIGEST_INVALID");
        let at = begin(&world, "a").await;
        world
            .own("PUT", &format!("{at}?digest={wrong}"), &[], &blob[..])
            .await
            .refused(400, "DIGEST_INVALID");
        world
            .own("PUT", &format!("{at}?digest={wrong}"), &[], "")
            .await
            .refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert_eq!(world.store.blob_state(&BlobId::of(&blob)).unwrap(), BlobState::Missing);
    assert_eq!(incoming(&world), 0);
    let at = begin(&world, "a").await;
    for query in ["", "?digest=", "?digest=md5:00", "?digest=sha256:zz"] {
        world
            .own("PUT", &format!("{at}{query}"), &[], &blob[..])
            .await
            .refused(400, "DIGEST_INVALID");
    }
    world
        .own("PATCH", &at.replace("/a/", "/b/"), &[], "x")
        .await
        .refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(world.own("DELETE", &at, &[], "").await.status, 204);
    world.own("PATCH", &at, &[], "x").await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(incoming(&world), 0);
    world.store.set_denied(BlobId::of(&blob), Some("no".into())).unwrap();
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(&blob));
    world.own("POST", &path, &[], &blob[..]).await.refused(451, "DENIED");
    assert_eq!(incoming(&world), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_can_be_gone_on_with() {
    let world = World::new();
    let blob = bytes(100_000, 1);
    let at = begin(&world, "a").await;
    let pieces = [Ok(Bytes::from(blob[..60_000].to_vec())), Err(std::io::Error::other("gone"))];
    let mut cut =
        request(Method::PATCH, &at, &[("authorization", &format!("Bearer {TOKEN}"))], Vec::new());
    *cut.body_mut() = Body::from_stream(futures::stream::iter(pieces));
    world.send(cut).await.refused(400, "BLOB_UPLOAD_INVALID");
    let status = world.own("GET", &at, &[], "").await;
    assert_eq!(status.header("range"), "0-59999");
    let digest = sha256(&blob);
    let done = world.own("PUT", &format!("{at}?digest={digest}"), &[], &blob[60_000..]).await;
    assert_eq!(done.status, 201, "{:?}", done.body);
    assert!(world.get(&format!("/v2/a/blobs/{digest}")).await.bytes() == blob);
    // nobody knows where to go on with one that was to be whole
    let mut whole = request(
        Method::POST,
        &format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x")),
        &[("authorization", &format!("Bearer {TOKEN}"))],
        Vec::new(),
    );
    *whole.body_mut() =
        Body::from_stream(futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]));
    world.send(whole).await.refused(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(incoming(&world), 0);
}

#[tokio::test]
async fn a_tag_that_is_pushed_is_a_signed_release_of_the_whole_image() {
    let world = World::new();
    let image = Image::new(bytes(100_000, 1));
    let answer = push(&world, "127.0.0.1_5000/team/app", "v1", &image).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("docker-content-digest")),
        (201, image.digest().as_str())
    );
    assert_eq!(
        answer.header("location"),
        format!("/v2/127.0.0.1_5000/team/app/manifests/{}", image.digest())
    );
    let entries = world.own_entries();
    let (_, release) = entries[0].release().unwrap();
    assert_eq!(release.purl.as_str(), "pkg:docker/team/app@v1?repository_url=127.0.0.1:5000");
    let tags: Vec<_> =
        release.tags.iter().map(|(tag, digest)| (tag.as_str(), digest.as_str())).collect();
    assert_eq!(tags, [("127.0.0.1:5000/team/app:v1", image.digest().as_str())]);
    let list = list(&world, &entries[0]);
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
        world.store.copy_out(&artifact.blake3, &mut bytes).unwrap();
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
        assert_eq!(world.get(&format!("/v2/{path}")).await.bytes(), image.manifest, "{path}");
    }
    // the same again says nothing new, another image does
    assert_eq!(push(&world, "127.0.0.1_5000/team/app", "v1", &image).await.status, 201);
    assert_eq!(world.own_entries().len(), 1);
    let newer = Image::new(bytes(100_000, 2));
    assert_eq!(push(&world, "127.0.0.1_5000/team/app", "v1", &newer).await.status, 201);
    assert_eq!(world.get("/v2/team/app/manifests/v1").await.bytes(), newer.manifest);
    assert_eq!(push(&world, "127.0.0.1_5000/team/app", "v1", &image).await.status, 201);
    assert_eq!(world.get("/v2/team/app/manifests/v1").await.bytes(), image.manifest);
    // a name without a registry is nobody else's
    assert_eq!(push(&world, "mine", "v1", &image).await.status, 201);
    let entries = world.own_entries();
    let purl = &entries.last().unwrap().release().unwrap().1.purl;
    assert_eq!(purl.as_str(), "pkg:docker/mine@v1?repository_url=localhost");
    assert_eq!(world.get("/v2/mine/manifests/v1").await.bytes(), image.manifest);
    assert_eq!(world.get("/v2/localhost/mine/manifests/v1").await.bytes(), image.manifest);
}

#[tokio::test]
async fn an_index_is_signed_with_all_its_images() {
    let world = World::new();
    let (amd, arm) = (Image::new(bytes(100_000, 1)), Image::new(bytes(100_000, 2)));
    let index = index(&[(&amd, "amd64"), (&arm, "arm64")]);
    assert_eq!(push(&world, "a", &amd.digest(), &amd).await.status, 201);
    let missing =
        put(&world, "a", "v1", &index, OCI_INDEX).await.refused(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(missing.contains(&arm.digest()), "{missing}");
    assert_eq!(push(&world, "a", &arm.digest(), &arm).await.status, 201);
    assert!(world.own_entries().is_empty(), "a digest alone is no release");
    let by_digest = world.get(&format!("/v2/a/manifests/{}", amd.digest())).await;
    assert_eq!(
        (by_digest.bytes(), by_digest.header("content-type")),
        (&amd.manifest[..], OCI_MANIFEST)
    );
    // what waits for its tag is not collected
    world.store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    assert_eq!(put(&world, "a", "v1", &index, OCI_INDEX).await.status, 201);
    let list = list(&world, &world.own_entries()[0]);
    assert_eq!(
        list.len(),
        9,
        "index, two times manifest, config and layer, two files of the layout"
    );
    let platforms: Vec<_> =
        list.iter().filter_map(|a| a.platform.clone()).map(|p| p.arch).collect();
    assert_eq!(platforms.len(), 2);
    for artifact in list.iter() {
        assert!(world.store.blob_size(&artifact.blake3).unwrap().is_some(), "{}", artifact.path);
    }
}

#[tokio::test]
async fn manifests_that_break_a_rule_are_refused_and_sign_nothing() {
    let world = World::new();
    let image = Image::new(bytes(5000, 1));
    let message = put(&world, "a", "v1", &image.manifest, OCI_MANIFEST)
        .await
        .refused(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(message.contains(&sha256(&image.config)), "{message}");
    assert_eq!(world.store.blob_state(&BlobId::of(&image.manifest)).unwrap(), BlobState::Missing);
    world.push_blob("a", &image.layer).await;
    world.push_blob("a", &image.config).await;
    put(&world, "a", &sha256(b"x"), &image.manifest, OCI_MANIFEST)
        .await
        .refused(400, "DIGEST_INVALID");
    put(&world, "a", "sha256:00", &image.manifest, OCI_MANIFEST)
        .await
        .refused(400, "DIGEST_INVALID");
    put(&world, "a", "v1", &image.manifest, OCI_INDEX).await.refused(400, "MANIFEST_INVALID");
    put(&world, "a", ".v1", &image.manifest, OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    put(&world, "a", "v1", b"{}", OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    put(&world, "a", "v1", b"\xff", OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    put(&world, "a", "v1", &vec![b' '; (4 << 20) + 1], OCI_MANIFEST)
        .await
        .refused(413, "SIZE_INVALID");
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let lie = text.replace(":5000", ":5001").into_bytes();
    put(&world, "a", "v1", &lie, OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    let bad = text.replace("sha256:", "sha256:../").into_bytes();
    put(&world, "a", "v1", &bad, OCI_MANIFEST).await.refused(400, "MANIFEST_INVALID");
    assert!(world.own_entries().is_empty());
    assert_eq!(put(&world, "a", "v1", &image.manifest, OCI_MANIFEST).await.status, 201);
}

#[tokio::test]
async fn a_referrer_is_signed_by_its_digest_and_listed() {
    let world = World::new();
    let image = Image::new(bytes(5000, 1));
    push(&world, "a", "v1", &image).await;
    world.push_blob("a", b"{}").await;
    let signature = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "x/signature",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2},
        "layers": [], "subject": {"mediaType": OCI_MANIFEST, "digest": image.digest(), "size": image.manifest.len()},
    });
    let signature = signature.to_string().into_bytes();
    for _ in 0..2 {
        let answer = put(&world, "a", &sha256(&signature), &signature, OCI_MANIFEST).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("oci-subject")),
            (201, image.digest().as_str())
        );
    }
    let entries = world.own_entries();
    assert_eq!(entries.len(), 2);
    let release = entries[1].release().unwrap().1;
    assert_eq!(
        (release.purl.version(), release.tags.len()),
        (Some(sha256(&signature).as_str()), 0)
    );
    let listed = world.get(&format!("/v2/a/referrers/{}", image.digest())).await.json();
    assert_eq!(listed["manifests"][0]["digest"], sha256(&signature));
    let got = world.get(&format!("/v2/a/manifests/{}", sha256(&signature))).await;
    assert_eq!(got.bytes(), signature);
}

#[tokio::test]
async fn sha512_names_blobs_and_manifests_as_well() {
    let world = World::new();
    let mut image = Image::new(bytes(5000, 1));
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    image.manifest = text.replace(&sha256(&image.layer), &sha512(&image.layer)).into_bytes();
    let digest = sha512(&image.layer);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(world.own("POST", &path, &[], &image.layer[..]).await.status, 201);
    world.push_blob("a", &image.config).await;
    assert_eq!(put(&world, "a", "v1", &image.manifest, OCI_MANIFEST).await.status, 201);
    let list = list(&world, &world.own_entries()[0]);
    assert!(list.iter().any(|a| a.path.as_str() == format!("blobs/{}", digest.replace(':', "/"))));
    let got = world.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(
        (got.bytes(), got.header("docker-content-digest")),
        (&image.layer[..], digest.as_str())
    );
    let by = sha512(&image.manifest);
    assert_eq!(put(&world, "a", &by, &image.manifest, OCI_MANIFEST).await.status, 201);
    assert_eq!(world.get(&format!("/v2/a/manifests/{by}")).await.bytes(), image.manifest);
}

#[tokio::test]
async fn a_blob_that_is_here_is_mounted_and_one_that_is_not_is_uploaded() {
    let world = World::new();
    let digest = world.push_blob("a", b"a blob").await;
    let mounted =
        world.own("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], "").await;
    assert_eq!(
        (mounted.status.as_u16(), mounted.header("location")),
        (201, format!("/v2/b/blobs/{digest}").as_str())
    );
    let other = world
        .own("POST", &format!("/v2/b/blobs/uploads/?mount={}&from=a", sha256(b"x")), &[], "")
        .await;
    assert_eq!(other.status, 202);
    assert!(other.header("location").contains("/v2/b/blobs/uploads/"));
    let other = world.own("POST", "/v2/b/blobs/uploads/?mount=x", &[], "").await;
    assert_eq!(other.status, 202, "what cannot be mounted is uploaded");
    // a repository exists once something is in it, and content has no other
    assert_eq!(world.get(mounted.header("location")).await.bytes(), b"a blob");
    world.get(&format!("/v2/c/blobs/{digest}")).await.refused(404, "BLOB_UNKNOWN");
    // known is not held: whoever pushes is told to send it
    let image = Image::new(bytes(5000, 1));
    let signed = image.release(&world.swarm, &key(2), "quay.io/a/b", "v1");
    let list = signed.release().unwrap().1.artifacts.blob;
    world.store.put_entries(&[signed]).unwrap();
    oci::copy(&world.swarm, &world.store, &list).unwrap();
    let layer = sha256(&image.layer);
    world.own("HEAD", &format!("/v2/quay.io/a/b/blobs/{layer}"), &[], "").await;
    let head = world.own("HEAD", &format!("/v2/quay.io/a/b/blobs/{layer}"), &[], "").await;
    assert_eq!(head.status, 404);
    let mount =
        world.own("POST", &format!("/v2/b/blobs/uploads/?mount={layer}&from=a"), &[], "").await;
    assert_eq!(mount.status, 202);
}

#[tokio::test]
async fn deleting_takes_back_what_was_signed_and_destroys_nothing() {
    let world = World::new();
    let (one, two) = (Image::new(bytes(5000, 1)), Image::new(bytes(5000, 2)));
    push(&world, "a", "v1", &one).await;
    push(&world, "a", "v1", &two).await;
    push(&world, "a", "v2", &two).await;
    assert_eq!(world.own("DELETE", "/v2/a/manifests/v1", &[], "").await.status, 202);
    world.get("/v2/a/manifests/v1").await.refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(world.get("/v2/a/tags/list").await.json()["tags"], json!(["v2"]));
    for image in [&one, &two] {
        assert_eq!(
            world.get(&format!("/v2/a/manifests/{}", image.digest())).await.bytes(),
            image.manifest
        );
    }
    world.own("DELETE", "/v2/a/manifests/v1", &[], "").await.refused(404, "MANIFEST_UNKNOWN");
    let by_digest = format!("/v2/a/manifests/{}", two.digest());
    assert_eq!(world.own("DELETE", &by_digest, &[], "").await.status, 202);
    world.get("/v2/a/manifests/v2").await.refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(world.get(&by_digest).await.bytes(), two.manifest);
    let blob = format!("/v2/a/blobs/{}", sha256(&two.layer));
    world.own("DELETE", &blob, &[], "").await.refused(405, "UNSUPPORTED");
    assert!(world.get(&blob).await.bytes() == two.layer);
    // a tag that was deleted can be pushed again
    assert_eq!(push(&world, "a", "v1", &one).await.status, 201);
    assert_eq!(world.get("/v2/a/manifests/v1").await.bytes(), one.manifest);
    // a release with two tags is not taken back for one of them
    let tags = ["both", "latest"].map(|tag| (format!("localhost/two:{tag}"), one.digest()));
    let signed = oci::release(
        &world.store,
        &key(1),
        oci::draft("localhost/two", "both", one.artifacts(&world.store), tags.into()),
    );
    world.store.put_entries(&[signed]).unwrap();
    let message =
        world.own("DELETE", "/v2/two/manifests/both", &[], "").await.refused(409, "DENIED");
    assert!(message.contains("latest"), "{message}");
    assert_eq!(world.get("/v2/two/manifests/latest").await.bytes(), one.manifest);
    // what others signed is theirs
    world.follow(&key(2));
    one.release(&world.store, &key(2), "quay.io/x/y", "v1");
    world
        .own("DELETE", "/v2/quay.io/x/y/manifests/v1", &[], "")
        .await
        .refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(world.get("/v2/quay.io/x/y/manifests/v1").await.status, 200);
    world.own("DELETE", "/v2/no/such/manifests/v1", &[], "").await.refused(404, "NAME_UNKNOWN");
    for (method, path, allow) in [
        ("POST", "/v2/a/manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("PUT", "/v2/a/tags/list", "GET, HEAD"),
        ("DELETE", blob.as_str(), "GET, HEAD"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("POST", "/v2/a/blobs/uploads/00", "GET, HEAD, PATCH, PUT, DELETE"),
        ("POST", "/v2/", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
    ] {
        let answer = world.own(method, path, &[], "").await;
        answer.refused(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        let asked = world.ask(Method::OPTIONS, path, &[]).await;
        assert_eq!((asked.status.as_u16(), asked.header("allow")), (200, allow), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_push_at_once() {
    let world = World::new();
    let images: Vec<Image> = (0..8).map(|seed| Image::new(bytes(200_000, seed))).collect();
    let pushes = images.iter().enumerate().map(|(at, image)| {
        let world = &world;
        async move {
            let name = format!("team/app{}", at % 2);
            let digest = sha256(&image.layer);
            let location = begin(world, &name).await;
            for piece in image.layer.chunks(30_000) {
                assert_eq!(world.own("PATCH", &location, &[], piece).await.status, 202);
            }
            assert_eq!(
                world.own("PUT", &format!("{location}?digest={digest}"), &[], "").await.status,
                201
            );
            world.push_blob(&name, &image.config).await;
            let answer = put(world, &name, &format!("v{at}"), &image.manifest, OCI_MANIFEST).await;
            assert_eq!(answer.status, 201, "{:?}", answer.body);
        }
    });
    futures::future::join_all(pushes).await;
    for (at, image) in images.iter().enumerate() {
        let path = format!("/v2/team/app{}/manifests/v{at}", at % 2);
        assert_eq!(world.get(&path).await.bytes(), image.manifest, "{path}");
    }
    assert_eq!(incoming(&world), 0);
}
