//! Text signed by other publishers on a terminal: no command prints characters that control it or
//! are invisible.

use std::collections::BTreeMap;

use perennial_manifest::{
    Artifact, ArtifactList, BlobId, Body, Entry, Keypair, Platform, Release, Role, Sha256Digest,
    Source,
};
use perennial_store::{OpenOptions, Store};

use super::program::{Place, said};

/// Characters that reverse text or are invisible.
const EVIL: &str = "x\u{202e}gpj\u{2066}\u{200b}\u{feff}\u{ad}y";

/// Stores a release in which every free text is hostile. Returns its id and its publisher.
fn evil_release(place: &Place) -> (String, String) {
    let store = Store::open(&place.path("data"), OpenOptions::default()).unwrap();
    let bytes = b"#!/bin/sh\n".to_vec();
    let artifact = Artifact {
        path: "run.sh".parse().unwrap(),
        size: bytes.len() as u64,
        blake3: BlobId::of(&bytes),
        sha256: Sha256Digest::from_bytes([7; 32]),
        media_type: format!("text/{EVIL}"),
        role: Role::Binary,
        platform: Some(Platform { os: EVIL.to_owned(), arch: EVIL.to_owned(), variant: None }),
        exec: true,
        origins: vec![EVIL.to_owned()],
    };
    let (list, artifacts) = ArtifactList::new(vec![artifact]).unwrap().encode().unwrap();
    drop(store.add_small(vec![bytes, list]).unwrap());
    let key = Keypair::from_seed([5; 32]);
    let purl = "pkg:generic/tool@1?vcs_url=%E2%80%AE".parse().unwrap();
    let release = Release {
        source: Some(Source { vcs: EVIL.to_owned(), commit: Some(EVIL.to_owned()) }),
        tags: BTreeMap::from([(EVIL.to_owned(), EVIL.to_owned())]),
        notes: Some(format!("{EVIL}\npublisher  did:key:you-trust")),
        ..Release::new(purl, artifacts)
    };
    let body = Body::Release(Box::new(release));
    let entry = Entry { publisher: key.id(), seq: 0, prevs: Vec::new(), issued_at: 1, body };
    let entry = entry.sign(&key).unwrap();
    let id = entry.release().unwrap().0;
    store.put_entries(&[entry]).unwrap();
    store.refresh_state(&id).unwrap();
    (id.to_string(), key.id().to_string())
}

fn acts(c: char) -> bool {
    // Both are ours: others' text has them as escapes.
    c.is_control() && !matches!(c, '\n' | '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{ad}')
}

#[test]
fn no_command_prints_terminal_controls() {
    let place = Place::new();
    assert_eq!(place.run(&["key"]).code, Some(0));
    let (id, publisher) = evil_release(&place);
    // The user's own names may have been copied from a web page.
    let petname = format!("anna{EVIL}");
    let commands: [&[&str]; 12] = [
        &["follow", &publisher, "--as", &petname],
        &["follows"],
        &["ls"],
        &["search", "tool"],
        &["show", &id],
        &["get", &id, "-o", EVIL],
        // Its SHA-256 is wrong, which is reported with the path.
        &["get", "tool@1", "--publisher", &publisher, "-o", "out", "--force"],
        &["pin", &id],
        &["pins"],
        &["unpin", &id],
        &["status"],
        &["verify"],
    ];
    let mut escaped = 0;
    for format in [&[][..], &["--json"]] {
        for command in &commands {
            let said = place.run(&[format, command].concat());
            for text in [&said.stdout, &said.stderr] {
                assert!(!text.chars().any(acts), "{command:?}: {text:?}");
                assert!(
                    !text.lines().any(|line| line.starts_with("publisher  did:key:you")),
                    "{text}"
                );
                escaped += usize::from(text.contains("\\u{202e}") || text.contains("\\u202e"));
            }
        }
    }
    assert!(escaped >= 4, "only {escaped} outputs showed any of it");
}

/// What a command prints on a terminal of 80 columns; none where `script` is not there.
fn on_terminal(place: &Place, command: &str) -> Option<String> {
    let ours = place.command(&[]);
    let program = ours.get_program().to_str().unwrap();
    let line = format!("stty cols 80 rows 24; {program} {command}");
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(place.path(""));
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let said = said(script.output().ok()?);
    assert!(matches!(said.code, Some(0 | 3 | 5)), "{command}: {said:?}");
    Some(said.stdout.replace('\r', ""))
}

#[test]
fn tables_fit_a_terminal_and_a_pipe_gets_all() {
    let place = Place::new();
    place.file("tool/tool", b"the tool");
    let purl = "pkg:docker/minio/minio@RELEASE.2025-09-07T16-13-09Z?repository_url=quay.io";
    let added = place.row(&["add", "tool", "--purl", purl]);
    let (id, publisher) =
        (added["release"].as_str().unwrap(), added["publisher"].as_str().unwrap());
    place.row(&["follow", publisher, "--as", "kubesphere-savers"]);
    place.row(&["follow", "all"]);
    let show = format!("show {id}");
    for command in ["ls", "search minio", "pins", "follows", &show, "status", "get other@1"] {
        let Some(text) = on_terminal(&place, command) else { return };
        assert!(text.lines().count() > 1, "{command}: {text}");
        // A word that is longer is not cut where it is shown whole.
        for line in text.lines().filter(|line| !line.starts_with("purl ")) {
            assert!(line.chars().count() <= 80, "{command}: {} columns: {line}", line.len());
        }
    }
    let ls = on_terminal(&place, "ls").unwrap();
    let (head, row) = ls.trim_end().split_once('\n').unwrap();
    for part in ["NAME", "REGISTRY", "SIZE", "STATE", "PUBLISHER", "SIGNED"] {
        assert!(head.contains(part), "{ls}");
    }
    for part in ["minio/", "quay.io", "8 B", "held", "kubesphere-savers"] {
        assert!(row.contains(part), "{ls}");
    }
    assert!(row.ends_with("just now") || row.ends_with("ago"), "{ls}");
    let piped = place.run(&["ls"]).stdout;
    let fields: Vec<&str> = piped.trim_end().split('\t').collect();
    assert_eq!(fields[..4], [purl, "quay.io", "8 B", "held"], "{piped}");
    assert_eq!((fields[4], fields[5], fields[7]), (publisher, "archivist", id), "{piped}");
    let shown = on_terminal(&place, &show).unwrap();
    assert!(shown.contains(publisher) && shown.contains(id), "whole where one is shown: {shown}");
}
