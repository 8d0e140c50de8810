//! What an HTTP client asks for and its node does not know: connected peers are asked, and trust
//! decides what of their answers is served.

use perennial_tests::{
    Daemon, Image, add, field, http_get, perennial, publisher, write_image, write_tree,
};

/// The status and the body of a GET.
fn get(node: &Daemon, path: &str) -> (u16, Vec<u8>) {
    http_get(node.http.as_deref().expect("it serves HTTP"), path).expect("an answer")
}

/// The first node knows a release of which the second one, that follows nobody, never heard. Each
/// case takes a second node of its own: what one question brings, the next ones find.
#[test]
fn a_miss_asks_connected_peers_and_serves_what_trust_allows() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("src"), 1, &[5000, 200_000]);
    let a = Daemon::start(&at("a"), &[]);
    let added = add(a.data(), &source, "tool", "v1");
    let who = publisher(a.data());
    let shown = perennial(a.data(), &["show", field(&added, "release")]).ok().json();
    let file = &shown["files"][0];
    let (path, sha256, blake3) =
        (field(file, "path"), field(file, "sha256"), field(file, "blake3"));
    let content = std::fs::read(source.join(path)).expect("ours");
    let release = field(&added, "release");
    for (n, (asked, follow)) in [
        (format!("/r/tool/v1/{path}?publisher={who}"), false),
        (format!("/r/{release}/{path}"), false),
        (format!("/b/{sha256}"), false),
        (format!("/b/{blake3}"), false),
        (format!("/r/tool/v1/{path}"), true),
    ]
    .into_iter()
    .enumerate()
    {
        let mut args = vec!["--peer", a.address(), "--http", "127.0.0.1:0"];
        if follow {
            args.extend(["--follow", &who]);
        } else {
            args.push("--fetch-untrusted");
        }
        let b = Daemon::start(&at(&format!("b{n}")), &args);
        perennial(b.data(), &["--peer", a.address(), "peers"]).ok();
        let (status, body) = get(&b, &asked);
        assert_eq!(status, 200, "{asked}: {}", String::from_utf8_lossy(&body));
        assert!(body == content, "{asked}");
    }

    // A name that only a stranger signed is not served, and the answer says whose it is.
    let args = ["--peer", a.address(), "--http", "127.0.0.1:0"];
    let b = Daemon::start(&at("stranger"), &args);
    perennial(b.data(), &["--peer", a.address(), "peers"]).ok();
    let (status, body) = get(&b, &format!("/r/tool/v1/{path}"));
    let said = String::from_utf8_lossy(&body);
    assert_eq!(status, 404, "{said}");
    assert!(said.contains("does not follow") && said.contains(&who), "{said}");
    // Nor is anything of it fetched, by whatever name: anybody may ask, and anybody may sign.
    for asked in [format!("/r/{release}/{path}"), format!("/b/{sha256}"), format!("/b/{blake3}")] {
        let (status, body) = get(&b, &asked);
        let said = String::from_utf8_lossy(&body);
        assert_eq!(status, 404, "{asked}: {said}");
    }
    let status = perennial(b.data(), &["status"]).ok().json();
    assert_eq!(status["held_releases"], 0, "{status}");
    assert_eq!(status["blobs"], 0, "{status}");
    let (status, body) = get(&b, "/r/nosuch/v1/x");
    assert_eq!((status, body.starts_with(b"unknown: ")), (404, true));
}

/// As above, through the registry: by tag for a publisher that is followed, by digest for any.
#[test]
fn a_pull_of_an_image_that_only_a_peer_knows_finds_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let Image { manifest, layer, .. } = write_image(&at("layout"), &[7; 100_000]);
    let a = Daemon::start(&at("a"), &[]);
    let source = format!("oci:{}", at("layout").display());
    perennial(a.data(), &["add", &source, "--ref", "quay.io/team/app:v1"]).ok();
    let who = publisher(a.data());
    for (n, (asked, follow, status)) in [
        (format!("manifests/{manifest}"), false, 200),
        (format!("blobs/{layer}"), false, 200),
        ("manifests/v1".to_owned(), true, 200),
        ("manifests/v1".to_owned(), false, 404),
    ]
    .into_iter()
    .enumerate()
    {
        let mut args = vec!["--peer", a.address(), "--http", "127.0.0.1:0"];
        if follow {
            args.extend(["--follow", &who]);
        } else {
            args.push("--fetch-untrusted");
        }
        let b = Daemon::start(&at(&format!("b{n}")), &args);
        perennial(b.data(), &["--peer", a.address(), "peers"]).ok();
        let (answered, body) = get(&b, &format!("/v2/quay.io/team/app/{asked}"));
        let said = String::from_utf8_lossy(&body);
        assert_eq!(answered, status, "{asked}: {said}");
        if status == 404 {
            assert!(said.contains("does not follow") && said.contains(&who), "{said}");
        }
    }
}
