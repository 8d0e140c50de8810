//! ARCHITECTURE and SECURITY as a test: every file that they name exists, and every test that they
//! name is one.

use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [(&str, &str); 2] = [
    ("crates/ARCHITECTURE.md", include_str!("../crates/ARCHITECTURE.md")),
    ("SECURITY.md", include_str!("../SECURITY.md")),
];

/// The files below a directory of the repository, without what is built.
fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// The words in backquotes, with the number of their line.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(line, text)| {
        text.split('`').skip(1).step_by(2).map(move |word| (line + 1, word))
    })
}

fn is_file_name(word: &str) -> bool {
    let end = Path::new(word).extension().and_then(|end| end.to_str());
    matches!(end, Some("rs" | "sh" | "md" | "toml")) && !word.contains(['<', '*', ' '])
}

/// `module::function`: in lower case throughout.
fn is_test_name(word: &str) -> bool {
    let part = |part: &str| {
        part == "…" || part.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
    };
    word.contains("::") && word.split("::").all(part) && !word.ends_with('…')
}

/// The words that name a file that is missing, or a function that no file of that name has.
fn untrue<'a>(text: &'a str, files: &[(PathBuf, String)]) -> Vec<(usize, &'a str)> {
    let is_missing = |word: &str| {
        let file = word.split("::").next().filter(|file| is_file_name(file));
        let mut places =
            files.iter().filter(|(path, _)| file.is_none_or(|file| path.ends_with(file)));
        match word.rsplit_once("::") {
            Some((_, function)) if file.is_some() || is_test_name(word) => {
                !places.any(|(_, text)| text.contains(&format!("fn {function}(")))
            }
            None if file.is_some() => places.next().is_none(),
            _ => false,
        }
    };
    quoted(text).filter(|(_, word)| is_missing(word)).collect()
}

#[test]
fn every_file_and_test_that_the_pages_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let mut found = Vec::new();
    files(root, &mut found);
    let found: Vec<_> = found
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap_or_default()))
        .collect();
    for (page, text) in PAGES {
        let untrue = untrue(text, &found);
        assert!(untrue.is_empty(), "{page} names, by line, what is not there: {untrue:?}");
    }
}

/// Tests the check itself.
#[test]
fn a_missing_file_and_a_missing_test_are_found() {
    let files = [(PathBuf::from("/x/crates/store/src/gc.rs"), "fn roots() {}".to_owned())];
    let text = "`store/src/gc.rs` `gc.rs::roots` `Store::open`\n`gone.rs` `gc.rs::gone` `gc::gone`";
    assert_eq!(untrue(text, &files), [(2, "gone.rs"), (2, "gc.rs::gone"), (2, "gc::gone")]);
}
