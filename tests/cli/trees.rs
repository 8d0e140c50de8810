//! Trees and files in place, as the program shows them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::program::{Place, said};

const NAMED: [&str; 4] = ["--name", "t", "--version", "1"];

fn add<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["add"], args, &NAMED].concat()
}

#[test]
fn every_offender_of_a_tree_is_listed_with_a_way_on() {
    let place = Place::new();
    for name in ["in/ok", "in/a:b", "in/CON", "in/Twin", "in/twin"] {
        place.file(name, b"x");
    }
    symlink("/etc/passwd", place.path("in/out")).unwrap();
    let refused = place.fails(2, &add(&["in"]));
    assert!(refused.stderr.contains("4 files cannot be part of a release"), "{refused:?}");
    for name in ["a:b", "CON", "twin", "out"] {
        assert!(refused.stderr.contains(&format!("/in/{name}: ")), "{refused:?}");
    }
    assert!(refused.stderr.contains("--skip-unportable"), "{refused:?}");
    let skipped = place.fails(0, &add(&["in", "--skip-unportable", "--exclude", "C*", "--quiet"]));
    assert!(skipped.stdout.contains("2 files"), "{skipped:?}");
    let line = |line: &str| line.starts_with("left out: a:b: ");
    assert!(skipped.stderr.lines().any(line), "{skipped:?}");
    assert!(skipped.stderr.lines().all(|line| line.starts_with("left out: ")), "{skipped:?}");
    let shown = place.row(&["show", "t@1"]);
    let notes = shown["notes"].as_str().unwrap();
    assert!(notes.contains("perennial/left-out: a:b: "), "{notes}");
}

#[test]
fn standard_input_is_added_under_a_name() {
    let place = Place::new();
    let run = |args: &[&str]| {
        let mut command = place.command(&[&["--json"], args].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // The program may refuse without reading.
        let _ = child.stdin.take().unwrap().write_all(b"from a pipe");
        said(child.wait_with_output().unwrap())
    };
    let nameless = run(&add(&["-"]));
    assert_eq!(nameless.code, Some(2), "{nameless:?}");
    assert!(nameless.stderr.contains("--file-name NAME"), "{nameless:?}");
    let added = run(&add(&["-", "--file-name", "src.tar"]));
    assert_eq!(added.code, Some(0), "{added:?}");
    place.row(&["get", "t@1", "-o", "out"]);
    assert_eq!(fs::read(place.path("out/src.tar")).unwrap(), b"from a pipe");
}

#[test]
fn a_file_lost_in_place_has_a_name_everywhere_until_it_is_found() {
    let place = Place::new();
    place.file("src/big.img", &vec![7; 300_000]);
    place.row(&add(&["src", "--in-place"]));
    fs::rename(place.path("src"), place.path("moved")).unwrap();
    let lost = "t@1 lost big.img: ";
    let got = place.fails(4, &["get", "t@1"]);
    assert!(got.stderr.contains(lost) && got.stderr.contains("perennial relocate"), "{got:?}");
    for _ in 0..2 {
        let verified = place.fails(4, &["verify"]);
        assert!(verified.stdout.contains(lost), "{verified:?}");
        assert!(verified.stdout.contains("none corrupt, 1 lost"), "{verified:?}");
        assert!(verified.stderr.contains("1 object is lost"), "{verified:?}");
        let counted = place.fails(4, &["--json", "verify"]);
        let total: serde_json::Value =
            serde_json::from_str(counted.stdout.lines().last().unwrap()).unwrap();
        assert_eq!((&total["corrupt"], &total["lost_objects"]), (&0.into(), &1.into()), "{total}");
    }
    let listed = place.fails(0, &["ls"]);
    assert!(listed.stderr.contains(lost) && listed.stdout.contains("partial"), "{listed:?}");
    let status = place.fails(5, &["status"]);
    assert!(status.stdout.contains(lost), "{status:?}");
    assert!(status.stdout.contains("LOST       1 file added in place"), "{status:?}");
    place.fails(3, &["relocate", "elsewhere", "moved"]);
    let moved = place.row(&["relocate", "src", "moved"]);
    assert_eq!((&moved["artifacts"], &moved["restored"]), (&1.into(), &1.into()), "{moved}");
    place.fails(0, &["verify"]);
    assert_eq!(place.row(&["ls"])["state"], "held");
}

#[test]
fn versions_are_listed_as_numbers_and_many_pins_are_set_at_once() {
    let place = Place::new();
    for version in ["10", "9", "1"] {
        place.file("in/file", version.as_bytes());
        place.row(&["add", "in", "--name", "t", "--version", version]);
    }
    let purls: Vec<_> = place.rows(&["ls"]).iter().map(|row| row["purl"].to_string()).collect();
    assert_eq!(purls, ["1", "9", "10"].map(|v| format!("\"pkg:generic/t@{v}\"")));
    assert_eq!(place.rows(&["unpin", "t@1", "t@9"]).len(), 2);
    let some = place.fails(3, &["pin", "t@1", "nowhere@1", "t@9"]);
    assert_eq!(some.stdout.matches("pinned").count(), 2, "{some:?}");
    assert_eq!(place.rows(&["pins"]).len(), 3);
}

#[test]
fn a_get_that_can_ask_no_peer_fails_at_once() {
    let place = Place::new();
    place.file("in/file", &vec![7; 300_000]);
    let added = place.row(&add(&["in"]));
    place.row(&["unpin", "t@1"]);
    place.row(&["gc", "--grace", "0s"]);
    let started = Instant::now();
    for name in ["t@1", added["release"].as_str().unwrap()] {
        let got = place.fails(5, &["get", name]);
        assert!(got.stderr.contains("no peer is connected"), "{got:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
