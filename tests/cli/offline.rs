//! One user with one release on one data directory: every command embeds a node while it runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::program::Place;

/// Fails unless the row has the fields that scripts rely on.
#[track_caller]
fn has_fields(row: &Value, fields: &[&str]) {
    let there: BTreeSet<&str> =
        row.as_object().expect("an object").keys().map(String::as_str).collect();
    for field in fields {
        assert!(there.contains(field), "{field} is missing in {row}");
    }
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} is not a string in {row}"))
}

fn release(place: &Place) -> Value {
    place.file("kubekey/kk", &vec![7; 200_000]);
    place.file("kubekey/docs/guide.md", b"# the guide\n");
    place.file("kubekey/empty", b"");
    place.row(&[
        "add",
        "kubekey",
        "--name",
        "kubekey",
        "--version",
        "v3.1.0",
        "--license",
        "Apache-2.0",
    ])
}

fn same(left: &Path, right: &Path) -> bool {
    ["kk", "docs/guide.md", "empty"]
        .iter()
        .all(|name| fs::read(left.join(name)).ok() == fs::read(right.join(name)).ok())
}

#[test]
fn a_release_is_added_listed_and_got_back() {
    let place = Place::new();
    let added = release(&place);
    has_fields(&added, &["release", "purl", "publisher", "artifacts", "bytes", "new_bytes"]);
    assert_eq!((&added["artifacts"], &added["bytes"]), (&3.into(), &200_012.into()));
    assert_eq!(added["new_bytes"], 200_012);
    assert_eq!(added["purl"], "pkg:generic/kubekey@v3.1.0");

    let row = place.row(&["ls"]);
    has_fields(
        &row,
        &["release", "purl", "publisher", "kind", "artifacts", "bytes", "held_bytes", "state"],
    );
    assert_eq!((&row["state"], &row["kind"]), (&"held".into(), &"archivist".into()), "{row}");
    assert_eq!((&row["release"], &row["held_bytes"]), (&added["release"], &row["bytes"]), "{row}");
    assert_eq!(place.row(&["search", "kubekey"])["release"], added["release"]);
    assert!(place.rows(&["ls", "--state", "known"]).is_empty());
    assert_eq!(place.row(&["key"])["publisher"], added["publisher"]);

    let got = place.row(&["get", text(&added, "release"), "-o", "out"]);
    has_fields(&got, &["release", "artifacts", "bytes", "fetched_bytes", "from", "elapsed_ms"]);
    assert_eq!((&got["fetched_bytes"], &got["from"]), (&0.into(), &serde_json::json!({})), "{got}");
    assert!(same(&place.path("kubekey"), &place.path("out")));
    let by_name =
        ["get", "kubekey@v3.1.0", "--publisher", text(&added, "publisher"), "-o", "named"];
    assert_eq!(place.row(&by_name)["release"], added["release"]);
    assert!(same(&place.path("kubekey"), &place.path("named")));
}

#[test]
fn the_same_add_again_names_the_release_and_signs_nothing() {
    let place = Place::new();
    let added = release(&place);
    assert_eq!(added["already"], false, "{added}");
    let again = release(&place);
    assert_eq!((&again["release"], &again["already"]), (&added["release"], &true.into()));
    let add = ["add", "kubekey", "--name", "kubekey", "--version", "v3.1.0"];
    let said = place.run(&add);
    assert_eq!(said.code, Some(0), "{said:?}");
    let expected = format!("already released as {}", text(&added, "release"));
    assert!(said.stdout.starts_with(&expected), "{said:?}");
    assert_eq!(place.rows(&["ls"]).len(), 1);
    let signed = place.row(&[&add[..], &["--again"]].concat());
    assert_eq!((place.rows(&["ls"]).len(), &signed["already"]), (2, &false.into()));
}

#[test]
fn files_with_other_content_are_overwritten_only_by_force() {
    let place = Place::new();
    let added = release(&place);
    let get = ["get", text(&added, "release"), "-o", "out"];
    place.row(&get);
    place.row(&get);
    place.file("out/kk", b"mine");
    let said = place.fails(1, &get);
    assert!(
        said.stderr.contains("already exists with other content")
            && said.stderr.contains("hint: --force replaces it"),
        "{said:?}"
    );
    assert_eq!(fs::read(place.path("out/kk")).unwrap(), b"mine");
    place.row(&[&get[..], &["--force"]].concat());
    assert!(same(&place.path("kubekey"), &place.path("out")));
}

#[test]
fn lists_and_maintenance_have_the_documented_shapes() {
    let place = Place::new();
    let added = release(&place);
    let id = text(&added, "release");
    let said = place.fails(5, &["--json", "status"]);
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(said.stderr.contains("no node runs"), "{said:?}");
    has_fields(
        &status,
        &[
            "peer_id",
            "addresses",
            "peers",
            "releases",
            "held_releases",
            "blobs",
            "stored_bytes",
            "logical_bytes",
        ],
    );
    assert_eq!(
        (&status["releases"], &status["held_releases"], &status["peers"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!(status["logical_bytes"], 200_012);

    let pin = place.row(&["pins"]);
    assert_eq!((text(&pin, "target"), text(&pin, "what")), (id, "release"), "adding pins: {pin}");
    let shown = place.row(&["show", id]);
    assert_eq!(shown["files"].as_array().map(Vec::len), Some(3), "{shown}");
    assert_eq!((&shown["license"], &shown["state"]), (&"Apache-2.0".into(), &"held".into()));

    assert!(place.rows(&["follows"]).is_empty());
    place.row(&["follow", text(&added, "publisher"), "--as", "me"]);
    let follow = place.row(&["follows"]);
    assert_eq!((&follow["publisher"], &follow["name"]), (&added["publisher"], &"me".into()));
    assert_eq!(
        place.row(&["get", "kubekey@v3.1.0"])["release"],
        added["release"],
        "a followed name resolves"
    );
    place.row(&["unfollow", "me"]);
    assert!(place.rows(&["follows"]).is_empty());

    let before = (place.rows(&["ls"]), place.rows(&["pins"]));
    let rebuilt = place.row(&["rebuild-index"]);
    assert_eq!(rebuilt["releases"], 1, "{rebuilt}");
    assert_eq!((place.rows(&["ls"]), place.rows(&["pins"])), before);

    let verified = place.row(&["verify"]);
    assert_eq!(verified["corrupt"], 0, "{verified}");
    assert_eq!(place.row(&["gc", "--grace", "0s"])["blobs"], 0, "it is pinned");
    place.row(&["unpin", id]);
    assert!(place.row(&["gc", "--grace", "0s", "--dry-run"])["blobs"].as_u64() > Some(0));
    assert_eq!(place.row(&["ls"])["state"], "held", "a dry run removes nothing");
    let spared = place.row(&["gc", "--grace", "1h", "--dry-run"]);
    assert!(spared["in_grace"].as_u64() > Some(1), "the small files and the list too: {spared}");
    assert_eq!(spared["blobs"], 0, "{spared}");
    place.row(&["gc"]);
    assert_eq!(
        place.row(&["ls"])["state"],
        "held",
        "a release unpinned by mistake can be pinned again"
    );
    let said = place.run(&["gc", "--grace", "1h", "--dry-run"]);
    assert!(said.stdout.contains(" of them only because"), "{said:?}");
    assert!(place.row(&["gc", "--grace", "0s"])["blobs"].as_u64() > Some(0));
    assert_eq!(place.row(&["ls"])["state"], "known", "the statement stays");
}

#[test]
fn a_publisher_goes_by_the_name_it_is_followed_under() {
    let place = Place::new();
    let added = release(&place);
    let publisher = text(&added, "publisher");
    place.row(&["follow", publisher, "--as", "savers"]);
    let commands: [&[&str]; 5] = [
        &["ls"],
        &["show", "kubekey@v3.1.0"],
        &["get", "kubekey@v3.1.0", "-o", "out"],
        &["pin", "kubekey@v3.1.0"],
        &["unpin", "kubekey@v3.1.0"],
    ];
    for command in commands {
        let row = place.row(&[command, &["--publisher", "savers"]].concat());
        let release = row.get("release").unwrap_or(&row["target"]);
        assert_eq!(release, &added["release"], "{command:?}: {row}");
        let said = place.fails(3, &[command, &["--publisher", "strangers"]].concat());
        assert!(
            said.stderr.contains("no publisher named strangers")
                && said.stderr.contains("hint: `perennial follows` lists the names"),
            "{command:?}: {said:?}"
        );
    }
    assert!(same(&place.path("kubekey"), &place.path("out")));

    let other = perennial_manifest::Keypair::from_seed([3; 32]).id().to_string();
    assert!(
        place.rows(&["ls", "--publisher", &other]).is_empty(),
        "a stranger has no release here"
    );
    let said = place.fails(2, &["follow", &other, "--as", "savers"]);
    assert!(said.stderr.contains("already the name of"), "a name means one publisher: {said:?}");
    place.row(&["follow", publisher, "--as", "saviours"]);
    place.row(&["follow", &other, "--as", "savers"]);
    assert!(place.rows(&["ls", "--publisher", "savers"]).is_empty(), "the name has moved");
    place.row(&["unfollow", "saviours"]);
    place.fails(3, &["unfollow", "saviours"]);
}

#[test]
fn output_is_text_and_quiet_prints_only_results() {
    let place = Place::new();
    let added = release(&place);
    let said = place.run(&["ls"]);
    assert!(
        said.stdout.contains("held") && said.stdout.contains("pkg:generic/kubekey@v3.1.0"),
        "{said:?}"
    );
    assert!(said.stdout.contains("archivist"), "{said:?}");
    let said = place.run(&["show", text(&added, "release")]);
    assert!(said.stdout.contains("docs/guide.md") && said.stdout.contains("archivist"), "{said:?}");
    let said = place.run(&[
        "add",
        "kubekey",
        "--name",
        "kubekey",
        "--version",
        "v2",
        "--kind",
        "upstream",
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains("added pkg:generic/kubekey@v2"), "{said:?}");
    assert!(
        said.stderr.contains("no node runs"),
        "no peer can fetch it yet, and the note says so: {said:?}"
    );
    let said = place.run(&["get", text(&added, "release")]);
    assert!(said.stdout.contains("; stored, not written: -o DIR writes it"), "{said:?}");
    let said = place.run(&["--quiet", "get", text(&added, "release"), "-o", "out"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    assert!(
        place.rows(&["ls"]).iter().all(|row| row["kind"] == "upstream"),
        "the profile is the publisher's"
    );
}

#[test]
fn the_default_data_directory_is_below_the_home_directory() {
    let place = Place::new();
    let output = place.command(&["--json", "key"]).env_remove("PERENNIAL_DATA").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(place.path("home/.local/share/perennial/LOCK").exists());
}

#[test]
fn a_drill_survives_and_leaves_nothing() {
    let place = Place::new();
    release(&place);
    fs::create_dir(place.path("temporary")).unwrap();
    let done = place.row(&["drill", "kubekey", "--dir", "temporary", "--timeout", "2m"]);
    assert_eq!((&done["survived"], &done["reason"]), (&true.into(), &Value::Null), "{done}");
    assert_eq!((&done["artifacts"], &done["bytes"]), (&3.into(), &200_012.into()), "{done}");
    assert_eq!(done["copies"], serde_json::json!(["B", "C", "D"]), "{done}");
    assert_eq!(done["steps"].as_array().map(Vec::len), Some(6), "{done}");
    assert!(!done["from"].as_object().unwrap().is_empty(), "{done}");
    assert_eq!(fs::read_dir(place.path("temporary")).unwrap().count(), 0);
    let said = place.run(&["drill", "kubekey/kk", "--dir", "temporary"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.stdout
            .trim_end()
            .ends_with("the release SURVIVED the loss of the node it was added on"),
        "{said:?}"
    );
}

/// `strace`, where it is there, counts the syncs.
#[test]
fn small_files_are_written_out_with_few_syncs() {
    let place = Place::new();
    for n in 0..600 {
        place.file(&format!("many/{}/{n}", n % 7), n.to_string().as_bytes());
    }
    place.row(&["add", "many", "--name", "many", "--version", "1"]);
    let script = "command -v strace >/dev/null || exit 77\n\
                  exec strace -f -qq -o trace -e trace=fsync,syncfs \"$0\" get many@1 -o out";
    let Some(said) = place.with_mounts(script) else { return };
    assert_eq!(said.code, Some(0), "{said:?}");
    for n in 0..600 {
        let copy = fs::read(place.path(&format!("out/{}/{n}", n % 7))).unwrap();
        assert_eq!(copy, n.to_string().as_bytes());
    }
    let trace = fs::read_to_string(place.path("trace")).unwrap();
    if !trace.contains("syncfs(") {
        eprintln!("skipped: this file system syncs each file by itself");
        return;
    }
    let syncs = trace.lines().filter(|line| line.contains("sync")).count();
    assert!(syncs < 100, "{syncs} syncs for 600 files");
}
