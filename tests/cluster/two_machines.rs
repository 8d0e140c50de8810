//! One key on two machines. A fork is proof, every node that sees both branches shows it, and a
//! merge ends it. A restored backup signs nothing below the sequence numbers that its peers have
//! seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use perennial_tests::{
    Daemon, Outcome, add, assert_same, field, perennial, publisher, text, wait_until, write_tree,
};

const ARRIVES: Duration = Duration::from_secs(60);

/// Copies the publisher to another machine, with a different peer id.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs").success());
    fs::remove_file(to.join("keys/node.key")).expect("the node's own key");
}

fn source(dir: &Path, seed: u64) -> PathBuf {
    write_tree(&dir.join(format!("src-{seed}")), seed, &[90_000, 300])
}

fn try_add(data: &Path, dir: &Path, version: &str) -> Outcome {
    perennial(data, &["add", text(dir), "--name", "tool", "--version", version, "--license", "MIT"])
}

fn key(data: &Path) -> Value {
    perennial(data, &["key"]).ok().json()
}

/// Returns whether this follower shows the fork.
fn forked(data: &Path, who: &str) -> bool {
    let rows = perennial(data, &["follows"]).ok().rows();
    rows.iter().any(|row| row["publisher"] == who && row["forked"] == true)
}

fn held(data: &Path, release: &Value) -> bool {
    let rows = perennial(data, &["ls"]).ok().rows();
    rows.iter().any(|row| row["release"] == release["release"] && row["state"] == "held")
}

#[test]
fn a_fork_seen_by_two_halves_is_shown_by_both_and_ended_by_a_merge() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let first = add(&at("a"), &source(dir.path(), 1), "tool", "1");
    let who = publisher(&at("a"));
    copy(&at("a"), &at("b"));
    // Each half has a signing machine and a follower.
    let (a, b) = (Daemon::start(&at("a"), &[]), Daemon::start(&at("b"), &[]));
    let follow = |name: &str, peer: &Daemon| {
        Daemon::start(&at(name), &["--peer", peer.address(), "--follow", &who])
    };
    let (c, d) = (follow("c", &a), follow("d", &b));
    let one = add(&at("a"), &source(dir.path(), 2), "tool", "2");
    let other = add(&at("b"), &source(dir.path(), 3), "tool", "2");
    for (node, release) in [(&c, &one), (&d, &other)] {
        wait_until(ARRIVES, "the half's release", || held(node.data(), release).then_some(()));
        assert!(!forked(node.data(), &who), "neither half can know");
        let got = perennial(node.data(), &["get", "tool@2"]).ok().json();
        assert_eq!(got["release"], release["release"]);
    }

    // The halves meet.
    drop(d);
    let d = Daemon::start(&at("d"), &["--peer", b.address(), "--peer", c.address()]);
    for (number, node) in [&c, &d].into_iter().enumerate() {
        wait_until(ARRIVES, "the proof and both releases", || {
            let both = held(node.data(), &one) && held(node.data(), &other);
            (both && forked(node.data(), &who)).then_some(())
        });
        shows_the_fork(node.data(), &who, [&one, &other]);
        assert!(held(node.data(), &first), "earlier releases stay");
        for (release, seed) in [(&one, 2), (&other, 3)] {
            let out = at(&format!("out-{number}-{seed}"));
            perennial(node.data(), &["get", field(release, "release"), "-o", text(&out)]).ok();
            assert_same(&at(&format!("src-{seed}")), &out);
        }
    }

    // The owner is told, cannot sign before a merge, and can sign after it.
    drop(a);
    let a = Daemon::start(&at("a"), &["--peer", d.address()]);
    wait_until(ARRIVES, "its owner sees it", || (key(a.data())["forked"] == true).then_some(()));
    let said = try_add(a.data(), &source(dir.path(), 4), "3").failed(1);
    assert!(said.stderr.contains("merge"), "says what to do: {said:?}");
    let merged = perennial(a.data(), &["key", "--merge"]).ok().json();
    assert_eq!(merged["forked"], false, "{merged}");
    let third = add(a.data(), &source(dir.path(), 4), "tool", "3");
    for node in [&c, &d] {
        wait_until(ARRIVES, "the merge and what follows it", || {
            (held(node.data(), &third) && !forked(node.data(), &who)).then_some(())
        });
    }
}

/// The name is ambiguous: it is rejected with both releases shown, and each list marks the fork.
fn shows_the_fork(data: &Path, who: &str, releases: [&Value; 2]) {
    for command in ["get", "show"] {
        let said = perennial(data, &[command, "tool@2"]).failed(4);
        for release in releases {
            assert!(
                said.stderr.contains(field(release, "release")),
                "{command} shows both: {said:?}"
            );
        }
        assert!(said.stderr.contains("\"forked\":true"), "{command}: {said:?}");
    }
    for release in releases {
        let shown = perennial(data, &["show", field(release, "release")]).ok().json();
        assert_eq!(shown["forked"], true, "{shown}");
    }
    let notices = perennial(data, &["status"]).json()["notices"].to_string();
    assert!(notices.contains(who), "{notices}");
}

#[test]
fn a_restored_backup_continues_after_its_peers_entries() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    add(&at("a"), &source(dir.path(), 1), "tool", "1");
    let who = publisher(&at("a"));
    let backup = Command::new("cp").arg("-a").args([at("a"), at("backup")]).status();
    assert!(backup.expect("cp runs").success());
    let a = Daemon::start(&at("a"), &[]);
    let b = Daemon::start(&at("b"), &["--peer", a.address(), "--follow", &who]);
    let second = add(a.data(), &source(dir.path(), 2), "tool", "2");
    wait_until(ARRIVES, "the second release", || held(b.data(), &second).then_some(()));
    let before = key(a.data())["entries"].as_u64().expect("a number");
    a.kill();
    fs::remove_dir_all(at("a")).expect("the disk dies");
    fs::rename(at("backup"), at("a")).expect("restored");
    let a = Daemon::start(&at("a"), &["--peer", b.address()]);
    let third = add(a.data(), &source(dir.path(), 3), "tool", "3");
    let now = key(a.data());
    assert_eq!((&now["entries"], &now["forked"]), (&(before + 1).into(), &false.into()), "{now}");
    wait_until(ARRIVES, "the third release", || held(b.data(), &third).then_some(()));
    assert!(!forked(b.data(), &who));
}

#[test]
fn a_restored_backup_signs_nothing_below_the_highest_entry_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    add(&at("a"), &source(dir.path(), 1), "tool", "1");
    copy(&at("a"), &at("old"));
    add(&at("a"), &source(dir.path(), 2), "tool", "2");
    // The entries are the backup's; the highest sequence seen is remembered separately.
    fs::copy(at("a").join("state/seen.json"), at("old").join("state/seen.json")).expect("copied");
    let before = key(&at("old"))["entries"].clone();
    for _ in 0..2 {
        let said = try_add(&at("old"), &source(dir.path(), 3), "2").failed(1);
        assert!(said.stderr.contains("a restored backup, or a second machine"), "{said:?}");
        // The same after a rebuild of the index.
        perennial(&at("old"), &["rebuild-index"]).ok();
    }
    assert_eq!(key(&at("old"))["entries"], before, "nothing was signed");
}
