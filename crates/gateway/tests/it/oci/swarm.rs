//! Pulling content that this node does not hold, or holds in damaged form.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Method;
use futures::StreamExt;
use perennial_gateway::Options;
use perennial_manifest::{BlobId, Keypair, Role};
use tokio::time::timeout;
use tower::ServiceExt;

use super::{
    CONSOLE, Image, OCI_MANIFEST, TestRegistry, artifact, bytes, copy, draft, file_of, followed,
    held, key, put, release, request, sha256,
};

#[tokio::test]
async fn an_image_not_held_is_fetched_or_reported_to_have_no_holder() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let image = Image::new(bytes(300_000, 7));
    let signed = image.release(&registry.swarm, &publisher, CONSOLE, "v1");
    registry.store.put_entries(&[signed]).unwrap();
    registry.peer.reachable.store(false, Ordering::SeqCst);
    let (manifest, blob) = (
        format!("/v2/{CONSOLE}/manifests/v1"),
        format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer)),
    );
    let message = registry.get(&manifest).await.refused(404, "MANIFEST_UNKNOWN");
    assert!(message.starts_with("known but no reachable holder"), "{message}");
    registry.peer.reachable.store(true, Ordering::SeqCst);
    assert_eq!(registry.get(&manifest).await.bytes(), image.manifest);
    registry.peer.reachable.store(false, Ordering::SeqCst);
    let message = registry.get(&blob).await.refused(404, "BLOB_UNKNOWN");
    assert!(message.starts_with("known but no reachable holder"), "{message}");
    registry.peer.reachable.store(true, Ordering::SeqCst);
    assert_eq!(registry.get(&blob).await.bytes(), image.layer);
}

#[tokio::test]
async fn a_single_blob_is_found_through_its_release() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(300_000, 7));
    let signed = image.release(&registry.swarm, &key(9), CONSOLE, "v1");
    registry.store.put_entries(&[signed]).unwrap();
    // An untrusted publisher's release: its list is fetched first, then the layer.
    let got = registry.get(&format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer))).await;
    assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.layer[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_for_one_blob_cost_one_fetch() {
    let image = Image::new(bytes(300_000, 7));
    // The budget allows one fetch: if each of the fifty were charged, they would be refused.
    let registry =
        TestRegistry::with(Options { fetch_budget: Some(301_000), ..Options::default() });
    let signed = image.release(&registry.swarm, &followed(&registry, 2), CONSOLE, "v1");
    let list = signed.release().unwrap().1.artifacts.blob;
    registry.store.put_entries(&[signed]).unwrap();
    copy(&registry.swarm, &registry.store, &list).unwrap();
    let permits = registry.peer.gate.forget_permits(1000);
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    let wanted = (0..50).map(|_| registry.get(&path));
    let all = futures::future::join_all(wanted);
    let release = async {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while registry.peer.asked.load(Ordering::SeqCst) < 50
            && std::time::Instant::now() < deadline
        {
            tokio::task::yield_now().await;
        }
        registry.peer.gate.add_permits(permits);
    };
    let (answers, ()) = futures::future::join(all, release).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert!(answer.bytes() == image.layer);
    }
    assert_eq!(registry.peer.brought.load(Ordering::SeqCst), 1);
    registry.store.deny(BlobId::of(&image.layer).into(), "no".into()).unwrap();
    assert!(registry.get(&path).await.refused(451, "DENIED").contains("deny list"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_served_while_they_arrive() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(2_000_000, 7));
    let signed = image.release(&registry.swarm, &followed(&registry, 2), CONSOLE, "v1");
    let list = signed.release().unwrap().1.artifacts.blob;
    registry.store.put_entries(&[signed]).unwrap();
    copy(&registry.swarm, &registry.store, &list).unwrap();
    // The fetch never ends: only the store reports the bytes that arrived.
    registry.peer.gate.forget_permits(1000);
    let blob = BlobId::of(&image.layer);
    let partial = registry.store.partial(blob, 2_000_000).unwrap();
    let arrive = |range: Range<u64>| {
        let (ranges, mut encoded) = ([range], Vec::new());
        registry.swarm.encode(&blob, &ranges, &mut encoded).unwrap();
        partial.decode(&ranges, &encoded[..], &mut |_| Ok(())).unwrap();
    };
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    let request = request(Method::GET, &path, &[], Vec::new());
    let mut answer = std::pin::pin!(registry.router.clone().oneshot(request));
    let soon = Duration::from_millis(300);
    assert!(timeout(soon, &mut answer).await.is_err(), "nothing has arrived");
    arrive(0..1 << 20);
    let mut pieces = answer.await.unwrap().into_body().into_data_stream();
    let mut got = Vec::new();
    while got.len() < 1 << 20 {
        got.extend_from_slice(&pieces.next().await.unwrap().unwrap());
    }
    assert!(timeout(soon, pieces.next()).await.is_err(), "the rest has not arrived");
    arrive(1 << 20..2_000_000);
    registry.store.complete(&partial).unwrap();
    while let Some(piece) = pieces.next().await {
        got.extend_from_slice(&piece.unwrap());
    }
    assert!(got == image.layer);
}

#[tokio::test]
async fn a_flipped_bit_is_never_served() {
    let registry = TestRegistry::new();
    let image = held(&registry);
    registry.peer.reachable.store(false, Ordering::SeqCst);
    let blob = BlobId::of(&image.layer);
    let mut damage = registry.store.damage();
    let file = file_of(&registry.dir.path().join("node"), &blob);
    let mut stored = std::fs::read(&file).unwrap();
    stored[150_000] ^= 1;
    let changed: [u8; 8] = stored[149_996..150_004].try_into().unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&file, stored).unwrap();
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    let response = registry
        .router
        .clone()
        .oneshot(request(Method::GET, &path, &[], Vec::new()))
        .await
        .unwrap();
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
    let told = damage.try_recv().expect("the store tells of the damage");
    assert_eq!(told.blobs, [blob]);
    // The swarm has the undamaged blob.
    copy(&registry.store, &registry.swarm, &blob).ok_or(()).unwrap_err();
    image.artifacts(&registry.swarm);
    registry.peer.reachable.store(true, Ordering::SeqCst);
    assert!(registry.get(&path).await.bytes() == image.layer);
}

#[tokio::test]
async fn false_claims_about_a_layer_lose_to_followed_publishers_and_held_bytes() {
    let registry = TestRegistry::new();
    let (publisher, stranger) = (followed(&registry, 2), key(9));
    let (image, junk) = (Image::new(bytes(300_000, 1)), bytes(300_000, 2));
    let listed = image.release(&registry.swarm, &publisher, CONSOLE, "v1");
    let lie = |key: &Keypair, seq: &str| {
        let mut lie = artifact(&registry.swarm, &junk, "x/y", Role::ImageLayer);
        let layer = image.artifacts(&registry.swarm).pop().unwrap();
        (lie.sha256, lie.path) = (layer.sha256, layer.path);
        let signed = release(&registry.swarm, key, draft(CONSOLE, seq, vec![lie], BTreeMap::new()));
        registry.swarm.put_entries(std::slice::from_ref(&signed)).unwrap();
        signed
    };
    let know = |signed: perennial_manifest::SignedEntry| {
        let list = signed.release().unwrap().1.artifacts.blob;
        registry.store.put_entries(&[signed]).unwrap();
        copy(&registry.swarm, &registry.store, &list).unwrap();
    };
    know(listed);
    know(lie(&stranger, "v9"));
    let path = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    assert!(registry.get(&path).await.bytes() == image.layer, "a stranger's word is the last");
    // The blob is now held and was hashed here, so no list can contradict its digest.
    let digest = sha256(&image.layer).parse().unwrap();
    registry.store.note_sha256(&[(digest, BlobId::of(&image.layer))]).unwrap();
    know(lie(&publisher, "v2"));
    assert!(registry.get(&path).await.bytes() == image.layer);
}

/// Forgets the SHA-256 that this node computed for a blob, as if an earlier version had fetched it.
fn unhashed(registry: &TestRegistry, bytes: &[u8]) {
    let file = file_of(&registry.dir.path().join("node"), &BlobId::of(bytes));
    let tree = file.with_extension("obao");
    let mut all = std::fs::read(&tree).unwrap();
    let end = all.len();
    all[end - 40..end - 8].fill(0);
    std::fs::write(&tree, all).unwrap();
    registry.store.rebuild_index().unwrap();
}

#[tokio::test]
async fn junk_of_a_stranger_is_never_served_or_signed_under_the_digest_of_a_layer() {
    let registry = TestRegistry::new();
    let (publisher, stranger) = (followed(&registry, 2), key(9));
    let (image, junk) = (Image::new(bytes(300_000, 1)), bytes(70_000, 2));
    let digest = sha256(&image.layer);
    let path = format!("/v2/{CONSOLE}/blobs/{digest}");
    let mut lie = artifact(&registry.store, &junk, "x/y", Role::ImageLayer);
    let layer = image.artifacts(&registry.swarm).pop().unwrap();
    (lie.sha256, lie.path) = (layer.sha256, layer.path);
    unhashed(&registry, &junk);
    for version in ["v8", "v9"] {
        let draft = draft(CONSOLE, version, vec![lie.clone()], BTreeMap::new());
        let signed = release(&registry.store, &stranger, draft);
        registry.store.put_entries(&[signed]).unwrap();
    }
    // Only strangers list it: their bytes are hashed, and are others.
    let message = registry.get(&path).await.refused(404, "BLOB_UNKNOWN");
    assert!(message.contains("other bytes") || message.contains("unknown"), "{message}");
    unhashed(&registry, &junk);
    let by_digest = registry.get(&format!("/b/{digest}")).await;
    assert_eq!(by_digest.status, 404, "{by_digest:?}");
    // A push whose manifest names the digest is not signed with them.
    unhashed(&registry, &junk);
    registry.push_blob(CONSOLE, &image.config).await;
    let pushed = put(&registry, CONSOLE, "v1", &image.manifest, OCI_MANIFEST).await;
    pushed.refused(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(registry.own_entries().is_empty());
    // A trusted publisher lists the true layer, which is fetched.
    unhashed(&registry, &junk);
    let signed = image.release(&registry.swarm, &publisher, CONSOLE, "v1");
    let list = signed.release().unwrap().1.artifacts.blob;
    registry.store.put_entries(&[signed]).unwrap();
    copy(&registry.swarm, &registry.store, &list).unwrap();
    for registry in [&registry, &registry.reopened(Options::default())] {
        assert!(registry.get(&path).await.bytes() == image.layer);
    }
}

/// Images in the swarm, of which only the lists are here.
fn far_away(registry: &TestRegistry, many: usize) -> Vec<String> {
    let publisher = followed(registry, 2);
    let path = |n: usize| {
        let image = Image::new(bytes(300_000, 70 + n as u64));
        let signed = image.release(&registry.swarm, &publisher, CONSOLE, &format!("v{n}"));
        let list = signed.release().unwrap().1.artifacts.blob;
        registry.store.put_entries(&[signed]).unwrap();
        copy(&registry.swarm, &registry.store, &list).unwrap();
        format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer))
    };
    (0..many).map(path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn few_requests_wait_for_peers_and_the_others_are_told_to_come_back() {
    let registry = TestRegistry::with(Options { waits: Some(2), ..Options::default() });
    let far = far_away(&registry, 3);
    let permits = registry.peer.gate.forget_permits(1000);
    let others = async {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while registry.peer.asked.load(Ordering::SeqCst) < 2 {
            assert!(std::time::Instant::now() < deadline, "two do not wait");
            tokio::task::yield_now().await;
        }
        let refused = registry.get(&far[2]).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
        assert_eq!(registry.get("/v2/").await.status, 200, "what is here is served");
        registry.peer.gate.add_permits(permits);
    };
    let waiting = futures::future::join(registry.get(&far[0]), registry.get(&far[1]));
    let ((one, two), ()) = futures::future::join(waiting, others).await;
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200));
    assert_eq!(registry.get(&far[2]).await.status, 200, "places are free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_given_up_spend_no_budget() {
    let registry =
        TestRegistry::with(Options { fetch_budget: Some(301_000), ..Options::default() });
    let far = far_away(&registry, 4);
    let permits = registry.peer.gate.forget_permits(1000);
    for (before, path) in far.iter().cycle().take(12).enumerate() {
        let asked = async {
            while registry.peer.asked.load(Ordering::SeqCst) == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        // Given up once its fetch has begun.
        tokio::select! {
            answer = registry.get(path) => panic!("{answer:?}"),
            asked = timeout(Duration::from_secs(30), asked) => asked.expect("it is fetched"),
        }
    }
    assert_eq!(registry.peer.asked.load(Ordering::SeqCst), 12);
    registry.peer.gate.add_permits(permits);
    assert_eq!(registry.get(&far[0]).await.status, 200, "nothing came so far");
    let spent = registry.get(&far[1]).await;
    assert_eq!(spent.status, 429, "what came is charged: {spent:?}");
}
