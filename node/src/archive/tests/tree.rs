//! Adding trees as they are: every offender is named at once, nothing is lost in silence.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_operation::{Add, ErrorKind, Progress, Published};

use super::{Machine, write};
use crate::archive::{ArchiveError, Observer};

fn request(source: &Path) -> Add {
    Add::new([source], "pkg:generic/tree@1".parse().unwrap())
}

async fn add(machine: &Machine, add: Add) -> Result<Published, ArchiveError> {
    machine.archive.add(add, Arc::new(())).await
}

fn paths(machine: &Machine, added: &Published) -> Vec<String> {
    let list = machine.store().artifact_list(&added.release).unwrap().unwrap();
    list.iter().map(|artifact| artifact.path.to_string()).collect()
}

/// A tree with one of each offence, and one sound file.
fn offensive(machine: &Machine) -> PathBuf {
    let source = machine.files(&[("sound", b"sound")]);
    for name in ["CON", "a:b", "trailing.", "Plain", "plain", "dir", "Dir/inside", "aux.d/x/y"] {
        write(&source.join(name), name.as_bytes());
    }
    symlink("/etc/passwd", source.join("out")).unwrap();
    symlink("../up", source.join("up")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, source.join("pipe"), 0o600.into()).unwrap();
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn every_offender_is_named_at_once_and_can_be_left_out() {
    let machine = Machine::new(1);
    let source = offensive(&machine);
    let refused = add(&machine, request(&source)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
    assert!(refused.hint().is_some_and(|hint| hint.contains("--skip-unportable")));
    let details = refused.details();
    for name in ["CON", "a:b", "trailing.", "plain", "aux.d", "out", "up", "pipe"] {
        let path = source.join(name).display().to_string();
        assert!(details.iter().any(|line| line.starts_with(&path)), "{name}: {details:#?}");
    }
    assert_eq!(details.len(), 9, "{details:#?}");
    assert!(refused.to_string().starts_with("9 files cannot be part of a release"), "{refused}");
    assert_eq!(machine.told(), []);

    let skip = Add { skip_unportable: true, ..request(&source) };
    let added = add(&machine, skip).await.unwrap();
    let kept = paths(&machine, &added);
    assert!(kept.contains(&"sound".into()) && kept.contains(&"Plain".into()), "{kept:?}");
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert_eq!(added.left_out.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_files_are_not_read() {
    let machine = Machine::new(1);
    let source = offensive(&machine);
    let exclude = ["CON", "a:b", "*.", "plain", "aux.d", "out", "up", "pipe", "/dir", "no*thing"];
    let add_it = Add { exclude: exclude.map(str::to_owned).to_vec(), ..request(&source) };
    let added = add(&machine, add_it).await.unwrap();
    assert_eq!(paths(&machine, &added), ["Dir/inside", "Plain", "sound"]);
    assert!(added.remarks.contains(&"--exclude no*thing matched nothing".into()), "{added:?}");
    let bad = Add { exclude: vec!["a[".into()], ..request(&source) };
    let refused = add(&machine, bad).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Pattern { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_kept_or_followed() {
    let machine = Machine::new(1);
    let source = machine.files(&[("v1/tool", b"tool")]);
    let outside = machine.dir.path().join("outside");
    write(&outside.join("deep/file"), b"outside");
    symlink("v1", source.join("latest")).unwrap();
    let added = add(&machine, request(&source)).await.unwrap();
    assert_eq!(paths(&machine, &added), ["latest", "v1/tool"]);

    symlink(&outside, source.join("abroad")).unwrap();
    let follow = Add { dereference: true, ..request(&source) };
    let added = add(&machine, follow.clone()).await.unwrap();
    assert_eq!(paths(&machine, &added), ["abroad/deep/file", "latest/tool", "v1/tool"]);

    symlink("..", source.join("v1/loop")).unwrap();
    symlink("nowhere", source.join("dangling")).unwrap();
    let details = add(&machine, follow).await.unwrap_err().details();
    assert!(details.iter().any(|line| line.contains("a directory above it")), "{details:?}");
    assert!(details.iter().any(|line| line.contains("dangling: is a symbolic link")));
}

#[tokio::test(flavor = "multi_thread")]
async fn remarks_name_hidden_files_empty_directories_and_links() {
    let machine = Machine::new(1);
    let source = machine.files(&[("a", b"a"), (".git/x/.y", b"x"), (".env", b"e")]);
    fs::create_dir_all(source.join("logs")).unwrap();
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    let added = add(&machine, request(&source)).await.unwrap();
    assert_eq!(paths(&machine, &added), [".env", ".git/x/.y", "a", "b", "logs"]);
    for remark in [
        "1 hidden file, 1 hidden directory included; --exclude '.*' leaves them out",
        "1 empty directory kept as such",
        "2 files with hard links: each name is a file of its own",
    ] {
        assert!(added.remarks.iter().any(|line| line == remark), "{:?}", added.remarks);
    }
}

/// Writes to a file as soon as bytes of the add were read.
struct Meddler(File);

impl Observer for Meddler {
    fn progress(&self, _: Progress) {
        (&self.0).write_all(b"one more line\n").unwrap();
    }

    fn has_left(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_growing_file_costs_no_other_and_nothing_is_signed() {
    let machine = Machine::new(1);
    let large = vec![7; 1 << 20];
    let files: [(&str, &[u8]); 4] =
        [("a", b"a"), ("grows.log", &large), ("z", b"z"), ("zz.log", &large)];
    let source = machine.files(&files);
    let log = File::options().append(true).open(source.join("grows.log")).unwrap();
    let refused = machine.archive.add(request(&source), Arc::new(Meddler(log))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Failed);
    let text = refused.to_string();
    assert!(text.contains("grows.log: changed while it was being added"), "{text}");
    assert!(text.contains("The other 3 are stored"), "{text}");
    assert_eq!(machine.told(), [], "nothing is signed");
    let again = add(&machine, request(&source)).await.unwrap();
    let grown = fs::metadata(source.join("grows.log")).unwrap().len();
    assert_eq!(again.new_bytes, grown, "the others were stored before");
}
