//! Files to add, comparison with fetched files, and short forms of frequent commands.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use serde_json::Value;

use crate::command::perennial;

/// Bytes per MiB.
pub const MIB: usize = 1024 * 1024;

/// Writes incompressible files of these sizes below `dir`, some in folders. The seed fixes their
/// bytes.
pub fn write_tree(dir: &Path, seed: u64, sizes: &[usize]) -> PathBuf {
    let mut rng = StdRng::seed_from_u64(seed);
    for (number, size) in sizes.iter().enumerate() {
        let folder =
            if number % 3 == 2 { dir.join(format!("part-{}", number % 5)) } else { dir.to_owned() };
        fs::create_dir_all(&folder).expect("a folder");
        let mut bytes = vec![0; *size];
        rng.fill_bytes(&mut bytes);
        fs::write(folder.join(format!("file-{number}.bin")), bytes).expect("a file");
    }
    dir.to_owned()
}

/// File sizes of a typical release: a few large files and many small ones.
pub fn mixed(seed: u64) -> Vec<usize> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sizes = vec![0, 1, 16 * 1024, 64 * 1024, 64 * 1024 + 1, 3 * MIB + 17, 21 * MIB];
    sizes.extend((0..60).map(|_| rng.random_range(1..20_000)));
    sizes
}

/// Every file below `dir`, by relative path.
pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(next) = todo.pop() {
        for entry in
            fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()))
        {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let content = fs::read(&path).expect("readable");
                found.insert(path.strip_prefix(dir).expect("below").to_owned(), content);
            }
        }
    }
    found
}

/// Fails unless both directories have the same files with the same bytes.
#[track_caller]
pub fn assert_same(left: &Path, right: &Path) {
    let (left_files, right_files) = (files(left), files(right));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left_files), names(&right_files));
    for (name, content) in &left_files {
        assert!(right_files[name] == *content, "{} differs", name.display());
    }
}

/// A path as UTF-8 text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Adds a directory and returns the row that `add` prints.
#[track_caller]
pub fn add(data: &Path, dir: &Path, name: &str, version: &str) -> Value {
    let license = ["--license", "Apache-2.0"];
    let args = ["add", text(dir), "--name", name, "--version", version];
    perennial(data, &[&args[..], &license[..]].concat()).ok().json()
}

/// The publisher key of a data directory.
#[track_caller]
pub fn publisher(data: &Path) -> String {
    perennial(data, &["key"]).ok().json()["publisher"].as_str().expect("a did").to_owned()
}

/// The number of releases that `ls` shows in this state.
#[track_caller]
pub fn count(data: &Path, state: &str) -> usize {
    let rows = perennial(data, &["ls"]).ok().rows();
    rows.iter().filter(|row| row["state"] == state).count()
}

/// A string field of a row.
#[track_caller]
pub fn field<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}"))
}
