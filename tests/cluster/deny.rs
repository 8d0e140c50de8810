//! What is denied is not served, fetched or stored again, and the next gc removes it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use perennial_manifest::BlobId;
use perennial_store::{OpenOptions, Store};
use perennial_tests::{
    Daemon, add, assert_same, count, field, files, perennial, publisher, text, wait_until,
    write_tree,
};

const REASON: &str = "a court order";

/// Denies a blob in a data directory that is not in use.
fn deny(data: &Path, blob: BlobId) {
    let store = Store::open(data, OpenOptions::default()).expect("a data directory");
    store.deny(blob.into(), REASON.to_owned()).expect("written");
}

/// Returns whether any file below the data directory contains these bytes.
fn kept(data: &Path, content: &[u8]) -> bool {
    files(data).values().any(|bytes| bytes.windows(content.len()).any(|window| window == content))
}

/// A release of a denied file and another file in `a`. Denied in `a`, and in `d`, which is still
/// empty.
fn denied_everywhere(size: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("src"), 41, &[size, 500]);
    let content = fs::read(source.join("file-0.bin")).expect("the source");
    let blob = BlobId::of(&content);
    let added = add(&at("a"), &source, "thing", "1");
    let (release, who) = (field(&added, "release"), field(&added, "publisher"));
    perennial(&at("c"), &["key"]).ok();
    perennial(&at("d"), &["key"]).ok();
    deny(&at("d"), blob);
    let out = at("out");

    // The denied file is not fetched by name, by digest or by a follow; the rest of the release
    // still is.
    let a = Daemon::start(&at("a"), &[]);
    for what in [release.to_owned(), blob.to_string()] {
        let said = perennial(&at("d"), &["--peer", a.address(), "get", &what, "-o", text(&out)]);
        assert!(said.code != Some(0) && said.stderr.contains("deny list"), "{said:?}");
        assert!(!out.exists() || files(&out).is_empty(), "written out");
        assert!(!kept(&at("d"), &content), "fetched all the same, as {what}");
    }
    let d = Daemon::start(&at("d"), &["--peer", a.address(), "--follow", who]);
    wait_until(Duration::from_secs(60), "the release is known", || {
        (perennial(d.data(), &["ls"]).ok().rows().len() == 1).then_some(())
    });
    // The feed's next entry arrives, so the denied release has been considered.
    let next = write_tree(&at("next"), 42, &[90_000]);
    add(a.data(), &next, "thing", "2");
    wait_until(Duration::from_secs(60), "the next release", || {
        (count(d.data(), "held") == 1).then_some(())
    });
    d.terminate(Duration::from_secs(10));
    assert!(!kept(&at("d"), &content), "fetched for a follow");
    a.terminate(Duration::from_secs(10));

    // The node that has the bytes serves them to neither peers nor the user, and gc removes them.
    deny(&at("a"), blob);
    let a = Daemon::start(&at("a"), &[]);
    perennial(&at("c"), &["--peer", a.address(), "get", &blob.to_string(), "-o", text(&out)])
        .failed(3);
    let said = perennial(a.data(), &["get", release, "-o", text(&out)]);
    assert!(said.code != Some(0) && said.stderr.contains("deny list"), "{said:?}");
    assert!(!out.exists() || !files(&out).values().any(|bytes| *bytes == content), "written out");
    perennial(a.data(), &["get", "thing@2", "-o", text(&at("other"))]).ok();
    assert_same(&next, &at("other"));
    perennial(a.data(), &["gc"]).ok();
    perennial(a.data(), &["verify"]).ok();
    a.terminate(Duration::from_secs(10));
    assert!(!kept(&at("a"), &content), "still there after gc");
}

#[test]
fn a_denied_large_blob() {
    denied_everywhere(300_000);
}

#[test]
fn a_denied_small_blob() {
    denied_everywhere(9_000);
}

/// The status of a GET, and the body as text.
fn get(node: &Daemon, path: &str) -> (u16, String) {
    let address = node.http.as_deref().expect("it serves HTTP");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer)
}

/// A running node: what its owner denies is gone from that moment, to HTTP clients, to peers and to
/// the owner; and is there again once it is allowed.
#[test]
fn a_running_node_denies_a_package_or_a_publisher_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let a = Daemon::start(&at("a"), &[]);
    let who = publisher(a.data());
    let arguments = ["--peer", a.address(), "--follow", &who, "--http", "127.0.0.1:0"];
    let b = Daemon::start(&at("b"), &arguments);
    let (bad, good) = (write_tree(&at("bad"), 1, &[300_000]), write_tree(&at("good"), 2, &[9_000]));
    let added = add(a.data(), &bad, "bad", "1");
    add(a.data(), &good, "good", "1");
    wait_until(Duration::from_secs(60), "both are held", || {
        (count(b.data(), "held") == 2).then_some(())
    });
    let path = "/r/bad/1/file-0.bin";
    // Only `b` is asked.
    a.terminate(Duration::from_secs(10));
    let release = field(&added, "release");
    let from_b = |n: usize, code: i32| {
        let data = at(&format!("c{code}-{n}"));
        let said = perennial(&data, &["--peer", b.address(), "get", release]);
        assert_eq!(said.code, Some(code), "{said:?}");
    };
    for (n, target) in ["pkg:generic/bad", &who].into_iter().enumerate() {
        assert_eq!(get(&b, path).0, 200);
        from_b(n, 0);
        perennial(b.data(), &["deny", target, "--reason", REASON]).ok();
        let (status, text) = get(&b, path);
        assert!(status == 451 && text.contains(REASON), "{text}");
        from_b(n, 3);
        let said = perennial(b.data(), &["get", "bad@1"]).failed(1);
        assert!(said.stderr.contains(REASON) && said.stderr.contains("denied"), "{said:?}");
        let listed = perennial(b.data(), &["ls"]).ok().rows();
        assert!(listed.iter().all(|row| field(row, "purl") != "pkg:generic/bad@1"), "{listed:?}");
        let denied = perennial(b.data(), &["denied"]).ok().rows();
        assert_eq!((field(&denied[0], "target"), field(&denied[0], "reason")), (target, REASON));
        perennial(b.data(), &["undeny", target]).ok();
        assert!(perennial(b.data(), &["denied"]).ok().rows().is_empty());
    }
    assert_eq!(get(&b, path).0, 200);
}
