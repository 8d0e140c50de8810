//! Secrets in URLs: never signed unasked, found where they were, and no reason to disagree.

use std::fs;
use std::path::Path;

use perennial_tests::{Daemon, READY_LIMIT, perennial, publisher, text, wait_until};
use serde_json::json;

use super::program::{Place, Said};
use super::web::Web;

/// What no output and no file may have.
const SECRETS: [&str; 5] = ["glpat-XYZ", "SECRET1", "abc1", "NOTED", "hunter2"];

const NOT_SIGNED: &str = "not signed, as it may be a secret";

/// All files below a directory, as one text.
fn contents(dir: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all += &contents(&entry.path()),
            kind if kind.is_file() => {
                all += &String::from_utf8_lossy(&fs::read(entry.path()).unwrap());
            }
            _ => {}
        }
    }
    all
}

#[track_caller]
fn assert_secret_free(place: &Place, said: &Said) {
    let all = format!("{}{}{}", said.stdout, said.stderr, contents(&place.path("data")));
    for secret in SECRETS {
        assert!(!all.contains(secret), "{secret}: {said:?}");
    }
}

/// A file behind a redirect to a signed URL, as the large forges have it, and its URL with a token.
fn forge(web: &Web, host: &str) -> String {
    let signed = "/blob/x.tar.gz?X-Amz-Signature=SECRET1&token=abc1";
    let asked = "/dl/x.tar.gz?private_token=glpat-XYZ&v=1";
    web.say(asked, 302, &format!("Location: {signed}\r\n"), "");
    web.put(signed, "the file");
    format!("http://me:hunter2@{host}{asked}")
}

#[test]
fn of_a_url_only_what_names_the_file_is_signed_and_the_rest_is_said() {
    let (place, (web, host)) = (Place::new(), Web::start());
    let url = forge(&web, &host);
    let notes = "see https://a.test/x?sig=NOTED";
    let add = ["add", &url, "--name", "leak", "--version", "1", "--allow-private"];
    let said = place.run(&[&add[..], &["--notes", notes]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let named = format!("http://{host}/dl/x.tar.gz?v=1");
    for said_of in [
        &*format!("note: {NOT_SIGNED}: `private_token` in the query, of {named}"),
        &*format!("note: {NOT_SIGNED}: a user name and a password, of {named}"),
        &*format!("note: {NOT_SIGNED}: `sig` in the query, of see https://a.test/x"),
        "note: --keep-query signs URLs as they are, but for users and passwords",
    ] {
        assert!(said.stderr.contains(said_of), "{said_of}: {said:?}");
    }
    assert_secret_free(&place, &said);
    let stored = contents(&place.path("data"));
    assert!(stored.contains(&named) && stored.contains(&format!("http://{host}/blob/x.tar.gz")));
    assert_eq!(place.row(&["key", "--audit"])["found"], 0);

    // The same again, and nothing that fails says more.
    let again = place.row(&add);
    assert_eq!(again["already"], true, "{again}");
    assert!(again["remarks"].as_array().unwrap().len() >= 2, "{again}");
    let gone = format!("http://me:hunter2@{host}/gone.tgz?token=abc1");
    let lost = ["add", &gone, "--name", "lost", "--version", "1", "--allow-private"];
    assert_secret_free(&place, &place.fails(3, &lost));
    web.drop("/blob/x.tar.gz?X-Amz-Signature=SECRET1&token=abc1");
    assert_secret_free(&place, &place.fails(3, &add));
    let shared = ["add", &url, &gone, "--name", "two", "--version", "1", "--allow-private"];
    assert_secret_free(&place, &place.run(&shared));
    // A name is signed as well.
    let named =
        ["add", "x", "--purl", "pkg:generic/x@1?download_url=https://a.test/%3Fsig%3DNOTED"];
    place.file("x", b"x");
    assert_secret_free(&place, &place.fails(2, &named));
}

#[test]
fn secrets_that_were_signed_are_found_and_not_repeated() {
    let (place, (web, host)) = (Place::new(), Web::start());
    let url = forge(&web, &host);
    let keep = ["add", &url, "--name", "leak", "--version", "1", "--allow-private", "--keep-query"];
    place.row(&keep);
    let stored = contents(&place.path("data"));
    assert!(stored.contains("private_token=glpat-XYZ"), "it was asked for");
    assert!(!stored.contains("SECRET1") && !stored.contains("hunter2"), "and nothing else was");

    let said = place.fails(4, &["key", "--audit"]);
    let shown = format!("{}{}", said.stdout, said.stderr);
    for part in ["`private_token` in the query", "origin of x.tar.gz", "replace each credential"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("glpat"), "{shown}");
    let said = place.fails(4, &["--json", "key", "--audit"]);
    let rows: Vec<serde_json::Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (done, found) = rows.split_last().unwrap();
    let fields: Vec<_> = found.iter().map(|row| row["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["place of origin", "origin of x.tar.gz", "observed URL"]);
    assert_eq!(found[0]["secrets"], json!(["`private_token` in the query"]));
    assert_eq!(found[0]["purl"], "pkg:generic/leak@1");
    assert_eq!(found[0]["text"], format!("http://{host}/dl/x.tar.gz?v=1"));
    assert_eq!(
        (&done["found"], &done["entries"], &done["unread_lists"]),
        (&json!(3), &json!(3), &json!(0))
    );
    // Today's rule finds the file again under a URL that was signed with its token.
    let add = ["add", &url, "--name", "leak", "--version", "1", "--allow-private"];
    assert_eq!(place.row(&add)["already"], true);
    // The key before is no less one's own.
    assert_eq!(place.run(&["key", "rotate"]).code, Some(0));
    assert!(place.fails(4, &["key", "--audit"]).stdout.contains("3 places with secrets"));
}

/// The disk lost what was signed; other nodes may have it, with a secret.
#[test]
fn a_statement_that_cannot_be_read_is_named_each_time() {
    let place = Place::new();
    place.file("x", b"x");
    let add = |name: &str, notes: &str| {
        place.row(&["add", "x", "--name", name, "--version", "1", "--notes", notes]);
    };
    add("one", "the first of its kind");
    let before = place.row(&["key", "--audit"])["entries"].as_u64().unwrap();
    add("two", "another");
    damage(&place.path("data"), b"the first of its kind");
    for _ in 0..2 {
        let said = place.fails(4, &["key", "--audit"]);
        for part in ["UNREAD  entry ", "the statement: ", "1 signed statement could not be read"] {
            let all = format!("{}{}", said.stdout, said.stderr);
            assert!(all.contains(part), "{part}: {said:?}");
        }
        let said = place.fails(4, &["--json", "key", "--audit"]);
        let rows: Vec<serde_json::Value> =
            said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(rows[0]["reason"].is_string() && rows[0]["secrets"] == json!([]), "{rows:?}");
        let done = &rows[1];
        assert_eq!((&done["entries"], &done["unread_entries"]), (&json!(before), &json!(1)));
    }
}

/// Changes a byte of the file that has these bytes.
fn damage(dir: &Path, of: &[u8]) {
    for (name, mut bytes) in perennial_tests::files(dir) {
        let Some(at) = bytes.windows(of.len()).position(|window| window == of) else { continue };
        bytes[at] ^= 1;
        let path = dir.join(name);
        fs::remove_file(&path).unwrap();
        fs::write(path, bytes).unwrap();
        return;
    }
    panic!("not on disk");
}

#[test]
fn an_audit_makes_no_archive() {
    let place = Place::new();
    place.fails(3, &["key", "--audit"]);
    assert!(!place.path("data").exists());
}

/// Each visitor is sent to another place with another signature.
#[test]
fn archivists_that_were_redirected_elsewhere_agree() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (web, host) = Web::start();
    let url = format!("http://{host}/dl/x.tar.gz");
    for (name, part) in [("a", "one"), ("b", "two")] {
        let target = format!("/{part}/x.tar.gz?sig={part}");
        web.say("/dl/x.tar.gz", 302, &format!("Location: {target}\r\n"), "");
        web.put(&target, "the same bytes");
        let add = ["add", &url, "--name", "tool", "--version", "1", "--allow-private"];
        perennial(&at(name), &add).ok();
    }
    let (a, b) = (Daemon::start(&at("a"), &[]), Daemon::start(&at("b"), &[]));
    for node in [&a, &b] {
        perennial(&at("d"), &["follow", &publisher(node.data())]).ok();
    }
    let d = Daemon::start(&at("d"), &["--peer", a.address(), "--peer", b.address()]);
    let both = || perennial(d.data(), &["ls"]).ok().rows();
    wait_until(READY_LIMIT, "both releases", || (both().len() == 2).then_some(()));
    let out = at("out");
    perennial(d.data(), &["get", "tool@1", "-o", text(&out)]).ok();
    assert_eq!(fs::read(out.join("x.tar.gz")).unwrap(), b"the same bytes");
    let shown = perennial(d.data(), &["show", "tool@1"]).ok().rows();
    let others = (shown[0]["agreeing"].as_array(), shown[0]["disagreeing"].as_array());
    assert!(matches!(others, (Some(one), Some(none)) if one.len() == 1 && none.is_empty()));
}
