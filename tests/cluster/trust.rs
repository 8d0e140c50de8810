//! Publishers that are trusted for names while not all of their releases are kept.

use std::path::Path;
use std::time::Duration;

use perennial_tests::{Daemon, add, field, perennial, publisher, text, wait_until, write_tree};

const LIMIT: Duration = Duration::from_secs(60);

/// The states of all releases known at `data`, by name.
fn states(data: &Path) -> Vec<(String, String)> {
    let rows = perennial(data, &["ls"]).ok().rows();
    let state = |row: &serde_json::Value| {
        let purl = field(row, "purl");
        (purl.trim_start_matches("pkg:generic/").to_owned(), field(row, "state").to_owned())
    };
    let mut states: Vec<_> = rows.iter().map(state).collect();
    states.sort();
    states
}

fn wait_for(data: &Path, wanted: &[(&str, &str)]) {
    let wanted: Vec<_> =
        wanted.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
    wait_until(LIMIT, "the releases", || (states(data) == wanted).then_some(()));
}

/// A node with three releases.
fn source(dir: &Path) -> (Daemon, String) {
    let node = Daemon::start(&dir.join("source"), &[]);
    for (seed, name, version) in [(1, "other", "1"), (2, "tool", "1"), (3, "tool", "2")] {
        let files = write_tree(&dir.join(format!("src-{seed}")), seed, &[5000, 90_000]);
        add(node.data(), &files, name, version);
    }
    let publisher = publisher(node.data());
    (node, publisher)
}

#[test]
fn a_trusted_publishers_releases_come_when_asked_for_and_by_pattern() {
    let dir = tempfile::tempdir().expect("a directory");
    let (source, who) = source(dir.path());
    let here = dir.path().join("here");
    let node = Daemon::start(&here, &["--peer", source.address()]);
    let trusted = perennial(&here, &["trust", &who, "--as", "savers"]).ok().json();
    assert_eq!(trusted["only"], serde_json::json!([]), "{trusted}");
    wait_for(&here, &[("other@1", "known"), ("tool@1", "known"), ("tool@2", "known")]);
    let out = dir.path().join("out");
    perennial(&here, &["get", "tool@1", "-o", text(&out)]).ok();
    assert!(out.exists(), "the name is trusted");

    // What is kept follows the pattern; the rest is what it was.
    perennial(&here, &["follow", &who, "--only", "tool@*"]).ok();
    wait_for(&here, &[("other@1", "known"), ("tool@1", "held"), ("tool@2", "held")]);
    let rows = perennial(&here, &["follows"]).ok().rows();
    assert_eq!((field(&rows[0], "name"), &rows[0]["only"]), ("savers", &["tool@*"].into()));
    let gone = perennial(&here, &["follow", &who, "--only", "tool@[1"]).failed(2);
    assert!(gone.stderr.contains("unclosed character class"), "{gone:?}");

    // It lasts, and a release signed later is judged by it too.
    drop(node);
    let node = Daemon::start(&here, &["--peer", source.address()]);
    let files = write_tree(&dir.path().join("src-4"), 4, &[5000]);
    add(source.data(), &files, "other", "2");
    add(source.data(), &files, "tool", "3");
    wait_until(LIMIT, "the newest release", || {
        states(&here).contains(&("tool@3".to_owned(), "held".to_owned())).then_some(())
    });
    let others = states(&here).into_iter().filter(|(name, _)| name.starts_with("other"));
    assert!(others.clone().count() == 2 && others.clone().all(|(_, state)| state == "known"));

    // Without options, all of them.
    perennial(&here, &["follow", &who]).ok();
    wait_until(LIMIT, "all releases", || {
        states(&here).iter().all(|(_, state)| state == "held").then_some(())
    });
    drop(node);
}

#[test]
fn a_command_fetches_what_it_was_asked_for_and_no_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let (source, who) = source(dir.path());
    let here = dir.path().join("here");
    perennial(&here, &["follow", &who]).ok();
    let out = dir.path().join("out");
    perennial(&here, &["--peer", source.address(), "get", "tool@2", "-o", text(&out)]).ok();
    let states = states(&here);
    assert_eq!(states.iter().filter(|(_, state)| state == "held").count(), 1, "{states:?}");
    assert!(states.contains(&("tool@2".to_owned(), "held".to_owned())), "{states:?}");
}
