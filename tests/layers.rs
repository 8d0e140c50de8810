//! The architecture as a test: which crate may use which, where `sled` and `libp2p` may be named,
//! what the pure crates must not use, how long a file may be. The rules come from DESIGN, section
//! 3.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// A crate of the workspace and the workspace crates it may use. `tests` may use all.
const EDGES: [(&str, &[&str]); 11] = [
    ("perennial-manifest", &[]),
    ("perennial-store", &["manifest"]),
    ("perennial-oci", &["manifest"]),
    ("perennial-operation", &["manifest"]),
    ("perennial-import", &["manifest", "store", "oci", "operation"]),
    ("perennial-protocol", &["manifest"]),
    ("perennial-swarm", &["manifest", "protocol"]),
    ("perennial-gateway", &["manifest", "store", "control", "oci", "protocol"]),
    ("perennial-control", &["manifest", "operation"]),
    (
        "perennial-node",
        &[
            "manifest",
            "operation",
            "store",
            "oci",
            "import",
            "protocol",
            "swarm",
            "gateway",
            "control",
        ],
    ),
    ("perennial", &["manifest", "control", "node"]),
];

/// The longest file, in lines.
const LINES: usize = 600;

/// The longest line, in characters. `.rustfmt.toml` and `.editorconfig` say the same.
const WIDTH: usize = 100;

/// The required part of the output of `cargo metadata`. The crate `cargo_metadata` is avoided: it
/// enables features of `serde_json` that the programs do not use, so every dependent would be
/// compiled twice.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    #[serde(default)]
    features: Vec<String>,
}

fn metadata() -> Metadata {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--no-deps", "--format-version", "1"]).current_dir(root());
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// Dependencies between packages, of every kind, by name.
fn edges(metadata: &Metadata) -> Vec<(String, String)> {
    let named = |package: &Package| {
        let from = package.name.clone();
        let to: BTreeSet<_> = package.dependencies.iter().map(|on| on.name.clone()).collect();
        to.into_iter().map(move |to| (from.clone(), to)).collect::<Vec<_>>()
    };
    metadata.packages.iter().flat_map(named).collect()
}

fn is_allowed(from: &str, to: &str) -> bool {
    if from == "perennial-tests" {
        return to != "perennial";
    }
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == from) else { return false };
    to.strip_prefix("perennial-").is_some_and(|to| allowed.contains(&to))
}

/// The project's Rust files and their text.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut found, mut todo) = (Vec::new(), Vec::new());
    todo.extend(["crates", "node", "cli", "tests"].map(|part| root().join(part)));
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() && !path.ends_with("target") {
                todo.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let relative = path.strip_prefix(root()).expect("below the root").to_owned();
                found.push((relative, text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 50, "only {} files: is the walk broken?", found.len());
    found
}

/// The lines over [`WIDTH`], by number. A line with a raw string is exempt: it cannot be broken
/// without changing its value.
fn wide(text: &str) -> Vec<usize> {
    let raw = |line: &str| ["r#\"", "r\""].iter().any(|start| line.contains(start));
    let lines = (1..).zip(text.lines());
    lines.filter(|(_, line)| line.chars().count() > WIDTH && !raw(line)).map(|(at, _)| at).collect()
}

/// Whether the file's place is given by its name: `foo.rs` with `foo/`, as in every crate. The
/// store's fixtures are exempt: its unit tests, which see private items, its integration tests and
/// its benchmark are three builds of one file.
fn is_placed_by_name(path: &Path, text: &str) -> bool {
    let attribute =
        |line: &str| line.trim_start().starts_with("#[path") && !line.contains("it/fixtures.rs");
    !path.ends_with("mod.rs") && !text.lines().any(attribute)
}

/// Occurrences of `words` in code, outside comments, as whole words, with line numbers.
fn named<'w>(text: &str, words: &[&'w str]) -> Vec<(usize, &'w str)> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for name in words {
            let hit = code.match_indices(name).any(|(at, _)| {
                !code[..at].ends_with(word) && !code[at + name.len()..].starts_with(word)
            });
            if hit {
                found.push((number + 1, *name));
            }
        }
    }
    found
}

/// The text without its inline test module, which comes last by convention.
fn shipped(text: &str) -> &str {
    match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => &text[..at],
        None => text,
    }
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("test" | "tests" | "tests.rs")))
}

#[test]
fn crates_use_only_what_they_may() {
    let metadata = metadata();
    let bad: Vec<_> = edges(&metadata)
        .into_iter()
        .filter(|(_, to)| to.starts_with("perennial-"))
        .filter(|(from, to)| !is_allowed(from, to))
        .collect();
    assert!(bad.is_empty(), "edges that the design does not allow: {bad:?}");
    for package in &metadata.packages {
        let known = EDGES.iter().any(|(name, _)| *name == package.name);
        assert!(
            known || package.name == "perennial-tests",
            "{} is not in the layout",
            package.name
        );
    }
}

#[test]
fn outside_crates_stay_where_they_belong() {
    for (from, to) in edges(&metadata()) {
        let home = match to.as_str() {
            "sled" => "perennial-store",
            // The benchmark compares with a bare stream of the same transport.
            on if on.starts_with("libp2p") && from == "perennial-tests" => continue,
            on if on.starts_with("libp2p") || on == "yamux" => "perennial-swarm",
            "tokio"
                if matches!(
                    &*from,
                    "perennial-manifest"
                        | "perennial-oci"
                        | "perennial-operation"
                        | "perennial-protocol"
                ) =>
            {
                "no pure crate"
            }
            _ => continue,
        };
        assert_eq!(from, home, "{from} depends on {to}");
    }
}

/// The store blocks. It has channels for notifications, but no runtime.
#[test]
fn the_store_has_no_async_runtime() {
    let metadata = metadata();
    let store = metadata.packages.iter().find(|package| package.name == "perennial-store");
    let mut tokio = store.expect("it is a member").dependencies.iter();
    let tokio = tokio.find(|on| on.name == "tokio").expect("it depends on tokio");
    assert_eq!(tokio.features, ["sync"]);
}

#[test]
fn sled_and_libp2p_are_named_in_one_place() {
    for (path, text) in sources() {
        if path == Path::new("tests/layers.rs") || path.starts_with("tests/bench") {
            continue;
        }
        if path != Path::new("crates/store/src/index.rs") {
            let found = named(&text, &["sled"]);
            assert!(found.is_empty(), "{} names sled: {found:?}", path.display());
        }
        if !path.starts_with("crates/swarm") {
            let found = named(&text, &["libp2p", "libp2p_stream", "yamux"]);
            assert!(found.is_empty(), "{} names libp2p: {found:?}", path.display());
        }
    }
}

/// The archive knows no user interface: only the frontends translate to the control socket and to
/// HTTP.
#[test]
fn only_frontends_of_the_node_name_control_and_gateway() {
    for (path, text) in sources() {
        if path.starts_with("node/src") && !path.starts_with("node/src/frontends") {
            let found = named(shipped(&text), &["perennial_control", "perennial_gateway"]);
            assert!(found.is_empty(), "{} names a user interface: {found:?}", path.display());
        }
    }
}

#[test]
fn clocks_threads_and_randomness_stay_out_of_the_pure_crates() {
    let words =
        ["Instant", "SystemTime", "thread", "thread_rng", "rand", "OsRng", "getrandom", "tokio"];
    for (path, text) in sources() {
        let pure = ["manifest", "oci", "operation", "protocol"]
            .iter()
            .any(|name| path.starts_with(format!("crates/{name}/src")));
        if pure && !is_test(&path) {
            let found = named(shipped(&text), &words);
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES, "{} has {lines} lines, at most {LINES}", path.display());
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
    }
}

#[test]
fn no_line_is_wider_than_the_page() {
    for (path, text) in sources() {
        let found = wide(&text);
        assert!(found.is_empty(), "{}: over {WIDTH} columns: lines {found:?}", path.display());
    }
}

#[test]
fn modules_lie_where_their_names_say() {
    for (path, text) in sources() {
        assert!(is_placed_by_name(&path, &text), "{}: mod.rs or #[path]", path.display());
    }
}

/// Tests the checks themselves.
#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(
        named("use std::time::Instant;\n// Instant\nlet instant = MyInstant;", &["Instant"]),
        [(1, "Instant")]
    );
    assert_eq!(named("let db = sled::open(path);", &["sled"]), [(1, "sled")]);
    assert!(named("unsettled sleds // sled", &["sled"]).is_empty());
    assert!(is_allowed("perennial-swarm", "perennial-protocol"));
    assert!(!is_allowed("perennial-protocol", "perennial-store"));
    assert!(!is_allowed("perennial", "perennial-store"));
    assert!(!is_allowed("perennial-new", "perennial-manifest"));
    assert_eq!(shipped("a\n#[cfg(test)]\nmod tests {\n rand"), "a\n");
    let (full, over) = ("é".repeat(WIDTH), "é".repeat(WIDTH + 1));
    assert_eq!(wide(&format!("{full}\n{over}\nlet json = r#\"{over}\"#;")), [2]);
    assert!(is_placed_by_name(Path::new("node/src/archive.rs"), "mod add;"));
    assert!(!is_placed_by_name(Path::new("node/src/archive/mod.rs"), "mod add;"));
    assert!(!is_placed_by_name(Path::new("tests/main.rs"), "    #[path = \"a.rs\"]\nmod b;"));
}
