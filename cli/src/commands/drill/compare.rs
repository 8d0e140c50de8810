//! Compares the originals with the fetched files: the same files, the same bytes, nothing more.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::failure::CommandError;

/// Bytes read at a time from each of two files.
const BUFFER: usize = 256 * 1024;
/// Deepest nesting of directories; anything deeper is taken for a loop.
const MAX_DEPTH: usize = 128;

/// A file that has to survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Original {
    /// The file's path on this machine.
    pub(super) path: PathBuf,
    /// The file's path in the release.
    pub(super) name: PathBuf,
    /// The file's size, in bytes.
    pub(super) size: u64,
}

/// The amount of data compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// The files that `perennial add` would add for `paths`, under the names it would give them.
pub(super) fn originals(paths: &[PathBuf]) -> Result<Vec<Original>, CommandError> {
    let mut found = Vec::new();
    for path in paths {
        let meta = fs::metadata(path).map_err(|source| failed(path, source))?;
        if meta.is_dir() {
            walk(path, Path::new(""), 0, &mut found)?;
        } else {
            let name = path.file_name().map(PathBuf::from).ok_or_else(|| {
                CommandError::usage(
                    format!("{} has no file name", path.display()),
                    "give a file or a directory",
                )
            })?;
            found.push(Original { path: path.clone(), name, size: meta.len() });
        }
    }
    if found.is_empty() {
        return Err(CommandError::usage(
            "there are no files to rehearse with",
            "give files, or a directory that contains some",
        ));
    }
    Ok(found)
}

fn walk(
    directory: &Path,
    name: &Path,
    depth: usize,
    found: &mut Vec<Original>,
) -> Result<(), CommandError> {
    if depth > MAX_DEPTH {
        let source = io::Error::other("directories nested too deeply");
        return Err(failed(directory, source));
    }
    for entry in fs::read_dir(directory).map_err(|source| failed(directory, source))? {
        let entry = entry.map_err(|source| failed(directory, source))?;
        let path = entry.path();
        let meta = fs::symlink_metadata(&path).map_err(|source| failed(&path, source))?;
        let name = name.join(entry.file_name());
        if meta.is_dir() {
            walk(&path, &name, depth + 1, found)?;
        } else {
            found.push(Original { path, name, size: meta.len() });
        }
    }
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> CommandError {
    CommandError::Io { what: path.display().to_string(), source }
}

/// Compares every byte of `originals` with the files in `out`. The error names the first
/// difference.
pub(super) fn compare(originals: &[Original], out: &Path) -> Result<Compared, String> {
    let mut compared = Compared { files: 0, bytes: 0 };
    for original in originals {
        let copy = out.join(&original.name);
        let bytes = compare_file(&original.path, &copy)?;
        compared.files += 1;
        compared.bytes += bytes;
    }
    let expected: BTreeSet<_> = originals.iter().map(|original| original.name.as_path()).collect();
    let mut there = Vec::new();
    walk(out, Path::new(""), 0, &mut there).map_err(|error| error.to_string())?;
    match there.iter().find(|file| !expected.contains(file.name.as_path())) {
        Some(extra) => Err(format!("{} came back, but was never added", extra.name.display())),
        None => Ok(compared),
    }
}

fn compare_file(original: &Path, copy: &Path) -> Result<u64, String> {
    let open =
        |path: &Path| File::open(path).map_err(|error| format!("{}: {error}", path.display()));
    let (mut left, mut right) = (open(original)?, open(copy)?);
    let (mut left_buffer, mut right_buffer) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut at = 0_u64;
    loop {
        let left_length = fill(&mut left, &mut left_buffer)
            .map_err(|e| format!("{}: {e}", original.display()))?;
        let right_length =
            fill(&mut right, &mut right_buffer).map_err(|e| format!("{}: {e}", copy.display()))?;
        if left_buffer[..left_length] != right_buffer[..right_length] {
            let equal = left_buffer[..left_length].iter().zip(&right_buffer[..right_length]);
            let same = equal.take_while(|(left, right)| left == right).count() as u64;
            return Err(format!(
                "{} differs from its original at byte {}",
                copy.display(),
                at + same
            ));
        }
        if left_length == 0 {
            return Ok(at);
        }
        at += left_length as u64;
    }
}

/// Reads until `buffer` is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Vec<Original>, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let (source, out) = (place.path().join("source"), place.path().join("out"));
        for root in [&source, &out] {
            fs::create_dir_all(root.join("deep/er")).unwrap();
            fs::write(root.join("one"), vec![7; 3 * BUFFER + 5]).unwrap();
            fs::write(root.join("deep/er/two"), "").unwrap();
        }
        let originals = originals(&[source]).unwrap();
        (place, originals, out)
    }

    #[test]
    fn equal_trees_are_equal() {
        let (_place, originals, out) = tree();
        assert_eq!(
            compare(&originals, &out),
            Ok(Compared { files: 2, bytes: 3 * BUFFER as u64 + 5 })
        );
    }

    #[test]
    fn any_difference_is_found() {
        let (_place, originals, out) = tree();
        let mut one = vec![7; 3 * BUFFER + 5];
        one[2 * BUFFER + 1] = 8;
        fs::write(out.join("one"), &one).unwrap();
        let said = compare(&originals, &out).unwrap_err();
        assert!(said.contains(&format!("at byte {}", 2 * BUFFER + 1)), "{said}");
        fs::write(out.join("one"), vec![7; 3 * BUFFER + 4]).unwrap();
        assert!(compare(&originals, &out).unwrap_err().contains("differs"));
        fs::write(out.join("one"), vec![7; 3 * BUFFER + 6]).unwrap();
        assert!(compare(&originals, &out).unwrap_err().contains("differs"));
        fs::write(out.join("one"), vec![7; 3 * BUFFER + 5]).unwrap();
        fs::write(out.join("deep/three"), "").unwrap();
        assert!(compare(&originals, &out).unwrap_err().contains("never added"));
        fs::remove_file(out.join("deep/three")).unwrap();
        fs::remove_file(out.join("deep/er/two")).unwrap();
        assert!(compare(&originals, &out).unwrap_err().contains("two"));
    }

    #[test]
    fn an_empty_drill_is_a_usage_error() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(originals(&[empty.path().into()]), Err(CommandError::Usage { .. })));
        assert!(matches!(originals(&[empty.path().join("missing")]), Err(CommandError::Io { .. })));
    }
}
