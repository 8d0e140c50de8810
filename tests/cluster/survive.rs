//! The main promise: add on A, follow on B and C, lose A with its directory, get the release on D
//! through C.

use std::fs;
use std::time::Duration;

use perennial_tests::{
    Daemon, add, assert_same, count, field, files, mixed, perennial, publisher, text, wait_until,
    write_tree,
};

const ARRIVES: Duration = Duration::from_secs(60);

#[test]
fn a_release_outlives_the_node_that_published_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("kubekey-v3.1.0"), 1, &mixed(1));

    let a = Daemon::start(&at("a"), &[]);
    let added = add(a.data(), &source, "kubekey", "v3.1.0");
    assert_eq!(added["artifacts"], mixed(1).len());
    assert_eq!(added["bytes"], mixed(1).iter().sum::<usize>());
    let who = publisher(a.data());
    assert_eq!(field(&added, "publisher"), who);

    let follow = ["--peer", a.address(), "--follow", &who];
    let b = Daemon::start(&at("b"), &follow);
    let c = Daemon::start(&at("c"), &follow);
    for node in [&b, &c] {
        wait_until(ARRIVES, "the followers hold it", || {
            (count(node.data(), "held") == 1).then_some(())
        });
    }

    a.kill();
    fs::remove_dir_all(at("a")).expect("A's directory goes");

    let d = Daemon::start(&at("d"), &[]);
    let out = at("out");
    let args =
        ["--peer", c.address(), "get", "kubekey@v3.1.0", "--publisher", &who, "-o", text(&out)];
    let got = perennial(d.data(), &args).ok().json();
    assert_same(&source, &out);
    assert_eq!(got["release"], added["release"]);
    assert_eq!(got["bytes"], added["bytes"]);
    let from = got["from"].as_object().expect("peers and bytes");
    assert!(!from.is_empty(), "{got}");
    assert!(from.keys().all(|peer| peer == b.peer_id() || peer == c.peer_id()), "{got}");
    let sum: u64 = from.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(got["fetched_bytes"], sum);

    // The survivors restart, still hold the release, and serve it to a machine without a node.
    drop((b, d));
    let limit = Duration::from_secs(10);
    c.terminate(limit);
    let c = Daemon::start(&at("c"), &[]);
    assert_eq!(count(c.data(), "held"), 1);
    let again = at("again");
    let args = ["--peer", c.address(), "get", field(&added, "release"), "-o", text(&again)];
    perennial(&at("e"), &args).ok();
    assert_same(&source, &again);
}

#[test]
fn either_digest_fetches_a_blob_without_trust() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("src"), 2, &[300_000, 500]);
    let a = Daemon::start(&at("a"), &[]);
    let added = add(a.data(), &source, "thing", "1.0");
    let shown = perennial(a.data(), &["show", field(&added, "release")]).ok().json();
    for (number, file) in shown["files"].as_array().expect("files").iter().enumerate() {
        for digest in ["blake3", "sha256"] {
            let out = at(&format!("out-{number}-{digest}"));
            let args = ["--peer", a.address(), "get", field(file, digest), "-o", text(&out)];
            perennial(&at(&format!("node-{number}-{digest}")), &args).ok();
            let bytes = files(&out).into_values().next().expect("one file");
            let original = fs::read(source.join(field(file, "path"))).expect("the source");
            assert!(bytes == original, "{digest} of {file}");
        }
    }
}
