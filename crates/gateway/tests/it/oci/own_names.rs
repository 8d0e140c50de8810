//! What one pushed to one's own node stays what its name means there.

use serde_json::json;

use super::{Image, TestRegistry, bytes, followed, key, push};

#[tokio::test]
async fn a_push_keeps_its_name_whatever_else_is_known_under_the_path() {
    let registry = TestRegistry::new();
    let (mine, theirs) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    push(&registry, "team/app", "v1", &mine).await;
    theirs.release(&registry.store, &followed(&registry, 2), "quay.io/team/app", "v1");
    theirs.release(&registry.store, &followed(&registry, 3), "ghcr.io/team/app", "v8");
    let tag = |name: &str, tag: &str| format!("/v2/{name}/manifests/{tag}");
    assert_eq!(registry.get(&tag("team/app", "v1")).await.bytes(), mine.manifest);
    // The node's own publisher imports from another registry, too.
    theirs.release(&registry.store, &key(1), "quay.io/team/app", "v9");
    assert_eq!(registry.get(&tag("team/app", "v1")).await.bytes(), mine.manifest);
    assert_eq!(registry.get("/v2/team/app/tags/list").await.json()["tags"], json!(["v1"]));
    assert_eq!(push(&registry, "team/app", "v2", &mine).await.status, 201);
    assert_eq!(registry.get(&tag("team/app", "v2")).await.bytes(), mine.manifest);
    assert_eq!(registry.get(&tag("quay.io/team/app", "v1")).await.bytes(), theirs.manifest);
    // A tag that was never pushed here: the others have to be told apart.
    let message = registry.get(&tag("team/app", "v9")).await.refused(404, "NAME_UNKNOWN");
    assert!(
        message.contains("quay.io/team/app or ghcr.io/team/app")
            || message.contains("ghcr.io/team/app or quay.io/team/app"),
        "{message}"
    );
    // Deleting means one's own, and what is deleted is not replaced by another's.
    let deleted = registry.own("DELETE", &tag("team/app", "v1"), &[], "").await;
    assert_eq!(deleted.status, 202);
    registry.get(&tag("team/app", "v1")).await.refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(registry.get(&tag("quay.io/team/app", "v9")).await.status, 200);
    let digest = registry.own("DELETE", &tag("team/app", &mine.digest()), &[], "").await;
    assert_eq!(digest.status, 202);
    registry.get(&tag("team/app", "v2")).await.refused(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_bare_name_has_the_tags_of_the_one_other_registry() {
    let registry = TestRegistry::new();
    let (mine, theirs) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    push(&registry, "team/app", "v1", &mine).await;
    theirs.release(&registry.store, &key(1), "quay.io/team/app", "v9");
    let got = registry.get("/v2/team/app/manifests/v9").await;
    assert_eq!(got.bytes(), theirs.manifest);
    registry.get("/v2/team/app/manifests/v7").await.refused(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn anothers_own_registry_is_not_this_ones() {
    let registry = TestRegistry::new();
    let (mine, theirs) = (Image::new(bytes(10, 1)), Image::new(bytes(10, 2)));
    let other = followed(&registry, 2);
    for name in ["localhost/own/thing", "127.0.0.1:5000/own/tool"] {
        theirs.release(&registry.store, &other, name, "v1");
        theirs.release(&registry.store, &other, name, "v2");
    }
    assert_eq!(registry.get("/v2/own/thing/manifests/v1").await.bytes(), theirs.manifest);
    for (name, full) in [
        ("own/thing", "localhost/own/thing"),
        ("127.0.0.1_5000/own/tool", "127.0.0.1_5000/own/tool"),
    ] {
        push(&registry, name, "v1", &mine).await;
        for name in [name, full] {
            let got = registry.get(&format!("/v2/{name}/manifests/v1")).await;
            assert_eq!((got.status.as_u16(), got.bytes()), (200, &mine.manifest[..]), "{name}");
            let tags = registry.get(&format!("/v2/{name}/tags/list")).await;
            assert_eq!(tags.json()["tags"], json!(["v1"]), "{name}");
            registry
                .get(&format!("/v2/{name}/manifests/v2"))
                .await
                .refused(404, "MANIFEST_UNKNOWN");
        }
    }
    // Anywhere else, two followed publishers who disagree are a conflict.
    theirs.release(&registry.store, &other, "quay.io/own/thing", "v1");
    mine.release(&registry.store, &key(1), "quay.io/own/thing", "v1");
    registry.get("/v2/quay.io/own/thing/manifests/v1").await.refused(409, "DENIED");
}
