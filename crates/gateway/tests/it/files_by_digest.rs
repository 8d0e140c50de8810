//! Bytes by digest: what is served under which digest, and at what cost.

use std::time::Instant;

use axum::http::StatusCode;
use perennial_gateway::Options;
use perennial_manifest::BlobId;
use perennial_store::{BlobState, Pin};

use crate::fixtures::{bytes, key};
use crate::test_gateway::{File, Location, TestGateway, file, sha256};

#[tokio::test]
async fn either_digest_finds_the_bytes() {
    let gateway = TestGateway::new();
    let (small, large) = (bytes(10, 1), bytes(200_000, 2));
    gateway.release(
        &key(1),
        "pkg:generic/a@v1",
        &[file("small", small.clone()), file("large", large.clone())],
    );
    for content in [small, large] {
        for digest in [BlobId::of(&content).to_string(), sha256(&content).to_string()] {
            let answer = gateway.get(&format!("/b/{digest}")).await;
            assert_eq!((answer.status, &answer.body), (StatusCode::OK, &content), "{digest}");
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            assert_eq!(answer.header("content-type"), "application/octet-stream");
            assert!(answer.header("cache-control").contains("immutable"));
            let hex = digest.split_once(':').expect("a function").1;
            assert_eq!(
                answer.header("content-disposition"),
                format!("attachment; filename=\"{hex}\"")
            );
            let part = gateway.ask("GET", &format!("/b/{digest}"), &[("range", "bytes=2-4")]).await;
            assert_eq!((part.status.as_u16(), &part.body[..]), (206, &content[2..5]));
        }
    }
    for unknown in [BlobId::of(b"?").to_string(), sha256(b"?").to_string()] {
        let answer = gateway.get(&format!("/b/{unknown}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.text().starts_with("unknown: "), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_list_with_a_false_sha256_serves_no_wrong_bytes() {
    let wanted = bytes(200_000, 1);
    for (location, size) in [
        (Location::Here, 200_000),
        (Location::InTheSwarm, 200_000),
        (Location::Here, 10),
        (Location::InTheSwarm, 10),
    ] {
        let gateway = TestGateway::new();
        let false_one = File {
            sha256: Some(sha256(&wanted)),
            ..file("false", bytes(size, 2)).located(location)
        };
        gateway.release(&key(1), "pkg:generic/a@v1", std::slice::from_ref(&false_one));
        let path = format!("/b/{}", sha256(&wanted));
        for _ in 0..2 {
            for method in ["GET", "HEAD"] {
                let answer = gateway.ask(method, &path, &[]).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{location:?} {size}");
                assert!(
                    method == "HEAD" || answer.text().starts_with("unknown: "),
                    "{location:?} {size}"
                );
            }
        }
        // It is served under its true digests.
        let by_blake3 = gateway.get(&format!("/b/{}", false_one.artifact().blake3)).await;
        assert!(by_blake3.body == false_one.bytes, "{location:?} {size}");
        assert!(
            gateway.get(&format!("/b/{}", sha256(&false_one.bytes))).await.body == false_one.bytes,
            "{location:?} {size}"
        );
        // Once the right bytes are held, the digest serves them.
        gateway.release(&key(1), "pkg:generic/b@v1", &[file("true", wanted.clone())]);
        assert!(gateway.get(&path).await.body == wanted, "{location:?} {size}");
    }
}

#[tokio::test]
async fn a_blob_of_other_nodes_is_fetched_whole_before_its_sha256_counts() {
    let gateway = TestGateway::new();
    let far = file("far", bytes(200_000, 1)).located(Location::InTheSwarm);
    let gone = file("gone", bytes(200_000, 2)).located(Location::Nowhere);
    let id = gateway.release(&key(1), "pkg:generic/a@v1", &[far.clone(), gone.clone()]).id();
    let answer = gateway.get(&format!("/b/{}", sha256(&far.bytes))).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, far.bytes));
    for hint in [String::new(), format!("?release={id}")] {
        let answer = gateway.get(&format!("/b/{}{hint}", sha256(&gone.bytes))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(
            answer.text().starts_with("known but no reachable holder: sha256:"),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn many_requests_for_a_missing_digest_cost_little_more_than_one() {
    let gateway = TestGateway::new();
    for release in 0..400 {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let files: Vec<File> =
            names.iter().map(|path| file(path, format!("{path}{release}"))).collect();
        gateway.release(&key(1), &format!("pkg:generic/a@v{release}"), &files);
    }
    let far = file("far", bytes(20_000, 1)).located(Location::InTheSwarm);
    gateway.release(&key(1), "pkg:generic/far@v1", std::slice::from_ref(&far));
    let unknown = |at: u32| format!("/b/{}", BlobId::of(&at.to_be_bytes()));
    let begun = Instant::now();
    assert_eq!(gateway.get(&unknown(0)).await.status, StatusCode::NOT_FOUND);
    let one = begun.elapsed();
    let begun = Instant::now();
    let many = futures::future::join_all((0..500).map(|at| {
        let (gateway, path) = (&gateway, unknown(at));
        async move { gateway.get(&path).await.status }
    }));
    let path = format!("/b/{}", far.artifact().blake3);
    let (many, found) = futures::join!(many, gateway.get(&path));
    assert!(many.iter().all(|status| *status == StatusCode::NOT_FOUND));
    assert!(found.body == far.bytes, "among all of them it is found");
    assert!(begun.elapsed() < one * 50, "{:?} for 500, {one:?} for one", begun.elapsed());
}

#[tokio::test]
async fn a_denied_blob_is_denied_under_every_name() {
    let gateway = TestGateway::new();
    let content = bytes(200_000, 1);
    gateway.release(&key(1), "pkg:generic/a@v1", &[file("x", content.clone())]);
    gateway.store().deny(BlobId::of(&content).into(), "no".into()).expect("remembered");
    for path in [
        "/r/a/v1/x".to_owned(),
        format!("/b/{}", BlobId::of(&content)),
        format!("/b/{}", sha256(&content)),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = gateway.ask(method, &path, &[]).await;
            assert_eq!(answer.status.as_u16(), 451, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn anonymous_requests_have_a_budget_and_the_owner_has_none() {
    let options =
        Options { token: Some("secret".into()), fetch_budget: Some(250_000), ..Options::default() };
    let gateway = TestGateway::with(options);
    let far: Vec<File> = [("1", 1), ("2", 2), ("3", 3)]
        .map(|(path, seed)| file(path, bytes(200_000, seed)).located(Location::InTheSwarm))
        .into();
    gateway.release(&key(1), "pkg:generic/a@v1", &far);
    assert_eq!(gateway.get("/r/a/v1/1").await.status, StatusCode::OK);
    for path in ["/r/a/v1/2".to_owned(), format!("/b/{}", sha256(&far[1].bytes))] {
        let answer = gateway.get(&path).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    let wrong = [("authorization", "Bearer wrong")];
    assert_eq!(gateway.ask("GET", "/r/a/v1/2", &wrong).await.status, StatusCode::TOO_MANY_REQUESTS);
    let right = [("authorization", "Bearer secret")];
    assert_eq!(gateway.ask("GET", "/r/a/v1/2", &right).await.status, StatusCode::OK);
    assert_eq!(gateway.get("/r/a/v1/2").await.status, StatusCode::OK, "it is here now");
}

#[tokio::test]
async fn anonymous_requests_fetch_what_trusted_publishers_signed() {
    let options =
        Options { token: Some("secret".into()), only_trusted: true, ..Options::default() };
    let gateway = TestGateway::with(options);
    let far = |n: u64| file("far", bytes(100_000, n)).located(Location::InTheSwarm);
    let files = [far(1), far(2), far(3), far(4)];
    let path = |n: usize| format!("/b/{}", BlobId::of(&files[n].bytes));
    for (n, seed) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
        gateway.release(&key(seed), "pkg:generic/a@v1", &files[n..=n]);
    }
    gateway.follow(&key(2));
    let status = async |n: usize| gateway.get(&path(n)).await.status;
    assert_eq!((status(0).await, status(1).await), (StatusCode::OK, StatusCode::OK));
    let answer = gateway.get(&path(2)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.text().contains("does not follow"), "{}", answer.text());
    let right = [("authorization", "Bearer secret")];
    assert_eq!(gateway.ask("GET", &path(2), &right).await.status, StatusCode::OK);
    assert_eq!(status(2).await, StatusCode::OK, "it is here now");
    gateway.follow(&key(4));
    assert_eq!(status(3).await, StatusCode::OK);
}

#[tokio::test]
async fn what_strangers_had_fetched_lies_in_a_share_from_which_the_oldest_goes() {
    let options = Options { untrusted_share: Some(250_000), ..Options::default() };
    let gateway = TestGateway::with(options);
    let far = |path: &'static str, len: usize, n: u64| {
        file(path, bytes(len, n)).located(Location::InTheSwarm)
    };
    let theirs = [far("1", 100_000, 1), far("2", 100_000, 2), far("3", 100_000, 3)];
    gateway.release(&key(2), "pkg:generic/a@v1", &theirs);
    gateway.release(&key(2), "pkg:generic/b@v1", &[far("large", 300_000, 4)]);
    gateway.release(&key(1), "pkg:generic/c@v1", &[far("ours", 200_000, 5)]);
    let blob = |file: &File| BlobId::of(&file.bytes);
    let held =
        |blob: &BlobId| matches!(gateway.store().blob_state(blob), Ok(BlobState::Held { .. }));
    let status = async |blob: BlobId| gateway.get(&format!("/b/{blob}")).await.status;
    let (large, ours) = (BlobId::of(&bytes(300_000, 4)), BlobId::of(&bytes(200_000, 5)));
    assert_eq!(status(ours).await, StatusCode::OK);
    assert_eq!(status(blob(&theirs[0])).await, StatusCode::OK);
    assert_eq!(status(blob(&theirs[1])).await, StatusCode::OK);
    assert_eq!(status(large).await, StatusCode::NOT_FOUND, "larger than all of it");
    gateway.store().set_pin(Pin::Blob(blob(&theirs[1])), true).expect("remembered");
    assert_eq!(status(blob(&theirs[2])).await, StatusCode::OK);
    let deadline = Instant::now() + std::time::Duration::from_secs(20);
    while held(&blob(&theirs[0])) {
        assert!(Instant::now() < deadline, "the oldest stays");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(held(&blob(&theirs[1])), "it is pinned by now");
    assert!(held(&blob(&theirs[2])), "the newest");
    assert!(held(&ours), "what this node keeps takes no room of the share");
    assert_eq!(status(blob(&theirs[0])).await, StatusCode::OK, "it comes again");
}
