//! Which publishers a name resolves through: strangers, disagreement, agreement.

use std::time::Duration;

use perennial_tests::{
    Daemon, add, assert_same, field, perennial, publisher, text, wait_until, write_tree,
};

/// Publishers that archive each other, each with a release of the same name.
fn two_publishers(dir: &std::path::Path, seeds: [u64; 2]) -> (Daemon, Daemon, [String; 2]) {
    let a = Daemon::start(&dir.join("a"), &["--follow", "all"]);
    let b = Daemon::start(&dir.join("b"), &["--follow", "all", "--peer", a.address()]);
    let whos = [publisher(a.data()), publisher(b.data())];
    for (node, seed) in [(&a, seeds[0]), (&b, seeds[1])] {
        let source = write_tree(&dir.join(format!("src-{seed}")), seed, &[5000, 90_000]);
        add(node.data(), &source, "tool", "v1");
    }
    (a, b, whos)
}

#[test]
fn a_name_that_only_strangers_signed_is_listed_and_not_fetched() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let (a, b, whos) = two_publishers(dir.path(), [1, 2]);
    let peers = ["--peer", a.address(), "--peer", b.address()];
    let out = at("out");
    let get = ["get", "tool@v1", "-o", text(&out)];
    let said = perennial(&at("d"), &[&peers[..], &get[..]].concat()).failed(3);
    let shown = format!("{}{}", said.stdout, said.stderr);
    assert!(whos.iter().all(|who| shown.contains(who)), "who signed it is told: {shown}");
    assert!(!out.exists(), "nothing is written");
    assert!(!at("d").exists(), "nothing is fetched, and no archive is left");

    // A publisher named by the user decides.
    let decided = [&peers[..], &get[..], &["--publisher", &whos[1]]].concat();
    perennial(&at("d"), &decided).ok();
    assert_same(&at("src-2"), &out);
}

#[test]
fn two_followed_publishers_that_disagree_are_a_conflict() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let (a, b, whos) = two_publishers(dir.path(), [1, 2]);
    for (who, name) in whos.iter().zip(["anna", "bert"]) {
        perennial(&at("d"), &["follow", who, "--as", name]).ok();
    }
    assert_eq!(perennial(&at("d"), &["follows"]).ok().rows().len(), 2);
    let peers = ["--peer", a.address(), "--peer", b.address()];
    let out = at("out");
    let get = ["get", "tool@v1", "-o", text(&out)];
    let said = perennial(&at("d"), &[&peers[..], &get[..]].concat()).failed(4);
    let shown = format!("{}{}", said.stdout, said.stderr);
    assert!(whos.iter().all(|who| shown.contains(who)), "both are shown: {shown}");
    assert!(!out.exists());
    perennial(&at("d"), &[&peers[..], &get[..], &["--publisher", &whos[0]]].concat()).ok();
    assert_same(&at("src-1"), &out);

    // The other publisher is named as in `follow --as`.
    let other = at("other");
    let get = ["get", "tool@v1", "-o", text(&other), "--publisher", "bert"];
    perennial(&at("d"), &[&peers[..], &get[..]].concat()).ok();
    assert_same(&at("src-2"), &other);
    let get = ["get", "tool@v1", "--publisher", "carla"];
    let said = perennial(&at("d"), &[&peers[..], &get[..]].concat()).failed(3);
    assert!(said.stderr.contains("no publisher named carla"), "{said:?}");
    assert!(said.stderr.contains("perennial follows"), "it says what to do next: {said:?}");
}

#[test]
fn two_followed_publishers_that_agree_are_shown_as_such() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let (a, b, whos) = two_publishers(dir.path(), [7, 7]);
    for who in &whos {
        perennial(&at("d"), &["follow", who]).ok();
    }
    let out = at("out");
    let peers = ["--peer", a.address(), "--peer", b.address()];
    let get = ["get", "tool@v1", "-o", text(&out)];
    let got = perennial(&at("d"), &[&peers[..], &get[..]].concat()).ok().json();
    assert_same(&at("src-7"), &out);
    let agreeing = got["publishers"].as_array().expect("publishers").len();
    assert_eq!(agreeing, 2, "{got}");
}

#[test]
fn get_never_overwrites_other_content_unless_forced() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("src"), 3, &[70_000, 10]);
    let a = Daemon::start(&at("a"), &[]);
    let added = add(a.data(), &source, "thing", "1");
    let out = at("out");
    let args = ["get", field(&added, "release"), "-o", text(&out)];
    perennial(a.data(), &args).ok();
    perennial(a.data(), &args).ok();
    std::fs::write(out.join("file-1.bin"), "mine").expect("writable");
    let said = perennial(a.data(), &args).failed(1);
    assert!(said.stderr.contains("file-1.bin already exists with other content"), "{said:?}");
    assert!(said.stderr.contains("--force replaces it"), "{said:?}");
    assert_eq!(std::fs::read(out.join("file-1.bin")).expect("kept"), b"mine");
    perennial(a.data(), &[&args[..], &["--force"]].concat()).ok();
    assert_same(&source, &out);
}

#[test]
fn a_release_that_no_node_has_ends_with_3() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("d");
    perennial(&data, &["get", &"ab".repeat(32)]).failed(3);
    perennial(&data, &["get", "nothing@v0"]).failed(3);
    perennial(&data, &["get"]).failed(2);
}

#[test]
fn a_search_asks_connected_peers_and_shows_apart_what_only_they_know() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("src"), 1, &[90_000, 300]);
    let added = add(&at("a"), &source, "a/tool", "v1@2");
    let file = perennial(&at("a"), &["show", "a/tool"]).ok().json()["files"][0].clone();
    let a = Daemon::start(&at("a"), &[]);
    let b = Daemon::start(&at("b"), &["--peer", a.address()]);
    wait_until(Duration::from_secs(30), "the peer", || {
        (perennial(b.data(), &["peers"]).ok().rows().len() == 1).then_some(())
    });
    let digest = field(&file, "sha256");
    let path = field(&file, "path");
    for args in [
        &["search", "tool"][..],
        &["search", "ool"],
        &["search", "v1@2"],
        &["search", digest],
        &["search", path],
        &["ls", "a/tool"],
        &["ls", "a/tool:v1@2"],
    ] {
        let other = tempfile::tempdir().expect("a directory");
        let asked = [&["--peer", a.address()], args].concat();
        let rows = perennial(&other.path().join("c"), &asked).ok().rows();
        assert_eq!(rows.len(), 1, "{args:?}");
        assert_eq!(rows[0]["release"], added["release"], "{args:?}");
        // A look-up for `ls` brings the feed of the publisher, which makes the release known here.
        assert!(rows[0]["elsewhere"] == true || args[0] == "ls", "{args:?}: {rows:?}");
    }
    // The connected peers of a node are asked without being named.
    let rows = perennial(b.data(), &["search", path]).ok().rows();
    assert_eq!(rows[0]["elsewhere"], true, "{rows:?}");
    assert_eq!(perennial(a.data(), &["search", path]).ok().rows()[0]["elsewhere"], false);
    perennial(b.data(), &["search", "nosuch"]).failed(3);

    // Looking needs no trust; a near miss is told by the peer.
    let shown = perennial(b.data(), &["show", "a/tool:v1@2"]).ok().json();
    assert_eq!((&shown["release"], &shown["followed"]), (&added["release"], &false.into()));
    let missed = perennial(b.data(), &["get", "Tool@v1"]).failed(3);
    assert!(missed.stderr.contains("known are: a/tool@v1@2"), "{missed:?}");

    // One file, from the release that its digest names, too.
    let out = at("out");
    let release = field(&added, "release").to_uppercase();
    let got = perennial(b.data(), &["get", &release, path, "-o", text(&out)]).ok().json();
    assert_eq!(got["artifacts"], 1, "{got}");
    assert_eq!(std::fs::read(out.join(path)).unwrap(), std::fs::read(source.join(path)).unwrap());
    let none = perennial(b.data(), &["get", &release, "nosuch"]).failed(3);
    assert!(none.stderr.contains("has no file"), "{none:?}");
}
