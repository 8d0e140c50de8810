//! Bytes that rot on disk never leave the node under their old digest. `verify` finds them, and
//! they are fetched again from a peer.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_tests::{
    Daemon, MIB, Outcome, add, assert_same, count, field, files, perennial, text, wait_until,
    write_tree,
};

/// Finds the bytes of a file in the data directory: the file that stores them, and the offset.
fn stored(data: &Path, content: &[u8]) -> (PathBuf, usize) {
    for (name, bytes) in files(data) {
        let at = if bytes.len() < content.len() {
            None
        } else {
            (0..=bytes.len() - content.len()).find(|at| bytes[*at..].starts_with(content))
        };
        if let Some(at) = at {
            return (data.join(name), at);
        }
    }
    panic!("{} bytes are nowhere below {}", content.len(), data.display());
}

fn make_writable(path: &Path) {
    let mut mode = fs::metadata(path).expect("there").permissions();
    mode.set_mode(0o600);
    fs::set_permissions(path, mode).expect("ours");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("readable");
    bytes[at] ^= 0x10;
    make_writable(path);
    fs::write(path, bytes).expect("writable");
}

/// Fails if a file below `out` differs from the original. Missing files are accepted.
fn assert_nothing_wrong(out: &Path, source: &Path) {
    if !out.exists() {
        return;
    }
    let original = files(source);
    for (name, bytes) in files(out) {
        assert!(
            original.get(&name) == Some(&bytes),
            "{} left the node with wrong bytes",
            name.display()
        );
    }
}

fn assert_found(said: Outcome, blob: &str) {
    let said = said.failed(4);
    let rows = said.rows();
    assert!(rows.iter().any(|row| row["blob"] == blob), "names the blob: {said:?}");
}

/// Damages the artifact of that size in one way. The damage never leaves through a peer or the
/// command line, `verify` names it, and a peer with the bytes heals it.
fn rot_is_contained(size: usize, spoil: impl Fn(&Path, usize)) {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("src"), 5, &[size, 777]);
    let added = add(&at("a"), &source, "thing", "1");
    let release = field(&added, "release");
    let shown = perennial(&at("a"), &["show", release]).ok().json();
    let blob = shown["files"]
        .as_array()
        .expect("files")
        .iter()
        .find(|file| file["size"] == size)
        .expect("it");
    let blob = field(blob, "blake3").to_owned();

    // A good copy, for later.
    let a = Daemon::start(&at("a"), &[]);
    let b =
        Daemon::start(&at("b"), &["--peer", a.address(), "--follow", field(&added, "publisher")]);
    wait_until(Duration::from_secs(60), "the good copy", || {
        (count(b.data(), "held") == 1).then_some(())
    });
    drop(b);
    a.terminate(Duration::from_secs(10));

    let content = fs::read(source.join("file-0.bin")).expect("the source");
    let (path, offset) = stored(&at("a"), &content);
    spoil(&path, offset);

    // The damage does not leave through a peer.
    let a = Daemon::start(&at("a"), &[]);
    let out = at("out");
    let said = perennial(&at("d"), &["--peer", a.address(), "get", release, "-o", text(&out)]);
    assert_ne!(said.code, Some(0), "{said:?}");
    assert_nothing_wrong(&out, &source);
    let said = perennial(&at("d"), &["--peer", a.address(), "get", &blob, "-o", text(&out)]);
    assert_ne!(said.code, Some(0), "{said:?}");
    assert_nothing_wrong(&out, &source);
    drop(a);

    // The node itself finds the damage, and so does `verify`.
    rot_is_found_and_healed(&at("a"), &at("b"), release, &source, &blob);
}

fn rot_is_found_and_healed(a: &Path, b: &Path, release: &str, source: &Path, blob: &str) {
    let out = a.with_extension("out");
    let said = perennial(a, &["get", release, "-o", text(&out)]);
    assert!(said.code != Some(0), "{said:?}");
    assert_nothing_wrong(&out, source);
    let status = perennial(a, &["status"]).failed(5).json();
    let quarantined = status["quarantined"].as_u64().expect("a number") > 0;
    if !quarantined {
        assert_found(perennial(a, &["verify"]), blob);
    }
    assert_eq!(count(a, "held"), 0, "not held any more");
    // Fetched again from the good copy.
    let b = Daemon::start(b, &[]);
    perennial(a, &["--peer", b.address(), "get", release, "-o", text(&out)]).ok();
    assert_same(source, &out);
    perennial(a, &["verify"]).ok();
    assert_eq!(count(a, "held"), 1);
}

#[test]
fn a_flipped_bit_in_a_large_blob() {
    rot_is_contained(3 * MIB + 5, |path, at| flip(path, at + 2 * MIB));
}

#[test]
fn a_flipped_bit_in_the_last_byte() {
    rot_is_contained(200_001, |path, at| flip(path, at + 200_000));
}

#[test]
fn a_flipped_bit_in_a_packed_blob() {
    rot_is_contained(9_000, |path, at| flip(path, at + 4_000));
}

#[test]
fn a_truncated_blob() {
    rot_is_contained(300_000, |path, _| {
        make_writable(path);
        let file = fs::OpenOptions::new().write(true).open(path).expect("ours");
        file.set_len(250_000).expect("cut");
    });
}

#[test]
fn a_blob_that_became_a_symlink_to_the_right_bytes_elsewhere() {
    rot_is_contained(300_000, |path, _| {
        let elsewhere = path.parent().expect("a folder").join("elsewhere");
        fs::rename(path, &elsewhere).expect("moved");
        let mut bytes = fs::read(&elsewhere).expect("readable");
        bytes[0] ^= 1;
        make_writable(&elsewhere);
        fs::write(&elsewhere, bytes).expect("writable");
        symlink(&elsewhere, path).expect("a link");
    });
}

#[test]
fn verify_finds_a_flipped_bit_before_it_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let source = write_tree(&dir.path().join("src"), 6, &[500_000, 2_000]);
    add(&data, &source, "thing", "1");
    perennial(&data, &["verify"]).ok();
    let (path, at) = stored(&data, &fs::read(source.join("file-0.bin")).expect("the source"));
    flip(&path, at + 123_456);
    let said = perennial(&data, &["verify"]).failed(4);
    assert_eq!(said.rows().last().expect("a row")["corrupt"], 1, "{said:?}");
}
