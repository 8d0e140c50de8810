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
        &["get", "a@1", "-o", "-"],
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
        &["forget", "nobody"],
        &["undeny", "pkg:generic/a"],
        &["ls", "--publisher", "nobody"],
    ] {
        let said = place.fails(3, args);
        assert!(said.stderr.starts_with("error: "), "{args:?}: {said:?}");
    }
    let said = place.fails(3, &["get", "nothing@v0", "-o", "out"]);
    assert!(said.stderr.contains("--peer"), "it says how to ask others: {said:?}");
    assert!(!place.path("out").exists(), "no output directory is left behind");
}

/// Hints belong to the case: what a command does not ask of peers, no peer can cure.
#[test]
fn hints_fit_the_command() {
    let place = Place::new();
    place.file("tool/tool", b"the tool");
    place.row(&["add", "tool", "--name", "tool", "--version", "1"]);
    for selector in ["nosuch", "nosuch@1", "abcdef12", &format!("sha256:{}", "ab".repeat(32))] {
        let said = place.fails(3, &["unpin", selector]);
        assert!(said.stderr.contains("is not pinned"), "{said:?}");
        assert!(
            said.stderr.contains("perennial pins") && !said.stderr.contains("--peer"),
            "{said:?}"
        );
    }
    for args in [&["get", "nosuch"][..], &["show", "nosuch"], &["search", "nosuch"], &["ls", "no"]]
    {
        let said = place.fails(3, args);
        assert!(said.stderr.contains("--peer HOST:PORT"), "{said:?}");
    }
    // Three digits are no id, and the error says how many are.
    let id = place.rows(&["ls"])[0]["release"].as_str().unwrap().to_owned();
    place.row(&["show", &id[..4]]);
    let said = place.fails(3, &["show", &id[..3]]);
    assert!(said.stderr.contains("at least 4 of its digits"), "{said:?}");
    let said = place.fails(3, &["show", "xyz"]);
    assert!(!said.stderr.contains("digits"), "{said:?}");
}

/// A copied key that may have signed elsewhere needs a peer: that none was reached is code 5, and
/// the hint says both ways to go on.
#[test]
fn a_copied_key_without_a_peer_is_5_and_says_how_to_go_on() {
    let place = Place::new();
    place.file("tool/tool", b"the tool");
    place.row(&["key"]);
    std::fs::create_dir(place.path("copy")).unwrap();
    std::fs::rename(place.path("data/keys"), place.path("copy/keys")).unwrap();
    let add = ["--data", "copy", "add", "tool", "--name", "tool", "--version", "1"];
    for peer in [&[][..], &["--peer", "127.0.0.1:1"]] {
        let said = place.fails(5, &[&add[..], peer].concat());
        assert!(said.stderr.contains("may have signed elsewhere"), "{said:?}");
        assert!(said.stderr.contains("--peer") && said.stderr.contains("--new-feed"), "{said:?}");
    }
    place.row(&[&add[..], &["--new-feed"]].concat());
}

#[test]
fn all_programs_tell_their_version() {
    let place = Place::new();
    let version = format!("perennial {}\n", env!("CARGO_PKG_VERSION"));
    for args in [&["--version"][..], &["-V"], &["version"]] {
        let said = place.run(args);
        assert_eq!((said.code, &said.stdout), (Some(0), &version), "{args:?}: {said:?}");
    }
    assert!(!place.path("data").exists());
    let mut node = std::process::Command::new(perennial_tests::program("perennial-node"));
    let said = super::program::said(node.arg("--version").output().unwrap());
    assert_eq!(said.stdout, version.replace("perennial ", "perennial-node "));
}

/// A start that is refused says why, with the cure, and nothing about the state of a node.
#[test]
fn a_refused_start_names_the_setting_and_no_state() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.port());
    let serve = ["serve", "--no-mdns", "--listen"];
    let http = taken.to_string();
    let here = [&serve[..], &["/ip4/127.0.0.1/tcp/0", "--http", &http]].concat();
    let said = place.fails(1, &here);
    assert!(said.stderr.contains("the port is taken"), "{said:?}");
    assert!(said.stderr.contains("hint: give another address with --http"), "{said:?}");
    let other = place.fails(1, &[&serve[..], &[&address, "--http", "off"]].concat());
    assert!(other.stderr.contains("hint: give another address with --listen"), "{other:?}");
    // A setting of a file is named as such.
    place.file("sample.toml", b"peer = ['nonsense']");
    let config = ["serve", "--config", "sample.toml"];
    let file = place.fails(2, &config);
    assert!(file.stderr.contains("sample.toml: peer: \"nonsense\""), "{file:?}");
    place.file("sample.toml", b"max-peers = 0");
    let limit = place.fails(2, &config);
    assert!(limit.stderr.contains("sample.toml: max-peers: 0 leaves"), "{limit:?}");
    for refused in [said, other, file, limit] {
        assert!(!refused.stderr.contains("no peers:"), "{refused:?}");
    }
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

/// A big file costs seconds to hash: an interrupted command ends all the same, and leaves nothing
/// half-added.
#[test]
fn an_interrupted_add_of_a_big_file_ends_at_once_and_leaves_nothing() {
    let place = Place::new();
    // Sparse: it costs no disk, and every byte is read and hashed.
    let big = std::fs::File::create(place.path("big")).unwrap();
    big.set_len(64 << 30).unwrap();
    for more in [&[][..], &["--in-place"]] {
        let add = ["add", "big", "--name", "big", "--version", "1"];
        let child = place.command(&[&add[..], more].concat()).spawn().unwrap();
        let at_work = || {
            let tmp = std::fs::read_dir(place.path("data/tmp"));
            tmp.is_ok_and(|tmp| tmp.count() > 0).then_some(())
        };
        perennial_tests::wait_until(Duration::from_secs(30), "it hashes", at_work);
        let began = Instant::now();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let said = super::program::said(child.wait_with_output().unwrap());
        assert_eq!(said.code, Some(130), "{said:?}");
        // Half a second, on a machine that has other things to do.
        assert!(began.elapsed() < Duration::from_millis(1500), "after {:?}", began.elapsed());
        assert!(!place.path("data").exists(), "{more:?}");
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
