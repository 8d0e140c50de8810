//! A denied blob is not served, fetched or stored again, and the next gc removes it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use perennial_manifest::BlobId;
use perennial_store::{OpenOptions, Store};
use perennial_tests::{
    Daemon, add, assert_same, count, field, files, perennial, text, wait_until, write_tree,
};

const REASON: &str = "a court order";

/// Denies a blob in a data directory that is not in use.
fn deny(data: &Path, blob: BlobId) {
    let store = Store::open(data, OpenOptions::default()).expect("a data directory");
    store.set_denied(blob, Some(REASON.to_owned())).expect("written");
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
