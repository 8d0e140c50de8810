//! Exit codes and their messages. Code 4 and lists of strangers need several nodes:
//! `tests/cluster`.

use std::fs::File;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::Place;

#[test]
fn usage_is_2_and_says_what_to_type() {
    let place = Place::new();
    place.file("kubekey-v3.1.0/kk", b"the installer");
    let said = place.fails(2, &["add", "./kubekey-v3.1.0"]);
    assert!(
        said.stderr.contains("perennial add ./kubekey-v3.1.0 --name kubekey --version v3.1.0"),
        "{said:?}"
    );
    for args in [
        &["levitate"][..],
        &["get"],
        &["get", ""],
        &["get", "blake3:12"],
        &["get", "a@1", "--publisher", "did:web:example.org"],
        &["follow", "somebody"],
        &["add", "kubekey-v3.1.0", "--purl", "pkg:generic/kubekey"],
        &["add", "kubekey-v3.1.0", "--name", "kubekey"],
        &[
            "add",
            "kubekey-v3.1.0",
            "--name",
            "kubekey",
            "--version",
            "1",
            "--license",
            "Nobody-1.0",
        ],
        &["gc", "--grace", "soon"],
        &["ls", "--publisher", "two words"],
        &["follow", "all", "--as", "all"],
        &["follow", "all", "--as", &"n".repeat(65)],
    ] {
        let said = place.fails(2, args);
        assert_eq!(said.stdout, "", "{args:?}");
        assert!(said.stderr.contains("error: "), "{args:?}: {said:?}");
    }
}

#[test]
fn what_nobody_has_is_3() {
    let place = Place::new();
    for args in [
        &["get", "nothing@v0", "-o", "out"][..],
        &["get", &"ab".repeat(32)],
        &["get", &format!("blake3:{}", "cd".repeat(32))],
        &["show", "nothing@v0"],
        &["unpin", &"ab".repeat(32)],
        &["unfollow", "nobody"],
        &["ls", "--publisher", "nobody"],
    ] {
        let said = place.fails(3, args);
        assert!(said.stderr.starts_with("error: "), "{args:?}: {said:?}");
    }
    let said = place.fails(3, &["get", "nothing@v0", "-o", "out"]);
    assert!(said.stderr.contains("--peer"), "it says how to ask others: {said:?}");
    assert!(!place.path("out").exists(), "no output directory is left behind");
}

#[test]
fn under_json_a_failure_is_an_object() {
    let place = Place::new();
    let said = place.fails(3, &["--json", "get", "nothing@v0"]);
    assert_eq!(said.stdout, "");
    let row: Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!(row["exit"], 3, "{row}");
    assert!(
        row["error"].is_string() && row["hint"].is_string() && row["claims"].is_array(),
        "{row}"
    );
}

#[test]
fn a_directory_that_another_process_uses_is_5() {
    let place = Place::new();
    place.row(&["status"]);
    let lock = File::options().read(true).write(true).open(place.path("data/LOCK")).unwrap();
    lock.lock().unwrap();
    let start = Instant::now();
    let said = place.fails(5, &["ls"]);
    assert!(said.stderr.contains("in use") && said.stderr.contains("hint: "), "{said:?}");
    assert!(start.elapsed() < Duration::from_secs(30), "it gives up in time");
    drop(lock);
    place.rows(&["ls"]);
}

#[test]
fn files_that_are_not_there_are_1_and_named() {
    let place = Place::new();
    let said = place.fails(1, &["add", "missing\u{1b}[2J", "--name", "a", "--version", "1"]);
    assert!(said.stderr.contains("missing") && !said.stderr.contains('\u{1b}'), "{said:?}");
    let said = place.fails(1, &["drill", "missing", "--quiet"]);
    assert!(said.stdout.contains("DID NOT SURVIVE") && said.stderr.contains("missing"), "{said:?}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let place = Place::new();
    let mut child = place.command(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
