//! Exit codes and their messages. Code 4 and lists of strangers need several nodes:
//! `tests/cluster`.

use std::fs::File;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::Place;

#[test]
fn wrong_usage_is_2_and_says_what_to_type() {
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
fn a_release_without_a_holder_is_3() {
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
    place.row(&["key"]);
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
fn arguments_that_name_no_file_are_2_and_nothing_is_done() {
    let place = Place::new();
    let missing = "missing\u{1b}[2J";
    let layout = format!("oci:{missing}");
    for args in [
        &["add", missing, "--name", "a", "--version", "1"][..],
        &["add", "--from", missing],
        &["add", &layout],
        &["add", &format!("docker-archive:{missing}:v1")],
        &["drill", missing],
        &["drill", ".", "--dir", missing],
    ] {
        let said = place.fails(2, args);
        assert!(said.stderr.contains("missing") && !said.stderr.contains('\u{1b}'), "{said:?}");
        assert_eq!(said.stdout, "", "no verdict: {said:?}");
        assert!(!place.path("data").exists(), "{args:?}");
    }
}

/// The documented meanings, each by all the ways to it that need no second node.
#[test]
fn each_exit_code_has_one_meaning() {
    let place = Place::new();
    place.file("tool/tool", b"the tool");
    place.row(&["add", "tool", "--name", "tool", "--version", "1"]);
    place.file("layout/other", b"no layout");
    place.file("text.tar", b"no archive");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/f.bin");
    let registry = format!("docker://127.0.0.1:{port}/app:v1");
    let charts = format!("helm+http://127.0.0.1:{port}/");
    let upstream = ["add", "--allow-private", "--plain-http", "--tries", "1"];
    for (code, args) in [
        // An upstream that cannot be reached, and content that does not read, are failures.
        (1, &[&upstream[..], &["--name", "f", "--version", "1", &url]].concat()[..]),
        (1, &[&upstream[..], &[&registry]].concat()),
        (1, &[&upstream[..], &[&charts, "chart"]].concat()),
        (1, &["add", "oci:layout"]),
        (1, &["add", "docker-archive:text.tar"]),
        (1, &["add", "oci-archive:text.tar"]),
        (3, &["ls", "nosuch"]),
        (3, &["search", "nosuch"]),
        (3, &["show", "nosuch"]),
        (3, &["get", "nosuch@1"]),
        (3, &["unpin", "nosuch@1"]),
        (5, &["status"]),
        (5, &["peers"]),
    ] {
        place.fails(code, args);
    }
    for args in [&["ls"][..], &["ls", "tool"], &["search", "tool"], &["ls", "--state", "known"]] {
        assert_eq!(place.run(args).code, Some(0), "{args:?}");
    }
}

#[test]
fn an_interrupted_command_is_130_and_says_how_to_go_on() {
    let place = Place::new();
    place.row(&["key"]);
    // An upstream that takes the connection and says nothing.
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f.bin", upstream.local_addr().unwrap());
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let args = ["add", "--allow-private", "--name", "f", "--version", "1", &url];
        let child = place.command(&args).spawn().unwrap();
        let (_silent, _) = upstream.accept().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let said = super::program::said(child.wait_with_output().unwrap());
        assert_eq!(said.code, Some(130), "{said:?}");
        assert!(said.stderr.contains("the same command continues"), "{said:?}");
    }
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let place = Place::new();
    let mut child = place.command(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
