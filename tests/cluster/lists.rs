//! Signed releases with hostile artifact lists: paths that lead outside, duplicate names,
//! impossible numbers. Signature and digest are genuine; `get` and a following node still reject
//! the list, name the offending artifact and write nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::liar::{Goods, Liar, Manner, genesis};
use perennial_manifest::{ArtifactList, ArtifactListRef, BlobId, SignedEntry};
use perennial_tests::{Daemon, count, field, files, perennial, text, wait_until};

/// A CBOR head of this major type and number.
fn head(kind: u8, number: u64) -> Vec<u8> {
    let kind = kind << 5;
    let [.., d, c, b, a] = number.to_be_bytes();
    match number {
        0..24 => vec![kind | a],
        24..0x100 => vec![kind | 24, a],
        0x100..0x1_0000 => vec![kind | 25, b, a],
        0x1_0000..0x1_0000_0000 => vec![kind | 26, d, c, b, a],
        _ => [&[kind | 27][..], &number.to_be_bytes()].concat(),
    }
}

fn string(text: &str) -> Vec<u8> {
    [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
}

/// A list encoded without checks, with a claimed number of artifacts.
fn encoded(said: u64, artifacts: &[(&str, u64)]) -> Vec<u8> {
    let mut bytes = head(4, said);
    for (path, size) in artifacts {
        let name = BlobId::of(path.as_bytes());
        let digest = [head(2, 32), name.as_bytes().to_vec()].concat();
        let fields = [
            ("path", string(path)),
            ("role", string("binary")),
            ("size", head(0, *size)),
            ("blake3", digest.clone()),
            ("sha256", digest),
            ("media_type", string("text/plain")),
        ];
        bytes.extend(head(5, fields.len() as u64));
        bytes
            .extend(fields.iter().flat_map(|(name, value)| [string(name), value.clone()].concat()));
    }
    bytes
}

fn claim(list: &[u8], count: u32, bytes: u64) -> ArtifactListRef {
    ArtifactListRef { blob: BlobId::of(list), count, bytes, size: list.len() as u64 }
}

/// A list, its release's claim, and the text that the rejection has to contain.
struct Case {
    list: Vec<u8>,
    claim: ArtifactListRef,
    named: String,
}

impl Case {
    fn of_paths(paths: &[&str], named: &str) -> Self {
        let artifacts: Vec<_> = paths.iter().map(|path| (*path, path.len() as u64)).collect();
        let list = encoded(paths.len() as u64, &artifacts);
        let bytes = artifacts.iter().map(|(_, size)| size).sum();
        let claim = claim(&list, u32::try_from(paths.len()).expect("few"), bytes);
        Self { list, claim, named: named.to_owned() }
    }
}

fn hostile_paths() -> Vec<Case> {
    let long = "x".repeat(256);
    let mut cases: Vec<Case> = [
        "../../etc/x",
        "a/../../x",
        "/etc/x",
        "CON",
        "a/nul.txt",
        "C:\\x",
        "x\\y",
        "ends.",
        "ends ",
        "./x",
        "a//b",
        "turn\u{202e}txt.exe",
        &long,
    ]
    .iter()
    // A rejection quotes as much of the path as fits on a line.
    .map(|path| Case::of_paths(&[path], &path.escape_debug().take(100).collect::<String>()))
    .collect();
    cases.push(Case::of_paths(&["a\0b"], "a\\0b"));
    cases.push(Case::of_paths(&["e\u{301}"], "normal form C"));
    cases.push(Case::of_paths(&["README", "readme"], "README"));
    cases.push(Case::of_paths(&["x/É", "x/é"], "x/É"));
    cases.push(Case::of_paths(&["same", "same"], "same"));
    cases.push(Case::of_paths(&["a", "a/b"], "a is a file and a directory"));
    cases.push(Case::of_paths(&["b", "a"], "a is out of order"));
    cases
}

fn impossible_numbers() -> Vec<Case> {
    let one = [("a", 1)];
    let case = |list: Vec<u8>, count, bytes, named: &str| {
        let claim = claim(&list, count, bytes);
        Case { list, claim, named: named.to_owned() }
    };
    let huge = [("a", u64::MAX), ("b", 1)];
    vec![
        case(encoded(1_000_000, &one), 1, 1, "artifact list"),
        case(encoded(u64::MAX, &one), 1, 1, "artifact list"),
        case(encoded(2, &huge), 2, 0, "the sum of sizes"),
        case(encoded(1, &one), 1, 2, "total bytes 2, the list has 1"),
        case(encoded(1, &one), 100_000, 1, "count 100000, the list has 1"),
        case(vec![0x81; 60_000], 1, 1, "artifact list"),
    ]
}

/// A liar that offers each list in a signed release.
fn liar_with(data: &Path, cases: &[Case]) -> (Liar, Vec<SignedEntry>) {
    let goods = Goods::of(data, Vec::new());
    let lists = cases.iter().map(|case| case.list.clone()).collect();
    drop(goods.store.add_small(lists).expect("stored"));
    let entries: Vec<_> = (1u8..)
        .zip(cases)
        .map(|(number, case)| {
            genesis([number; 32], &format!("pkg:generic/evil@{number}"), case.claim)
        })
        .collect();
    (Liar::start(Goods { entries: entries.clone(), ..goods }, Manner::Honest), entries)
}

/// `get` of each release exits with 4 and names the artifact. `target` is unchanged.
fn get_refuses(cases: &[Case]) {
    let dir = tempfile::tempdir().expect("a directory");
    let (liar, entries) = liar_with(&dir.path().join("liar"), cases);
    let d = Daemon::start(&dir.path().join("d"), &["--peer", &liar.address]);
    let around = dir.path().join("deep/deeper");
    fs::create_dir_all(&around).expect("folders");
    for (case, entry) in cases.iter().zip(&entries) {
        let release = entry.release().expect("a release").0.to_string();
        let out = around.join("out");
        let said = perennial(d.data(), &["get", &release, "-o", text(&out)]).failed(4);
        let error: serde_json::Value = serde_json::from_str(said.stderr.trim()).expect("JSON");
        // Compared independently of how often the path was escaped on the way.
        let (told, named) =
            (field(&error, "error").replace('\\', ""), case.named.replace('\\', ""));
        assert!(told.contains(&named), "{named} is to be named: {said:?}");
        assert!(!out.exists(), "{}: nothing is written", case.named);
    }
    assert!(files(&dir.path().join("deep")).is_empty(), "written outside the target");
    assert_eq!(count(d.data(), "held"), 0);
    // None of the lists stops the node from working.
    perennial(d.data(), &["verify"]).ok();
    let peak = d.highest_memory();
    assert!(peak < 200 << 10, "{peak} KiB of memory for lists of a few bytes");
    assert!(!d.log().contains("panicked"), "{}", d.log());
}

#[test]
fn hostile_lists_are_refused_for_their_content() {
    let sound = Case::of_paths(&["a/b", "a/c"], "");
    assert_eq!(ArtifactList::decode(&sound.list, &sound.claim).map(|list| list.len()), Ok(2));
}

#[test]
fn hostile_paths_are_refused_by_name() {
    get_refuses(&hostile_paths());
}

#[test]
fn impossible_numbers_are_refused_before_they_cost_memory() {
    get_refuses(&impossible_numbers());
}

/// A node that follows such a publisher knows the release, never holds it, and keeps working.
#[test]
fn a_follower_keeps_nothing_of_a_hostile_list() {
    let cases = hostile_paths();
    let dir = tempfile::tempdir().expect("a directory");
    let (liar, entries) = liar_with(&dir.path().join("liar"), &cases);
    let d = Daemon::start(&dir.path().join("d"), &["--peer", &liar.address, "--follow", "all"]);
    wait_until(Duration::from_secs(60), "all of them are known", || {
        entries.iter().for_each(|entry| liar.gossip(entry.encode()));
        (perennial(d.data(), &["ls"]).ok().rows().len() == entries.len()).then_some(())
    });
    // Each list arrived and was examined.
    wait_until(Duration::from_secs(60), "the lists were fetched", || {
        let status = perennial(d.data(), &["status"]).ok().json();
        (status["blobs"] == cases.len()).then_some(())
    });
    assert_eq!(count(d.data(), "held"), 0);
    assert!(!d.log().contains("panicked"), "{}", d.log());
    d.terminate(Duration::from_secs(10));
}
