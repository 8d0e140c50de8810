//! What the owner denied, in every face: 451 with the reason, and lists leave it out.

use perennial_manifest::{BlobId, DenyTarget, Keypair};

use crate::fixtures::{bytes, key};
use crate::test_gateway::{Location, TestGateway, file, sha256};

/// A gateway that follows a publisher of a release with one file, whose content and id it returns.
fn published() -> (TestGateway, Keypair, Vec<u8>, String) {
    let (gateway, publisher) = (TestGateway::new(), key(2));
    gateway.follow(&publisher);
    let content = bytes(200_000, 1);
    let signed = gateway.release(&publisher, "pkg:generic/bad@v1", &[file("x", content.clone())]);
    gateway.release(&publisher, "pkg:generic/good@v1", &[file("y", bytes(9_000, 2))]);
    let id = signed.id().to_string();
    (gateway, publisher, content, id)
}

async fn lists(gateway: &TestGateway) -> [String; 2] {
    let mut found = Vec::new();
    for path in ["/feed.atom", "/releases.json"] {
        let answer = gateway.ask("GET", path, &[("host", "127.0.0.1:4480")]).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}");
        found.push(answer.text().to_owned());
    }
    found.try_into().expect("two")
}

#[tokio::test]
async fn a_denied_package_or_publisher_is_gone_from_files_and_lists_at_once() {
    let (gateway, publisher, content, id) = published();
    let paths = [
        "/r/bad/v1/x".to_owned(),
        "/r/bad/v1/".to_owned(),
        format!("/r/{id}/x"),
        format!("/r/{id}/SHA256SUMS"),
        format!("/b/{}", BlobId::of(&content)),
        format!("/b/{}", sha256(&content)),
    ];
    let targets: [DenyTarget; 3] = [
        "pkg:generic/bad".parse().expect("a target"),
        "pkg:generic/bad@v1".parse().expect("a target"),
        publisher.id().into(),
    ];
    for target in targets {
        assert!(lists(&gateway).await.iter().all(|list| list.contains("pkg:generic/bad@v1")));
        gateway.store().deny(target.clone(), "malware in it".into()).expect("remembered");
        for path in &paths {
            for method in ["GET", "HEAD"] {
                let answer = gateway.ask(method, path, &[]).await;
                assert_eq!(answer.status.as_u16(), 451, "{target} {method} {path}");
                assert!(
                    method == "HEAD" || answer.text().contains("malware in it"),
                    "{target} {path}: {}",
                    answer.text()
                );
            }
        }
        for list in lists(&gateway).await {
            assert!(!list.contains("pkg:generic/bad@v1"), "{target}: {list}");
        }
        let others = gateway.get("/r/good/v1/y").await.status.as_u16();
        assert_eq!(others, if target.kind() == "package" { 200 } else { 451 }, "{target}");
        assert!(gateway.store().undeny(&target).expect("remembered"));
        for path in &paths {
            assert_eq!(gateway.get(path).await.status.as_u16(), 200, "{target} {path}");
        }
    }
}

#[tokio::test]
async fn a_denied_digest_that_is_not_held_is_refused_as_one_that_is() {
    let gateway = TestGateway::new();
    let content = bytes(10, 3);
    gateway.store().deny(sha256(&content).into(), "no".into()).expect("remembered");
    let far = file("far", content.clone()).located(Location::InTheSwarm);
    gateway.release(&key(1), "pkg:generic/a@v1", &[far]);
    for path in [
        format!("/b/{}", sha256(&content)),
        format!("/b/{}", BlobId::of(&content)),
        "/r/a/v1/far".to_owned(),
    ] {
        let answer = gateway.get(&path).await;
        assert_eq!(answer.status.as_u16(), 451, "{path}: {}", answer.text());
    }
    assert!(gateway.node.fetched.lock().expect("not poisoned").is_empty(), "fetched all the same");
}
