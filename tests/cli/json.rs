//! `--json`: every command prints what `cli/JSON.md` says, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use perennial_control::{AuditRow, Completeness, CorruptRow, Failed};
use perennial_manifest::{BlobId, EntryId};
use perennial_tests::{Daemon, wait_until};
use serde_json::{Value, json};

use super::help::COMMANDS;
use super::program::Place;

/// Commands that have no JSON, and refuse the option.
const WITHOUT: [&str; 3] = ["serve", "completions", "man"];

/// The tables of the page: the fields of each object, with their types.
struct Page {
    shapes: BTreeMap<String, BTreeMap<String, String>>,
    seen: BTreeSet<String>,
}

impl Page {
    fn read() -> Page {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/JSON.md");
        let text = std::fs::read_to_string(file).unwrap();
        let (mut shapes, mut headings) = (BTreeMap::<_, BTreeMap<_, _>>::new(), Vec::new());
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
                headings = heading.split(", ").map(str::to_owned).collect();
            }
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let field = cells.get(1).and_then(|cell| cell.strip_prefix('`'));
            if let (Some(field), Some(kind)) = (field, cells.get(2)) {
                for heading in &headings {
                    let field = field.trim_end_matches('`').to_owned();
                    let shape = shapes.entry(heading.clone()).or_default();
                    assert!(shape.insert(field, (*kind).to_owned()).is_none(), "twice: {line}");
                }
            }
        }
        Page { shapes, seen: BTreeSet::new() }
    }

    /// Fails unless the object has exactly these fields, of these types.
    #[track_caller]
    fn check(&mut self, shape: &str, row: &Value) {
        self.seen.insert(shape.to_owned());
        let fields = self.shapes.get(shape).unwrap_or_else(|| panic!("{shape} is not described"));
        let fields = fields.clone();
        let there: BTreeSet<&String> = row.as_object().expect("an object").keys().collect();
        assert_eq!(there, fields.keys().collect::<BTreeSet<_>>(), "{shape}: {row}");
        for (field, kind) in &fields {
            let value = &row[field];
            assert!(is(value, kind), "{shape}: {field} is not a {kind} in {row}");
            let inner = format!("{shape}: {field}");
            if self.shapes.contains_key(&inner) {
                for one in value.as_array().into_iter().flatten() {
                    self.check(&inner, one);
                }
            }
        }
        if let Some(version) = row.get("v") {
            assert_eq!(version, 1);
        }
    }

    /// Runs a command and checks its rows.
    #[track_caller]
    fn run(&mut self, place: &Place, args: &[&str]) -> Value {
        let row = place.row(args);
        self.check(args[0], &row);
        row
    }

    /// Runs a command that fails, and checks the error. Returns the rows.
    #[track_caller]
    fn fails(&mut self, place: &Place, code: i32, args: &[&str]) -> Vec<Value> {
        let said = place.fails(code, &[&["--json"], args].concat());
        let error = serde_json::from_str(&said.stderr)
            .unwrap_or_else(|error| panic!("{error}: {args:?}: {said:?}"));
        self.check("errors", &error);
        assert_eq!(error["exit"], code, "{error}");
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A document that a node serves.
fn json_over_http(node: &Daemon, path: &str) -> Value {
    let address = node.http.as_deref().unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn is(value: &Value, kind: &str) -> bool {
    if let Some(kind) = kind.strip_suffix(" or null") {
        return value.is_null() || is(value, kind);
    }
    let all = |one: fn(&Value) -> bool| value.as_array().is_some_and(|all| all.iter().all(one));
    match kind {
        "string" => value.is_string(),
        "number" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "list of strings" => all(Value::is_string),
        "list of objects" => all(Value::is_object),
        _ => panic!("the page has a type {kind:?}"),
    }
}

#[test]
fn a_field_has_one_type_in_all_objects() {
    let mut types = BTreeMap::new();
    for (shape, fields) in Page::read().shapes {
        // A document that no command prints, and that was named before the page was written.
        if shape == "releases.json" {
            continue;
        }
        for (field, kind) in fields {
            let kind = kind.trim_end_matches(" or null").to_owned();
            let known = types.entry(field.clone()).or_insert_with(|| kind.clone());
            assert_eq!(*known, kind, "{field} of {shape}");
        }
    }
}

#[test]
fn every_command_prints_what_the_page_says() {
    let (place, mut page) = (Place::new(), Page::read());
    place.file("tool/tool", b"the tool");
    let add = ["add", "tool", "--name", "tool", "--version", "1"];
    let added = page.run(&place, &add);
    let (id, publisher) =
        (added["release"].as_str().unwrap(), added["publisher"].as_str().unwrap());
    page.run(&place, &["trust", publisher]);
    page.run(&place, &["follow", publisher, "--as", "me"]);
    for command in [
        &["follows"][..],
        &["ls"],
        &["search", "tool"],
        &["show", id],
        &["get", id],
        &["get", "tool@1", "-o", "out"],
        &["unpin", id],
        &["pin", id],
        &["pins"],
        &["deny", "pkg:generic/other", "--reason", "a court order"],
        &["denied"],
        &["undeny", "pkg:generic/other"],
        &["key"],
        &["key", "show"],
        &["key", "backup", "copy"],
        &["verify"],
        &["gc", "--dry-run"],
        &["rebuild-index"],
        &["drill", "tool"],
        &["version"],
    ] {
        page.run(&place, command);
    }
    let unfollowed = page.run(&place, &["unfollow", "me"]);
    assert_eq!(unfollowed["publisher"], added["publisher"], "the DID, not the name");
    let digest = format!("blake3:{}", "ab".repeat(32));
    page.run(&place, &["pin", &digest]);
    for row in place.rows(&["pins"]) {
        page.check("pins", &row);
    }

    // Errors of the node, with claims and without, of the command line, and beside rows.
    page.run(&place, &["add", "tool", "--name", "tool", "--version", "2"]);
    page.fails(&place, 2, &["get", "tool"]);
    page.fails(&place, 3, &["get", "other@1"]);
    page.fails(&place, 2, &["levitate"]);
    page.fails(&place, 2, &["get"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let image = format!("docker://127.0.0.1:{port}/app:v1");
    let rows = page.fails(&place, 1, &["add", "--allow-private", "--plain-http", &image]);
    page.check("add: troubles", &rows[0]);
    let rows = page.fails(&place, 5, &["status"]);
    page.check("status", &rows[0]);

    place.file("old/big", &[7; 200_000]);
    place.row(&["add", "old", "--name", "big", "--version", "1", "--in-place"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    let rows = page.fails(&place, 4, &["relocate", "old", "empty"]);
    page.check("relocate: files not found", &rows[0]);
    page.check("relocate", &rows[1]);
    std::fs::rename(place.path("old"), place.path("new")).unwrap();
    page.run(&place, &["relocate", "old", "new"]);

    let other = place.path("other");
    let far = Daemon::start(&other, &[]);
    let faces = ["--peer", far.address(), "--http", "127.0.0.1:0"];
    let near = Daemon::start(&place.path("data"), &faces);
    page.run(&place, &["status"]);
    let releases = json_over_http(&near, "/releases.json?limit=1");
    page.check("releases.json", &releases);
    let mut release = json_over_http(&near, &format!("/r/{id}/"));
    for file in
        release.as_object_mut().and_then(|row| row.remove("files")).unwrap().as_array().unwrap()
    {
        page.check("show: files", file);
    }
    page.check("release over HTTP", &release);
    let connected = || place.rows(&["peers"]).pop();
    page.check("peers", &wait_until(perennial_tests::READY_LIMIT, "a peer", connected));
    drop((near, far));

    // With another key, this node's releases are those of a stranger, whom nobody follows.
    std::fs::remove_dir_all(place.path("data/keys")).unwrap();
    let pins: Vec<_> = place.rows(&["pins"]);
    for pin in &pins {
        place.run(&["unpin", pin["target"].as_str().unwrap()]);
    }
    let forgotten = page.run(&place, &["forget", publisher]);
    assert!(forgotten["entries"].as_u64() > Some(1) && forgotten["kept"] == 0, "{forgotten}");
    page.fails(&place, 3, &["forget", publisher]);

    // These take an upstream with a chart, and a damaged disk.
    let failed = Failed::new("docker://a/b:1", "gone");
    let chart = Completeness {
        of: "pkg:helm/a@1".into(),
        held_images: vec!["docker://a/a:1".into()],
        missing_images: vec![failed],
    };
    let secret = AuditRow {
        entry: EntryId::from_bytes([7; 32]),
        release: None,
        purl: None,
        field: "observed URL".into(),
        text: "https://a.example/x".into(),
        secrets: vec!["`token` in the query".into()],
        reason: None,
    };
    page.check("key: audit", &place.row(&["key", "--audit"]));
    let damaged = BlobId::from_bytes([7; 32]).to_string().parse().unwrap();
    let damaged = CorruptRow {
        blob: damaged,
        reason: "changed".into(),
        unreadable: false,
        lost: true,
        release: None,
        purl: None,
        file: None,
    };
    for (shape, row) in [
        ("add: images of a chart", serde_json::to_value(chart).unwrap()),
        ("key: places", serde_json::to_value(secret).unwrap()),
        ("verify: what failed", serde_json::to_value(damaged).unwrap()),
    ] {
        let mut row = row;
        row["v"] = json!(1);
        page.check(shape, &row);
    }

    let described: BTreeSet<String> = page.shapes.keys().cloned().collect();
    assert_eq!(page.seen, described, "a table of the page was compared with nothing");
    for command in COMMANDS {
        assert_ne!(described.contains(command), WITHOUT.contains(&command), "{command}");
    }
}

#[test]
fn commands_without_json_refuse_the_option() {
    let (place, mut page) = (Place::new(), Page::read());
    for command in [&["serve"][..], &["completions", "bash"], &["man"]] {
        assert!(page.fails(&place, 2, command).is_empty(), "{command:?}");
    }
}
