//! SIGTERM during transfers, and restarts of all nodes.

use std::fs;
use std::time::Duration;

use super::cheats::Scene;
use super::liar::Manner;
use perennial_tests::{
    Daemon, MIB, add, assert_same, command, count, field, perennial, publisher, text, wait_until,
    write_tree,
};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn sigterm_during_transfers_ends_in_time_and_the_fetch_resumes() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("src"), 1, &[60 * MIB, 40 * MIB, 5000, 6000]);
    // Slow on purpose, so that the signal arrives mid-transfer.
    let a = Daemon::start(&at("a"), &["--upload", "12MiB"]);
    let added = add(a.data(), &source, "large", "1");
    let who = publisher(a.data());
    let followers: Vec<_> = ["b", "c", "d"]
        .map(|name| Daemon::start(&at(name), &["--peer", a.address(), "--follow", &who]))
        .into();
    for node in &followers {
        wait_until(Duration::from_secs(60), "a transfer under way", || {
            let status = perennial(node.data(), &["status"]).ok().json();
            (status["received_bytes"].as_u64()? > 2 * MIB as u64).then_some(())
        });
    }
    // An interrupted add is either acknowledged or absent.
    let more = write_tree(&at("more"), 2, &[30 * MIB]);
    let mut adding = command(
        a.data(),
        &["add", text(&more), "--name", "more", "--version", "1", "--license", "MIT"],
    )
    .spawn()
    .expect("starts");
    for node in followers {
        let (took, code) = node.terminate(LIMIT);
        assert_eq!(code, Some(0), "a clean end, after {took:?}");
    }
    let (took, code) = a.terminate(LIMIT);
    assert_eq!(code, Some(0), "a clean end, after {took:?}");
    let acknowledged = adding.wait().expect("ends").success();

    let a = Daemon::start(&at("a"), &[]);
    let held = count(a.data(), "held");
    assert!(held > usize::from(acknowledged), "{held} held, the last add said {acknowledged}");
    let b = Daemon::start(&at("b"), &["--peer", a.address()]);
    wait_until(Duration::from_secs(90), "the fetch resumes", || {
        let rows = perennial(b.data(), &["ls"]).ok().rows();
        rows.iter()
            .any(|row| row["release"] == added["release"] && row["state"] == "held")
            .then_some(())
    });
    let received =
        perennial(b.data(), &["status"]).ok().json()["received_bytes"].as_u64().expect("a number");
    let total = (135 * MIB) as u64;
    assert!(received < total, "{received} bytes after the restart: nothing was resumed");
    let out = at("out");
    perennial(b.data(), &["get", field(&added, "release"), "-o", text(&out)]).ok();
    assert_same(&source, &out);
}

/// A node serves fifty streams that no peer reads, and runs a fetch from a peer that stalls.
#[test]
fn sigterm_ends_in_time_though_fifty_transfers_hang() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("src"), 18, &[24 * MIB]);
    let added = add(&at("a"), &source, "large", "1");
    let scene = Scene::new(12 * MIB);
    let liar = scene.liar(Manner::Stalls);
    // A quarter of the streams is kept for peers that have brought something.
    let a = Daemon::start(&at("a"), &["--serve-streams", "72", "--peer", &liar.address]);
    let get = ["get", &scene.release];
    let mut getting = command(a.data(), &get).spawn().expect("starts");
    wait_until(Duration::from_secs(60), "its own fetch hangs", || (liar.asked() > 0).then_some(()));

    let shown = perennial(a.data(), &["show", field(&added, "release")]).ok().json();
    let blob = field(&shown["files"][0], "blake3").parse().expect("a digest");
    let hanging: usize = (0..13).map(|_| liar.hang(a.address(), blob, 24 * MIB as u64, 4)).sum();
    assert!(hanging >= 50, "only {hanging} streams are served");
    let (took, code) = a.terminate(LIMIT);
    assert_eq!(code, Some(0), "a clean end, after {took:?}");
    assert!(!getting.wait().expect("ends").success(), "it was told that its node is gone");
    let start = std::time::Instant::now();
    let a = Daemon::start(&at("a"), &[]);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    assert_eq!(count(a.data(), "held"), 1);
}

#[test]
fn everything_is_there_after_a_restart_of_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let names = ["a", "b", "c"];
    let mut nodes: Vec<Daemon> = Vec::new();
    for name in names {
        let mut args = vec!["--follow".to_owned(), "all".to_owned()];
        for other in &nodes {
            args.extend(["--peer".to_owned(), other.address().to_owned()]);
        }
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        nodes.push(Daemon::start(&at(name), &args));
    }
    for (seed, node) in (1..).zip(&nodes) {
        let source = write_tree(&at(&format!("src-{seed}")), seed, &[200_000, 100, 100]);
        add(node.data(), &source, "tool", &format!("v{seed}"));
    }
    for node in &nodes {
        wait_until(Duration::from_secs(60), "all hold all", || {
            (count(node.data(), "held") == 3).then_some(())
        });
    }
    let state = |name: &str| {
        ["ls", "pins", "follows", "key"].map(|what| {
            let mut lines: Vec<_> =
                perennial(&at(name), &[what]).ok().stdout.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        })
    };
    let before = names.map(state);
    for (index, node) in nodes.into_iter().enumerate() {
        if index == 0 {
            node.kill();
        } else {
            node.terminate(LIMIT);
        }
    }
    // Even without the index: it is rebuilt from the files.
    fs::remove_dir_all(at("b").join("index")).expect("an index");
    let nodes = names.map(|name| Daemon::start(&at(name), &[]));
    assert_eq!(before, names.map(state));
    drop(nodes);
    for name in names {
        let verified = perennial(&at(name), &["verify"]).ok();
        assert_eq!(verified.rows().last().expect("a row")["corrupt"], 0, "{verified:?}");
    }
}
