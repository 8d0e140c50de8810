//! The meaning of a tag: votes of followed publishers, yanks, forks.

use perennial_manifest::ReleaseId;
use serde_json::json;

use super::{CONSOLE, Image, TestRegistry, bytes, followed, key, yank};

#[tokio::test]
async fn a_tag_resolves_by_the_majority_of_followed_publishers() {
    let registry = TestRegistry::new();
    let path = format!("/v2/{CONSOLE}/manifests/v1");
    let (a, b) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    let (two, three, four) = (key(2), key(3), key(4));
    let (mine, _) = (
        a.release(&registry.store, &two, CONSOLE, "v1"),
        b.release(&registry.store, &three, CONSOLE, "v1"),
    );
    let message = registry.get(&path).await.refused(404, "MANIFEST_UNKNOWN");
    assert!(
        message.contains(&two.id().to_string()) && message.contains("perennial follow"),
        "{message}"
    );
    let message =
        registry.get(&format!("/v2/{CONSOLE}/tags/list")).await.refused(404, "NAME_UNKNOWN");
    assert!(
        message.contains(&three.id().to_string()) && message.contains("perennial follow"),
        "{message}"
    );
    let by_digest = registry.get(&format!("/v2/{CONSOLE}/manifests/{}", b.digest())).await;
    assert_eq!(by_digest.bytes(), b.manifest, "no trust is needed by digest");
    // With one of them followed, its statement counts.
    registry.follow(&two);
    assert_eq!(registry.get(&path).await.bytes(), a.manifest);
    // Two followed publishers disagree.
    registry.follow(&three);
    let message = registry.get(&path).await.refused(409, "DENIED");
    for part in [two.id().to_string(), three.id().to_string(), a.digest(), b.digest()] {
        assert!(message.contains(&part), "{message}");
    }
    // The majority wins.
    registry.follow(&four);
    b.release(&registry.store, &four, CONSOLE, "v1");
    assert_eq!(registry.get(&path).await.bytes(), b.manifest);
    // A publisher has one vote, its newest statement.
    a.release(&registry.store, &two, CONSOLE, "v1");
    assert_eq!(registry.get(&path).await.bytes(), b.manifest);
    a.release(&registry.store, &three, CONSOLE, "v1");
    assert_eq!(registry.get(&path).await.bytes(), a.manifest);
    // A yanked statement no longer counts and the previous one does again, provided that its
    // publisher signed the yank.
    let newest = registry.store.times(Some(&[three.id()])).unwrap().pop().unwrap().1;
    let by_other = yank(&registry.store, &four, ReleaseId::from(newest), Vec::new());
    registry.store.put_entries(&[by_other]).unwrap();
    assert_eq!(registry.get(&path).await.bytes(), a.manifest);
    let by_itself = yank(&registry.store, &three, ReleaseId::from(newest), Vec::new());
    registry.store.put_entries(&[by_itself]).unwrap();
    assert_eq!(registry.get(&path).await.bytes(), b.manifest);
    drop(mine);
}

#[tokio::test]
async fn a_withdrawn_tag_is_gone_and_its_digest_is_not() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let image = Image::new(bytes(10, 1));
    let signed = image.release(&registry.store, &publisher, CONSOLE, "v1");
    assert_eq!(registry.get(&format!("/v2/{CONSOLE}/manifests/v1")).await.status, 200);
    let signed = yank(&registry.store, &publisher, ReleaseId::from(signed.id()), Vec::new());
    registry.store.put_entries(&[signed]).unwrap();
    let message =
        registry.get(&format!("/v2/{CONSOLE}/manifests/v1")).await.refused(404, "MANIFEST_UNKNOWN");
    assert!(message.contains("taken back"), "{message}");
    assert_eq!(registry.get(&format!("/v2/{CONSOLE}/tags/list")).await.json()["tags"], json!([]));
    assert_eq!(
        registry.get(&format!("/v2/{CONSOLE}/manifests/{}", image.digest())).await.status,
        200
    );
}

#[tokio::test]
async fn a_forked_feed_has_no_vote_where_its_branches_differ() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let path = format!("/v2/{CONSOLE}/manifests/v1");
    let (a, b) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    a.release(&registry.store, &publisher, CONSOLE, "v1");
    // A second machine with the same key starts the feed again.
    let other = b.release(&registry.swarm, &publisher, CONSOLE, "v1");
    registry.store.put_entries(&[other]).unwrap();
    assert!(registry.store.feed(&publisher.id()).unwrap().is_forked());
    let message = registry.get(&path).await.refused(409, "DENIED");
    assert!(message.contains(&a.digest()) && message.contains(&b.digest()), "{message}");
    a.release(&registry.store, &followed(&registry, 3), CONSOLE, "v1");
    assert_eq!(registry.get(&path).await.bytes(), a.manifest);
}
