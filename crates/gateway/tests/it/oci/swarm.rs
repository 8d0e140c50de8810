//! Pulling content that this node does not hold, or holds damaged.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::http::Method;
use futures::StreamExt;
use perennial_gateway::Options;
use perennial_manifest::{BlobId, Keypair, Role};
use tower::ServiceExt;

use super::{
    CONSOLE, Image, TestRegistry, artifact, bytes, copy, draft, file_of, followed, held, key,
    release, request, sha256,
};

#[tokio::test]
async fn what_is_known_and_not_held_comes_from_the_swarm_or_is_said_to_have_no_holder() {
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
async fn a_blob_alone_asked_for_by_digest_is_found_by_its_release() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(300_000, 7));
    let signed = image.release(&registry.swarm, &key(9), CONSOLE, "v1");
    registry.store.put_entries(&[signed]).unwrap();
    // a stranger's: its list is fetched first, then the layer
    let got = registry.get(&format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer))).await;
    assert_eq!((got.status.as_u16(), got.bytes()), (200, &image.layer[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_who_want_one_blob_cost_one_fetch() {
    let image = Image::new(bytes(300_000, 7));
    // the budget lets one through: fifty that counted each would be refused
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
    registry.store.set_denied(BlobId::of(&image.layer), Some("no".into())).unwrap();
    assert!(registry.get(&path).await.refused(451, "DENIED").contains("deny list"));
}

#[tokio::test]
async fn a_flipped_bit_never_leaves() {
    let registry = TestRegistry::new();
    let image = held(&registry);
    registry.peer.reachable.store(false, Ordering::SeqCst);
    let blob = BlobId::of(&image.layer);
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
    assert!(registry.peer.damaged.load(Ordering::SeqCst) > 0);
    // the swarm has it whole
    copy(&registry.store, &registry.swarm, &blob).ok_or(()).unwrap_err();
    image.artifacts(&registry.swarm);
    registry.peer.reachable.store(true, Ordering::SeqCst);
    assert!(registry.get(&path).await.bytes() == image.layer);
}

#[tokio::test]
async fn lies_about_a_layer_lose_to_followed_publishers_and_to_what_is_here() {
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
    // now it is here, and its digest was counted here: no list can say otherwise
    let digest = sha256(&image.layer).parse().unwrap();
    registry.store.note_sha256(&[(digest, BlobId::of(&image.layer))]).unwrap();
    know(lie(&publisher, "v2"));
    assert!(registry.get(&path).await.bytes() == image.layer);
}
