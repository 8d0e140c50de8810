//! Files of releases over HTTP: names, paths, conditions, downloads.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use perennial_manifest::{Keypair, SignedEntry};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::fixtures::{bytes, key};
use crate::test_gateway::{File, Location, TestGateway, file, sha256};

const KUBEKEY: &str = "pkg:generic/kubekey@v3.1.0";
const IMAGE: &str = "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io";

fn kubekey(gateway: &TestGateway, key: &Keypair, seed: u64) -> SignedEntry {
    let archive = file("kubekey-v3.1.0.tar.gz", bytes(100_000, seed)).of_type("application/gzip");
    gateway.release(
        key,
        KUBEKEY,
        &[archive, file("doc/README.md", "read me").of_type("text/markdown")],
    )
}

#[tokio::test]
async fn a_release_is_listed_and_its_files_are_served() {
    let gateway = TestGateway::new();
    let signed = kubekey(&gateway, &key(1), 1);
    let id = signed.id().to_hex();
    for path in [
        "/r/kubekey/v3.1.0".to_owned(),
        "/r/kubekey/v3.1.0/".into(),
        "/r/pkg%3Ageneric%2Fkubekey/v3.1.0/".into(),
        format!("/r/{id}"),
        format!("/r/{id}/"),
    ] {
        let answer = gateway.get(&path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::OK, "application/json"),
            "{path}"
        );
        let listing = answer.json();
        assert_eq!(listing["purl"], KUBEKEY);
        assert_eq!((&listing["state"], &listing["kind"]), (&"held".into(), &"archivist".into()));
        assert_eq!(listing["release"], id);
        assert_eq!(listing["files"][0]["path"], "doc/README.md");
        assert_eq!(listing["files"][1]["sha256"], sha256(&bytes(100_000, 1)).to_string());
    }
    let path = "/r/kubekey/v3.1.0/kubekey-v3.1.0.tar.gz";
    let answer = gateway.get(path).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 100_000));
    assert_eq!(answer.body, bytes(100_000, 1));
    assert_eq!(answer.header("content-type"), "application/gzip");
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"kubekey-v3.1.0.tar.gz\""
    );
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(
        answer.header("cache-control"),
        "no-cache",
        "a name may mean another thing tomorrow"
    );
    let etag = answer.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", blake3_of(&bytes(100_000, 1))));
    let head = gateway.ask("HEAD", path, &[]).await;
    assert_eq!(
        (head.status, head.body.len(), head.header("content-length")),
        (StatusCode::OK, 0, "100000")
    );
    assert_eq!(
        gateway.ask("GET", path, &[("if-none-match", &etag)]).await.status,
        StatusCode::NOT_MODIFIED
    );
    assert_eq!(
        gateway.ask("GET", path, &[("if-match", "\"x\"")]).await.status,
        StatusCode::PRECONDITION_FAILED
    );
    let by_id = gateway.get(&format!("/r/{id}/doc/README.md")).await;
    assert!(by_id.text() == "read me" && by_id.header("cache-control").contains("immutable"));
    assert_eq!(gateway.ask("POST", path, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(gateway.get("/r/kubekey/v3.1.0/other").await.text().starts_with("unknown: "));
}

fn blake3_of(bytes: &[u8]) -> String {
    perennial_manifest::BlobId::of(bytes).to_string()
}

#[tokio::test]
async fn ranges_follow_the_standard_and_cost_one_read_each() {
    let gateway = TestGateway::new();
    kubekey(&gateway, &key(1), 1);
    let (path, whole) = ("/r/kubekey/v3.1.0/kubekey-v3.1.0.tar.gz", bytes(100_000, 1));
    let many = format!(
        "bytes={}",
        (0..10_000).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",")
    );
    for (range, status, part) in [
        ("bytes=0-9", 206, 0..10),
        ("bytes=99990-", 206, 99_990..100_000),
        ("bytes=-10", 206, 99_990..100_000),
        ("bytes=5000-1000000", 206, 5_000..100_000),
        ("bytes=100000-", 416, 0..0),
        ("bytes=-0", 416, 0..0),
        ("bytes=500-0", 200, 0..100_000),
        ("bytes=0-50,25-75", 200, 0..100_000),
        (many.as_str(), 200, 0..100_000),
    ] {
        let answer = gateway.ask("GET", path, &[("range", range)]).await;
        let shown = &range[..range.len().min(40)];
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, part.len()), "{shown}");
        assert_eq!(answer.body, whole[part.clone()], "{shown}");
        match status {
            206 => {
                let expected = format!("bytes {}-{}/100000", part.start, part.end - 1);
                assert_eq!(answer.header("content-range"), expected);
            }
            416 => assert_eq!(answer.header("content-range"), "bytes */100000"),
            _ => assert_eq!(answer.header("content-range"), ""),
        }
    }
    let etag = format!("\"{}\"", blake3_of(&whole));
    let resumed = gateway.ask("GET", path, &[("range", "bytes=50000-"), ("if-range", &etag)]).await;
    assert_eq!((resumed.status.as_u16(), resumed.body), (206, whole[50_000..].to_vec()));
    let changed =
        gateway.ask("GET", path, &[("range", "bytes=50000-"), ("if-range", "\"x\"")]).await;
    assert_eq!((changed.status.as_u16(), changed.body), (200, whole));
    // Computed documents have ranges too.
    let sums = gateway.ask("GET", "/r/kubekey/v3.1.0/SHA256SUMS", &[("range", "bytes=0-63")]).await;
    assert_eq!((sums.status.as_u16(), sums.body.len()), (206, 64));
}

#[tokio::test]
async fn checksums_and_the_statement_come_with_a_release() {
    let gateway = TestGateway::new();
    let signed = kubekey(&gateway, &key(1), 1);
    let sums = gateway.get("/r/kubekey/v3.1.0/SHA256SUMS").await;
    assert_eq!(sums.header("content-disposition"), "attachment; filename=\"SHA256SUMS\"");
    let lines: Vec<&str> = sums.text().lines().collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let (sum, path) = line.split_once("  ").expect("sum and path");
        let body = gateway.get(&format!("/r/kubekey/v3.1.0/{path}")).await.body;
        assert_eq!(hex::encode(Sha256::digest(&body)), sum, "{path}");
    }
    let statement = gateway.get("/r/kubekey/v3.1.0/release.cbor").await;
    assert_eq!(statement.header("content-type"), "application/vnd.perennial.entry.v1+cbor");
    assert_eq!(SignedEntry::decode(&statement.body).expect("it verifies"), signed);
    // A release may contain files with these names itself.
    gateway.release(
        &key(1),
        "pkg:generic/own@v1",
        &[file("SHA256SUMS", "theirs"), file("release.cbor", "too")],
    );
    assert_eq!(gateway.get("/r/own/v1/SHA256SUMS").await.text(), "theirs");
    assert_eq!(gateway.get("/r/own/v1/release.cbor").await.text(), "too");
}

#[tokio::test]
async fn names_resolve_as_the_users_follows_say() {
    let gateway = TestGateway::new();
    let (one, other) = (key(2), key(3));
    let first = kubekey(&gateway, &one, 1);
    let path = "/r/kubekey/v3.1.0/kubekey-v3.1.0.tar.gz";
    let stranger = gateway.get(path).await;
    assert_eq!(stranger.status, StatusCode::NOT_FOUND);
    for part in [&*one.id().to_string(), "perennial follow", "?publisher=", &first.id().to_hex()] {
        assert!(stranger.text().contains(part), "{part}: {}", stranger.text());
    }
    // With a named publisher, its release is served; an id needs no trust.
    assert_eq!(
        gateway.get(&format!("{path}?publisher={}", one.id())).await.body,
        bytes(100_000, 1)
    );
    let by_id = format!("/r/{}/kubekey-v3.1.0.tar.gz", first.id().to_hex());
    assert_eq!(gateway.get(&by_id).await.status, StatusCode::OK);
    assert_eq!(
        gateway.get(&format!("{path}?publisher={}", other.id())).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(gateway.get(&format!("{path}?publisher=me")).await.status, StatusCode::BAD_REQUEST);
    gateway.follow(&one);
    assert_eq!(gateway.get(path).await.status, StatusCode::OK);
    // Another publisher's bytes change nothing until it is followed.
    kubekey(&gateway, &other, 2);
    assert_eq!(gateway.get(path).await.body, bytes(100_000, 1));
    gateway.follow(&other);
    let conflict = gateway.get(path).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT);
    assert!([&one, &other].iter().all(|key| conflict.text().contains(&key.id().to_string())));
    assert_eq!(
        gateway.get(&format!("{path}?publisher={}", other.id())).await.body,
        bytes(100_000, 2)
    );
    // One plain name for two packages.
    gateway.release(&one, "pkg:docker/x/kubekey@v3.1.0", &[file("index.json", "{}")]);
    let several = gateway.get(&format!("{path}?publisher={}", one.id())).await;
    assert_eq!(several.status, StatusCode::MULTIPLE_CHOICES);
    assert!(
        several.text().contains("pkg:docker/x/kubekey@v3.1.0") && several.text().contains(KUBEKEY)
    );
    let unknown = gateway.get("/r/nothing/v1/x").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text().starts_with("unknown: "), "{}", unknown.text());
}

#[tokio::test]
async fn a_package_url_is_a_name() {
    let gateway = TestGateway::new();
    gateway.release(
        &key(1),
        IMAGE,
        &[file("index.json", "{}").of_type("application/vnd.oci.image.index.v1+json")],
    );
    for name in [
        "pkg%3Adocker%2Fkubesphere%2Fks-console%3Frepository_url%3Dquay.io",
        "pkg:docker%2fkubesphere%2fks-console%3frepository_url=quay.io",
        "kubesphere%2Fks-console",
        "ks-console",
    ] {
        let answer = gateway.get(&format!("/r/{name}/v3.4.1/index.json")).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}"), "{name}");
        assert_eq!(answer.header("content-type"), "application/vnd.oci.image.index.v1+json");
    }
    let other = gateway
        .get("/r/pkg%3Adocker%2Fkubesphere%2Fks-console%3Frepository_url%3Dghcr.io/v3.4.1/")
        .await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn hostile_paths_name_nothing() {
    let gateway = TestGateway::new();
    kubekey(&gateway, &key(1), 1);
    for path in [
        "/r/kubekey/v3.1.0/..",
        "/r/kubekey/v3.1.0/../kubekey-v3.1.0.tar.gz",
        "/r/kubekey/v3.1.0/%2e%2e/x",
        "/r/kubekey/v3.1.0/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/r/kubekey/v3.1.0/doc/%2e/README.md",
        "/r/kubekey/v3.1.0//doc/README.md",
        "/r/kubekey/v3.1.0/doc//README.md",
        "/r//v3.1.0/x",
        "/r/kubekey//doc/README.md",
        "/r/kubekey/v3.1.0/a%00b",
        "/r/%00/v1/x",
        "/r/kubekey/v3.1.0/a%0d%0ab",
        "/r/kubekey/v3.1.0/%ff",
        "/r/../etc/passwd",
        "/r/%2e%2e/%2e%2e/etc",
        "/r/kubekey/v3.1.0/doc%5CREADME.md",
        "/b/..",
        "/b/blake3:..",
        "/b/blake3:%00",
        "/b/md5:00",
        "/b/sha256:zz",
        "/r/kubekey/v3.1.0/c:x",
    ] {
        let answer = gateway.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {answer:?}");
        assert!(!answer.text().contains("root:"), "{path}");
    }
    let long = format!("/r/{}/v1/{}", "a".repeat(5_000), "b/".repeat(5_000));
    assert!(gateway.get(&long).await.status.is_client_error());
}

#[tokio::test]
async fn archived_pages_never_run_here() {
    let gateway = TestGateway::new();
    let page = "<script>alert(document.domain)</script>";
    let files = [
        file("index.html", page).of_type("text/html"),
        file("a.svg", page).of_type("image/svg+xml"),
        file("b.xhtml", page).of_type("application/xhtml+xml"),
    ];
    let id = gateway.release(&key(1), "pkg:generic/site@v1", &files).id();
    let blob = blake3_of(page.as_bytes());
    for path in [
        "/r/site/v1/index.html",
        "/r/site/v1/a.svg",
        "/r/site/v1/b.xhtml",
        &*format!("/r/{id}/index.html"),
        &*format!("/b/{blob}"),
    ] {
        for method in ["GET", "HEAD"] {
            // The policy and `nosniff` are checked on every response of these tests.
            let answer = gateway.ask(method, path, &[]).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(
                answer.header("content-disposition").starts_with("attachment; filename="),
                "{path}"
            );
        }
        let part = gateway.ask("GET", path, &[("range", "bytes=0-3")]).await;
        assert!(part.header("content-disposition").starts_with("attachment"), "{path}");
    }
    // Echoed text is not rendered as a page, either.
    let echoed = gateway.get("/r/%3Cscript%3E/v1/x").await;
    assert!(echoed.header("content-type").starts_with("text/plain"), "{echoed:?}");
}

#[tokio::test]
async fn files_not_held_are_fetched_or_reported_to_have_no_holder() {
    let gateway = TestGateway::new();
    let there = file("there", bytes(300_000, 1)).located(Location::InTheSwarm);
    let gone = file("gone", bytes(300_000, 2)).located(Location::Nowhere);
    gateway.release(&key(1), "pkg:generic/far@v1", &[there.clone(), gone.clone()]);
    let head = gateway.ask("HEAD", "/r/far/v1/there", &[]).await;
    assert_eq!((head.status, head.header("content-length")), (StatusCode::OK, "300000"));
    assert!(
        gateway.node.fetched.lock().expect("not poisoned").is_empty(),
        "a HEAD brings nothing here"
    );
    assert_eq!(gateway.get("/r/far/v1/there").await.body, there.bytes);
    assert_eq!(gateway.node.fetched.lock().expect("not poisoned").len(), 1);
    for path in ["/r/far/v1/gone".to_owned(), format!("/b/{}", blake3_of(&gone.bytes))] {
        let answer = gateway.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(
            answer.text().starts_with("known but no reachable holder: blake3:"),
            "{}",
            answer.text()
        );
    }
    // Lists are fetched in the same way.
    gateway.release_with_list(
        &key(1),
        "pkg:generic/list@v1",
        &[file("a", "1")],
        Location::InTheSwarm,
    );
    assert_eq!(gateway.get("/r/list/v1/a").await.text(), "1");
    gateway.release_with_list(
        &key(1),
        "pkg:generic/no-list@v1",
        &[file("a", "2")],
        Location::Nowhere,
    );
    assert!(
        gateway.get("/r/no-list/v1/a").await.text().starts_with("known but no reachable holder")
    );
    assert_eq!(gateway.get("/r/no-list/v1/release.cbor").await.status, StatusCode::OK);
}

#[tokio::test]
async fn long_lists_left_unread_occupy_bounded_memory() {
    let gateway = TestGateway::new();
    let name = |at: usize| &*Box::leak(format!("{at}").into_boxed_str());
    let files: Vec<File> = (0..60_000).map(|at| file(name(at), "x")).collect();
    gateway.release(&key(1), "pkg:generic/long@v1", &files);
    gateway.release(&key(1), "pkg:generic/short@v1", &files[..10]);
    let untaken = || {
        let request = Request::builder().uri("/r/long/v1/").body(Body::empty()).expect("a request");
        gateway.router.clone().oneshot(request)
    };
    let first = untaken().await.expect("an answer");
    assert_eq!(first.status(), StatusCode::OK);
    let mut second = std::pin::pin!(untaken());
    let waited = tokio::time::timeout(Duration::from_millis(1500), &mut second).await;
    assert!(waited.is_err(), "there is room for one of them");
    assert_eq!(gateway.get("/r/short/v1/").await.status, StatusCode::OK, "short ones need none");
    assert_eq!(gateway.get("/r/short/v1/SHA256SUMS").await.status, StatusCode::OK);
    drop(first);
    assert_eq!(second.await.expect("an answer").status(), StatusCode::OK);
}

/// Their lists differ in what upstream said of the file, and have to be fetched to see that.
#[tokio::test]
async fn publishers_of_the_same_bytes_agree_whatever_else_their_lists_say() {
    let gateway = TestGateway::new();
    let sign = |seed: u8, text: &'static str, kind: &'static str| {
        let files = [file("tool", text).of_type(kind)];
        let list = Location::InTheSwarm;
        gateway.release_with_list(&key(seed), "pkg:generic/tool@1", &files, list);
        gateway.follow(&key(seed));
    };
    sign(2, "the tool", "text/plain");
    sign(3, "the tool", "application/x-tool");
    let answer = gateway.get("/r/tool/1/tool").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "the tool"));
    sign(4, "no tool.", "text/plain");
    assert_eq!(gateway.get("/r/tool/1/tool").await.status, StatusCode::CONFLICT);
}
