//! Pulling from the registry face: endpoints, names, policy, bytes from here and from the swarm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod oci;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::http::Method;
use futures::StreamExt;
use oci::{
    Image, OCI_INDEX, OCI_MANIFEST, World, artifact, bytes, draft, file_of, key, release, request,
    sha256,
};
use perennial_gateway::Options;
use perennial_manifest::{BlobId, Keypair, ReleaseId, Role};
use serde_json::json;
use tower::ServiceExt;

const CONSOLE: &str = "quay.io/kubesphere/ks-console";

fn followed(world: &World, seed: u8) -> Keypair {
    let key = key(seed);
    world.follow(&key);
    key
}

/// An image that a followed publisher released, with its bytes here.
fn held(world: &World) -> Image {
    let image = Image::new(bytes(300_000, 7));
    image.release(&world.store, &followed(world, 2), CONSOLE, "v3.4.1");
    image
}

#[tokio::test]
async fn every_reading_endpoint_answers_as_the_specification_says() {
    let world = World::new();
    let image = held(&world);
    let ping = world.ask(Method::GET, "/v2/", &[("authorization", "Bearer anonymous")]).await;
    assert_eq!((ping.status.as_u16(), ping.bytes()), (200, &b"{}"[..]));
    assert_eq!(ping.header("docker-distribution-api-version"), "registry/2.0");
    let elsewhere = world.get("/v2").await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.header("location")), (301, "/v2/"));
    let digest = image.digest();
    for reference in ["v3.4.1", &digest, &digest.replace(':', "%3A")] {
        let path = format!("/v2/{CONSOLE}/manifests/{reference}");
        let got = world.get(&path).await;
        assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.manifest[..]));
        assert_eq!(got.header("content-type"), OCI_MANIFEST);
        assert_eq!(got.header("docker-content-digest"), digest);
        assert_eq!(got.header("etag"), format!("\"{digest}\""));
        let head = world.ask(Method::HEAD, &path, &[]).await;
        assert_eq!((head.status.as_u16(), head.bytes().len()), (200, 0));
        assert_eq!(head.header("content-length"), image.manifest.len().to_string());
        let etag = format!("\"{digest}\"");
        let same = world.ask(Method::GET, &path, &[("if-none-match", &etag)]).await;
        assert_eq!((same.status.as_u16(), same.bytes().len()), (304, 0));
        let same = world.ask(Method::HEAD, &path, &[("if-none-match", &etag)]).await;
        assert_eq!(
            (same.status.as_u16(), same.header("content-length")),
            (304, ""),
            "not that of no body"
        );
        let whole = world.ask(Method::GET, &path, &[("range", "bytes=0-9")]).await;
        assert_eq!((whole.status.as_u16(), whole.header("accept-ranges")), (200, ""));
        let no = world.ask(Method::GET, &path, &[("accept", OCI_INDEX)]).await;
        assert!(no.refused(404, "MANIFEST_UNKNOWN").contains("Accept"));
    }
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    let got = world.get(&path).await;
    assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.layer[..]));
    assert_eq!(got.header("docker-content-digest"), sha256(&image.layer));
    let part = world.ask(Method::GET, &path, &[("range", "bytes=100000-299999")]).await;
    assert_eq!((part.status.as_u16(), part.bytes()), (206, &image.layer[100_000..]));
    assert_eq!(part.header("content-range"), "bytes 100000-299999/300000");
    let past = world.ask(Method::GET, &path, &[("range", "bytes=300000-")]).await;
    assert_eq!((past.status.as_u16(), past.header("content-range")), (416, "bytes */300000"));
    let tags = world.get(&format!("/v2/{CONSOLE}/tags/list")).await;
    assert_eq!(tags.json(), json!({"name": CONSOLE, "tags": ["v3.4.1"]}));
    assert_eq!(world.get("/v2/_catalog").await.json(), json!({"repositories": [CONSOLE]}));
    let missing = sha256(b"nothing");
    let unknown =
        world.get(&format!("/v2/{CONSOLE}/blobs/{missing}")).await.refused(404, "BLOB_UNKNOWN");
    assert!(unknown.starts_with("unknown"), "{unknown}");
    world.get(&format!("/v2/{CONSOLE}/manifests/{missing}")).await.refused(404, "MANIFEST_UNKNOWN");
    world.get(&format!("/v2/{CONSOLE}/manifests/v9")).await.refused(404, "MANIFEST_UNKNOWN");
    world.get("/v2/quay.io/no/such/manifests/v9").await.refused(404, "NAME_UNKNOWN");
    world.get("/v2/quay.io/no/such/tags/list").await.refused(404, "NAME_UNKNOWN");
    world.get(&format!("/v2/{CONSOLE}/blobs/sha256:00")).await.refused(400, "DIGEST_INVALID");
    world.get(&format!("/v2/{CONSOLE}/blobs/md5:00")).await.refused(400, "DIGEST_INVALID");
    world.get("/v2/x").await.refused(404, "UNSUPPORTED");
    let layer_as_manifest = format!("/v2/{CONSOLE}/manifests/{}", sha256(&image.layer));
    world.get(&layer_as_manifest).await.refused(404, "MANIFEST_UNKNOWN");
    let hosts = world.get("/containerd/hosts.toml").await;
    let text = String::from_utf8(hosts.bytes().to_vec()).unwrap();
    assert!(
        text.contains("[host.\"http://node.example:4480\"]") && text.contains("\"resolve\""),
        "{text}"
    );
    let mut encrypted = request(Method::GET, "/containerd/hosts.toml", &[], Vec::new());
    encrypted.extensions_mut().insert(axum::http::uri::Scheme::HTTPS);
    let text = String::from_utf8(world.send(encrypted).await.bytes().to_vec()).unwrap();
    assert!(text.contains("[host.\"https://node.example:4480\"]"), "{text}");
}

#[tokio::test]
async fn one_image_answers_to_its_name_in_three_ways() {
    let world = World::new();
    let publisher = followed(&world, 2);
    let (one, port, docker) =
        (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)), Image::new(bytes(10, 3)));
    one.release(&world.store, &publisher, CONSOLE, "v1");
    port.release(&world.store, &publisher, "127.0.0.1:5000/x/y", "v1");
    docker.release(&world.store, &publisher, "docker.io/library/alpine", "v1");
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
        let got = world.get(&format!("/v2/{path}")).await;
        assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.manifest[..]), "{path}");
    }
    world.get("/v2/x/y/manifests/v1?ns=quay.io").await.refused(404, "NAME_UNKNOWN");
    let catalog =
        json!({"repositories": ["127.0.0.1_5000/x/y", "docker.io/library/alpine", CONSOLE]});
    assert_eq!(world.get("/v2/_catalog").await.json(), catalog);
    // a stranger's registry does not make a bare name ambiguous, a followed one's does
    one.release(&world.store, &key(9), "evil.example/kubesphere/ks-console", "v1");
    assert_eq!(world.get("/v2/kubesphere/ks-console/manifests/v1").await.status, 200);
    one.release(&world.store, &publisher, "ghcr.io/kubesphere/ks-console", "v1");
    let message =
        world.get("/v2/kubesphere/ks-console/manifests/v1").await.refused(404, "NAME_UNKNOWN");
    assert!(
        message.contains(CONSOLE) && message.contains("ghcr.io/kubesphere/ks-console"),
        "{message}"
    );
    let by_digest = format!("/v2/kubesphere/ks-console/manifests/{}", one.digest());
    assert_eq!(world.get(&by_digest).await.status, 200, "a digest means one thing everywhere");
}

#[tokio::test]
async fn tags_mean_what_most_of_the_followed_publishers_sign() {
    let world = World::new();
    let path = format!("/v2/{CONSOLE}/manifests/v1");
    let (a, b) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    let (two, three, four) = (key(2), key(3), key(4));
    let (mine, _) = (
        a.release(&world.store, &two, CONSOLE, "v1"),
        b.release(&world.store, &three, CONSOLE, "v1"),
    );
    let message = world.get(&path).await.refused(404, "MANIFEST_UNKNOWN");
    assert!(
        message.contains(&two.id().to_string()) && message.contains("perennial follow"),
        "{message}"
    );
    let message = world.get(&format!("/v2/{CONSOLE}/tags/list")).await.refused(404, "NAME_UNKNOWN");
    assert!(
        message.contains(&three.id().to_string()) && message.contains("perennial follow"),
        "{message}"
    );
    let by_digest = world.get(&format!("/v2/{CONSOLE}/manifests/{}", b.digest())).await;
    assert_eq!(by_digest.bytes(), b.manifest, "no trust is needed by digest");
    // one is followed: what it says counts
    world.follow(&two);
    assert_eq!(world.get(&path).await.bytes(), a.manifest);
    // two that disagree
    world.follow(&three);
    let message = world.get(&path).await.refused(409, "DENIED");
    for part in [two.id().to_string(), three.id().to_string(), a.digest(), b.digest()] {
        assert!(message.contains(&part), "{message}");
    }
    // the most win
    world.follow(&four);
    b.release(&world.store, &four, CONSOLE, "v1");
    assert_eq!(world.get(&path).await.bytes(), b.manifest);
    // a publisher counts once, by its newest
    a.release(&world.store, &two, CONSOLE, "v1");
    assert_eq!(world.get(&path).await.bytes(), b.manifest);
    a.release(&world.store, &three, CONSOLE, "v1");
    assert_eq!(world.get(&path).await.bytes(), a.manifest);
    // what is yanked counts no more, and what was said before does again; only by who signed it
    let newest = world.store.times(Some(&[three.id()])).unwrap().pop().unwrap().1;
    let by_other = oci::yank(&world.store, &four, ReleaseId::from(newest));
    world.store.put_entries(&[by_other]).unwrap();
    assert_eq!(world.get(&path).await.bytes(), a.manifest);
    let by_itself = oci::yank(&world.store, &three, ReleaseId::from(newest));
    world.store.put_entries(&[by_itself]).unwrap();
    assert_eq!(world.get(&path).await.bytes(), b.manifest);
    drop(mine);
}

#[tokio::test]
async fn a_tag_that_was_taken_back_is_gone_and_its_digest_is_not() {
    let world = World::new();
    let publisher = followed(&world, 2);
    let image = Image::new(bytes(10, 1));
    let signed = image.release(&world.store, &publisher, CONSOLE, "v1");
    assert_eq!(world.get(&format!("/v2/{CONSOLE}/manifests/v1")).await.status, 200);
    let yank = oci::yank(&world.store, &publisher, ReleaseId::from(signed.id()));
    world.store.put_entries(&[yank]).unwrap();
    let message =
        world.get(&format!("/v2/{CONSOLE}/manifests/v1")).await.refused(404, "MANIFEST_UNKNOWN");
    assert!(message.contains("taken back"), "{message}");
    assert_eq!(world.get(&format!("/v2/{CONSOLE}/tags/list")).await.json()["tags"], json!([]));
    assert_eq!(world.get(&format!("/v2/{CONSOLE}/manifests/{}", image.digest())).await.status, 200);
}

#[tokio::test]
async fn a_forked_feed_has_no_vote_where_it_says_two_things() {
    let world = World::new();
    let publisher = followed(&world, 2);
    let path = format!("/v2/{CONSOLE}/manifests/v1");
    let (a, b) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    a.release(&world.store, &publisher, CONSOLE, "v1");
    // a second machine with the same key begins the feed anew
    let other = b.release(&world.swarm, &publisher, CONSOLE, "v1");
    world.store.put_entries(&[other]).unwrap();
    assert!(world.store.feed(&publisher.id()).unwrap().is_forked());
    let message = world.get(&path).await.refused(409, "DENIED");
    assert!(message.contains(&a.digest()) && message.contains(&b.digest()), "{message}");
    a.release(&world.store, &followed(&world, 3), CONSOLE, "v1");
    assert_eq!(world.get(&path).await.bytes(), a.manifest);
}

#[tokio::test]
async fn what_is_known_and_not_held_comes_from_the_swarm_or_is_said_to_have_no_holder() {
    let world = World::new();
    let publisher = followed(&world, 2);
    let image = Image::new(bytes(300_000, 7));
    let signed = image.release(&world.swarm, &publisher, CONSOLE, "v1");
    world.store.put_entries(&[signed]).unwrap();
    world.peer.reachable.store(false, Ordering::SeqCst);
    let (manifest, blob) = (
        format!("/v2/{CONSOLE}/manifests/v1"),
        format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer)),
    );
    let message = world.get(&manifest).await.refused(404, "MANIFEST_UNKNOWN");
    assert!(message.starts_with("known but no reachable holder"), "{message}");
    world.peer.reachable.store(true, Ordering::SeqCst);
    assert_eq!(world.get(&manifest).await.bytes(), image.manifest);
    world.peer.reachable.store(false, Ordering::SeqCst);
    let message = world.get(&blob).await.refused(404, "BLOB_UNKNOWN");
    assert!(message.starts_with("known but no reachable holder"), "{message}");
    world.peer.reachable.store(true, Ordering::SeqCst);
    assert_eq!(world.get(&blob).await.bytes(), image.layer);
}

#[tokio::test]
async fn a_blob_alone_asked_for_by_digest_is_found_by_its_release() {
    let world = World::new();
    let image = Image::new(bytes(300_000, 7));
    let signed = image.release(&world.swarm, &key(9), CONSOLE, "v1");
    world.store.put_entries(&[signed]).unwrap();
    // a stranger's: its list is fetched first, then the layer
    let got = world.get(&format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer))).await;
    assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.layer[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_who_want_one_blob_cost_one_fetch() {
    let image = Image::new(bytes(300_000, 7));
    // the budget lets one through: fifty that counted each would be refused
    let world = World::with(Options { fetch_budget: Some(301_000), ..Options::default() });
    let signed = image.release(&world.swarm, &followed(&world, 2), CONSOLE, "v1");
    let list = signed.release().unwrap().1.artifacts.blob;
    world.store.put_entries(&[signed]).unwrap();
    oci::copy(&world.swarm, &world.store, &list).unwrap();
    let permits = world.peer.gate.forget_permits(1000);
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    let wanted = (0..50).map(|_| world.get(&path));
    let all = futures::future::join_all(wanted);
    let release = async {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while world.peer.asked.load(Ordering::SeqCst) < 50 && std::time::Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        world.peer.gate.add_permits(permits);
    };
    let (answers, ()) = futures::future::join(all, release).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert!(answer.bytes() == image.layer);
    }
    assert_eq!(world.peer.brought.load(Ordering::SeqCst), 1);
    world.store.set_denied(BlobId::of(&image.layer), Some("no".into())).unwrap();
    assert!(world.get(&path).await.refused(451, "DENIED").contains("deny list"));
}

#[tokio::test]
async fn a_flipped_bit_never_leaves() {
    let world = World::new();
    let image = held(&world);
    world.peer.reachable.store(false, Ordering::SeqCst);
    let blob = BlobId::of(&image.layer);
    let file = file_of(&world.dir.path().join("node"), &blob);
    let mut stored = std::fs::read(&file).unwrap();
    stored[150_000] ^= 1;
    let changed: [u8; 8] = stored[149_996..150_004].try_into().unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&file, stored).unwrap();
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    let response =
        world.router.clone().oneshot(request(Method::GET, &path, &[], Vec::new())).await.unwrap();
    let mut pieces = response.into_body().into_data_stream();
    let (mut left, mut cut) = (Vec::new(), false);
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => left.extend_from_slice(&piece),
            Err(_) => cut = true,
        }
    }
    assert!(cut || !image.layer.starts_with(&left), "the connection ends");
    assert!(!left.windows(8).any(|w| w == &changed[..]), "no wrong byte left");
    assert!(world.peer.damaged.load(Ordering::SeqCst) > 0);
    // the swarm has it whole
    oci::copy(&world.store, &world.swarm, &blob).ok_or(()).unwrap_err();
    image.artifacts(&world.swarm);
    world.peer.reachable.store(true, Ordering::SeqCst);
    assert!(world.get(&path).await.bytes() == image.layer);
}

#[tokio::test]
async fn a_list_that_lies_about_a_manifest_gives_nothing_out() {
    let world = World::new();
    let publisher = followed(&world, 2);
    let (good, bad) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    let mut lie = artifact(&world.store, &bad.manifest, OCI_MANIFEST, Role::ImageManifest);
    (lie.sha256, lie.path) = {
        let good = artifact(&world.swarm, &good.manifest, OCI_MANIFEST, Role::ImageManifest);
        (good.sha256, good.path)
    };
    let tags = BTreeMap::from([(format!("{CONSOLE}:v1"), good.digest())]);
    let signed = release(&world.store, &publisher, draft(CONSOLE, "v1", vec![lie], tags));
    world.store.put_entries(&[signed]).unwrap();
    let message =
        world.get(&format!("/v2/{CONSOLE}/manifests/v1")).await.refused(404, "MANIFEST_UNKNOWN");
    assert!(message.contains("other bytes"), "{message}");
}

#[tokio::test]
async fn lies_about_a_layer_lose_to_followed_publishers_and_to_what_is_here() {
    let world = World::new();
    let (publisher, stranger) = (followed(&world, 2), key(9));
    let (image, junk) = (Image::new(bytes(300_000, 1)), bytes(300_000, 2));
    let listed = image.release(&world.swarm, &publisher, CONSOLE, "v1");
    let lie = |key: &Keypair, seq: &str| {
        let mut lie = artifact(&world.swarm, &junk, "x/y", Role::ImageLayer);
        let layer = image.artifacts(&world.swarm).pop().unwrap();
        (lie.sha256, lie.path) = (layer.sha256, layer.path);
        let signed = release(&world.swarm, key, draft(CONSOLE, seq, vec![lie], BTreeMap::new()));
        world.swarm.put_entries(std::slice::from_ref(&signed)).unwrap();
        signed
    };
    let know = |signed: perennial_manifest::SignedEntry| {
        let list = signed.release().unwrap().1.artifacts.blob;
        world.store.put_entries(&[signed]).unwrap();
        oci::copy(&world.swarm, &world.store, &list).unwrap();
    };
    know(listed);
    know(lie(&stranger, "v9"));
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    assert!(world.get(&path).await.bytes() == image.layer, "a stranger's word is the last");
    // now it is here, and its digest was counted here: no list can say otherwise
    let digest = sha256(&image.layer).parse().unwrap();
    world.store.note_sha256(&[(digest, BlobId::of(&image.layer))]).unwrap();
    know(lie(&publisher, "v2"));
    assert!(world.get(&path).await.bytes() == image.layer);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new();
    let publisher = followed(&world, 2);
    let image = Image::new(bytes(10, 1));
    for tag in ["v1", "v2", "v3", "v4", "v5"] {
        image.release(&world.store, &publisher, CONSOLE, tag);
    }
    let path = format!("/v2/{CONSOLE}/tags/list");
    let page = world.get(&format!("{path}?n=2")).await;
    assert_eq!(page.json()["tags"], json!(["v1", "v2"]));
    assert_eq!(page.header("link"), format!("<{path}?last=v2&n=2>; rel=\"next\""));
    let page = world.get(&format!("{path}?n=2&last=v4")).await;
    assert_eq!((page.json()["tags"].clone(), page.header("link")), (json!(["v5"]), ""));
    let page = world.get(&format!("{path}?n=5")).await;
    assert_eq!((page.json()["tags"].as_array().unwrap().len(), page.header("link")), (5, ""));
    let page = world.get(&format!("{path}?n=0")).await;
    assert_eq!((page.json()["tags"].clone(), page.header("link")), (json!([]), ""));
    assert_eq!(world.get(&format!("{path}?last=zzz")).await.json()["tags"], json!([]));
    assert_eq!(world.get(&format!("{path}?n=99999999999999999999999")).await.status, 200);
    for wrong in ["-1", "x", "", "1.5"] {
        let whole = world.get(&format!("{path}?n={wrong}")).await;
        assert_eq!(whole.json()["tags"].as_array().unwrap().len(), 5, "{wrong}");
    }
    image.release(&world.store, &publisher, "ghcr.io/a/b", "v1");
    let page = world.get("/v2/_catalog?n=1").await;
    assert_eq!(page.header("link"), "</v2/_catalog?last=ghcr.io%2Fa%2Fb&n=1>; rel=\"next\"");
    assert_eq!(
        world.get("/v2/_catalog?n=1&last=ghcr.io/a/b").await.json(),
        json!({"repositories": [CONSOLE]})
    );
}

#[tokio::test]
async fn referrers_are_listed_by_what_they_are_about_and_filtered_by_type() {
    let world = World::new();
    let publisher = followed(&world, 2);
    let image = Image::new(bytes(10, 1));
    image.release(&world.store, &publisher, CONSOLE, "v1");
    let about = |kind: &str| {
        json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2},
            "layers": [], "annotations": {"k": "v"},
            "subject": {"mediaType": OCI_MANIFEST, "digest": image.digest(), "size": image.manifest.len()},
        })
        .to_string()
    };
    let (sbom, signature, strange) = (about("x/sbom"), about("x/signature"), about("x/strange"));
    for (key, manifest) in [(&publisher, &sbom), (&publisher, &signature), (&key(9), &strange)] {
        let listed = artifact(&world.store, manifest.as_bytes(), OCI_MANIFEST, Role::ImageManifest);
        let version = sha256(manifest.as_bytes());
        let signed =
            release(&world.store, key, draft(CONSOLE, &version, vec![listed], BTreeMap::new()));
        world.store.put_entries(&[signed]).unwrap();
    }
    let path = format!("/v2/{CONSOLE}/referrers/{}", image.digest());
    let all = world.get(&path).await;
    assert_eq!((all.header("content-type"), all.header("oci-filters-applied")), (OCI_INDEX, ""));
    let mut kinds: Vec<_> = all.json()["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["artifactType"].clone())
        .collect();
    kinds.sort_by_key(ToString::to_string);
    assert_eq!(kinds, [json!("x/sbom"), json!("x/signature")]);
    let one = world.get(&format!("{path}?artifactType=x%2Fsbom")).await;
    assert_eq!(one.header("oci-filters-applied"), "artifactType");
    let expected = json!([{
        "mediaType": OCI_MANIFEST, "digest": sha256(sbom.as_bytes()), "size": sbom.len(),
        "artifactType": "x/sbom", "annotations": {"k": "v"},
    }]);
    assert_eq!(one.json()["manifests"], expected);
    let none = world.get(&format!("/v2/{CONSOLE}/referrers/{}", sha256(b"x"))).await;
    assert_eq!((none.status.as_u16(), none.json()["manifests"].clone()), (200, json!([])));
    world.get(&format!("/v2/{CONSOLE}/referrers/x")).await.refused(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn hostile_names_are_refused() {
    let world = World::new();
    held(&world);
    let huge = format!("{}a", "a/".repeat(128));
    for name in ["..", "a/../b", "%2e%2e/a", "a%2fb", "A", "a//b", "-", "a%00", "%ff", &huge] {
        world.get(&format!("/v2/{name}/manifests/v1")).await.refused(400, "NAME_INVALID");
        world.get(&format!("/v2/{name}/tags/list")).await.refused(400, "NAME_INVALID");
        let put = world.own("POST", &format!("/v2/{name}/blobs/uploads/"), &[], "").await;
        put.refused(400, "NAME_INVALID");
    }
    world.get(&format!("/v2/{CONSOLE}/manifests/.v1")).await.refused(404, "MANIFEST_UNKNOWN");
    world
        .get(&format!("/v2/{CONSOLE}/manifests/{}", "a".repeat(129)))
        .await
        .refused(404, "MANIFEST_UNKNOWN");
    world.get("/v2/x/manifests/v1?ns=../..").await.refused(400, "NAME_INVALID");
    let mut evil = request(Method::GET, "/containerd/hosts.toml", &[], Vec::new());
    evil.headers_mut().insert("host", "a\"]x".parse().unwrap());
    assert_eq!(world.send(evil).await.status, 400);
}
