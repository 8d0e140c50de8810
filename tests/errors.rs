//! All error texts that the programs can give, from the sources: print them and read them with
//! `cargo test --release -p perennial-tests errors:: -- --nocapture`.
//!
//! A text says what happened, and to what. The rules here find the usual faults; they cannot find
//! all, so new texts are read once by people.

use std::fs;
use std::path::{Path, PathBuf};

/// Where texts begin: the first literal behind one of these.
const MARKS: [&str; 8] = [
    "#[error(",
    "CommandError::usage(",
    "Failure::new(",
    "HttpError::new(",
    "HttpError::bad_request(",
    "OciError::new(",
    "ImportError::Usage(",
    "io::Error::other(",
];
/// How far behind a mark its literal begins, at most.
const NEAR: usize = 90;

/// One text, and where it stands.
struct Text {
    file: String,
    text: String,
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() && !["tests", "examples", "target", "benches"].contains(&name.as_str()) {
            sources(&entry, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(entry);
        }
    }
}

/// The literal that begins near the start of `code`, with its line continuations joined.
fn literal(code: &str) -> Option<String> {
    let near = code.char_indices().nth(NEAR).map_or(code.len(), |(at, _)| at);
    let rest = code[..near].find('"').map(|at| &code[at + 1..])?;
    if code[..near].find([';', ')']).is_some_and(|end| end < code[..near].find('"').unwrap_or(0)) {
        return None;
    }
    let (mut text, mut chars) = (String::new(), rest.chars().peekable());
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                '\n' => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                'n' => text.push('\n'),
                other => text.push(other),
            },
            c => text.push(c),
        }
    }
}

fn texts() -> Vec<Text> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for dir in ["crates", "node/src", "cli/src"] {
        sources(&root.join(dir), &mut files);
    }
    files.sort();
    let mut texts = Vec::new();
    for path in files {
        let code = fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let file = path.strip_prefix(&root).unwrap().display().to_string();
        for mark in MARKS {
            for (at, _) in code.match_indices(mark) {
                let text = literal(&code[at + mark.len()..]);
                texts.extend(text.map(|text| Text { file: file.clone(), text }));
            }
        }
    }
    texts
}

/// What is wrong with a text, if that can be seen without knowing more.
fn fault(text: &str) -> Option<&'static str> {
    let words = text.split_whitespace().count();
    let first = text.split([' ', ',']).next().unwrap_or_default();
    let last = text.trim_end_matches(['.', '!']).rsplit(' ').next().unwrap_or_default();
    if text.contains("{error:?}") || text.contains("{source:?}") || text.contains("{self:?}") {
        Some("shows a debug form")
    } else if ["it", "its", "this", "that"].contains(&first) && words < 3 {
        Some("does not say what it is about")
    } else if last == "it" && !text.contains('{') && !text.contains(';') {
        Some("ends with a pronoun, and names nothing")
    } else if text.ends_with('.') || text.ends_with(": ") || text.ends_with(' ') {
        Some("ends like half a sentence")
    } else if words == 1 && !text.contains('{') && text.chars().any(|c| c.is_lowercase()) {
        Some("is one word")
    } else if text.chars().any(|c| c == '’' || c == '\t') {
        Some("has characters that no other text has")
    } else {
        None
    }
}

#[test]
fn every_error_says_what_happened_and_to_what() {
    let texts = texts();
    assert!(texts.len() > 150, "only {} texts were found", texts.len());
    let mut faults = Vec::new();
    for Text { file, text } in &texts {
        println!("{file}: {}", text.replace('\n', "⏎"));
        faults.extend(fault(text).map(|fault| format!("{file}: {text:?} {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_usual_faults_are_found() {
    for wrong in ["cancelled", "nobody holds it", "it failed", "{path}: ", "failed: {error:?}"] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
    for right in ["{0}", "cannot read {path}: {source}", "{name} is not held; get fetches it"] {
        assert_eq!(fault(right), None, "{right}");
    }
}
