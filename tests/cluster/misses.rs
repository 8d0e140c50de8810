//! What an HTTP client asks for and its node does not know: connected peers are asked, and trust
//! decides what of their answers is served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use sha2::{Digest, Sha256};

use perennial_tests::{Daemon, add, field, perennial, publisher, write_tree};

/// The status and the body of a GET.
fn get(node: &Daemon, path: &str) -> (u16, Vec<u8>) {
    let address = node.http.as_deref().expect("it serves HTTP");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]);
    (
        head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status"),
        answer.split_off(end + 4),
    )
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

/// An image layout of one layer. Returns the digest of its manifest, and the layer's.
fn layout(dir: &Path) -> (String, String) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("made");
    let add = |bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(blobs.join(&hex), bytes).expect("written");
        (format!("sha256:{hex}"), bytes.len())
    };
    let descriptor = |kind: &str, (digest, size): &(String, usize)| {
        serde_json::json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": digest,
            "size": size,
        })
    };
    let layer = add(&[7; 100_000]);
    let config = add(br#"{"architecture":"amd64","os":"linux"}"#);
    let manifest = add(serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", &config),
        "layers": [descriptor("layer.v1.tar", &layer)],
    })
    .to_string()
    .as_bytes());
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [descriptor("manifest.v1+json", &manifest)],
    });
    std::fs::write(dir.join("index.json"), index.to_string()).expect("written");
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
    (manifest.0, layer.0)
}

/// As above, through the registry: by tag for a publisher that is followed, by digest for any.
#[test]
fn a_pull_of_an_image_that_only_a_peer_knows_finds_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let (manifest, layer) = layout(&at("layout"));
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
