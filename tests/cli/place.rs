//! Where archives are made, and where none is: a mistyped path, another program's directory, a disk
//! that is not there, somebody else's archive.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::process::Command;

use rustix::process::geteuid;

use super::program::Place;

#[test]
fn reading_makes_no_archive() {
    let place = Place::new();
    for args in [
        &["ls"][..],
        &["show", "a@1"],
        &["search", "a"],
        &["get", "a@1", "-o", "out"],
        &["pin", "a@1"],
        &["unpin", "a@1"],
        &["pins"],
        &["follows"],
        &["unfollow", "all"],
        &["undeny", "pkg:generic/a"],
        &["denied"],
        &["key", "backup", "copy"],
        &["key", "rotate"],
        &["verify"],
        &["gc"],
        &["rebuild-index"],
    ] {
        let said = place.fails(3, args);
        assert!(said.stderr.contains("no archive at"), "{args:?}: {said:?}");
        assert!(said.stderr.contains(place.path("data").to_str().unwrap()), "{said:?}");
    }
    for args in [&["status"][..], &["peers"]] {
        let said = place.fails(5, args);
        assert!(said.stderr.contains("hint: "), "{said:?}");
    }
    let said = place.fails(3, &["serve", "--existing", "--http", "off", "--no-mdns"]);
    assert!(said.stderr.contains("no archive at") && said.stderr.contains("mounted"), "{said:?}");
    assert!(!place.path("data").exists(), "something was made");
    place.row(&["key"]);
    assert!(place.path("data/FORMAT").exists());
    place.rows(&["ls"]);
}

#[test]
fn peers_are_asked_without_an_archive_and_none_is_left() {
    let place = Place::new();
    // Nothing listens there: the question fails, and leaves nothing behind.
    for args in [&["search", "a"][..], &["show", "a@1"]] {
        let said = place.run(&[&["--peer", "/ip4/127.0.0.1/tcp/1"], args].concat());
        assert!(!said.stderr.contains("no archive"), "{said:?}");
        assert!(!place.path("data").exists());
    }
}

/// Commands that keep what they fetch, or begin an archive, and fail: no archive is left, and a key
/// that lay there before stays as it was.
#[test]
fn a_failed_command_leaves_no_archive() {
    let place = Place::new();
    let nowhere = ["--peer", "127.0.0.1:1"];
    let id = "ab".repeat(32);
    let digest = format!("blake3:{id}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let registry = format!("docker://127.0.0.1:{port}/app:v1");
    let failing = [
        &[&nowhere[..], &["get", "nosuch@1", "-o", "out"]].concat()[..],
        &[&nowhere[..], &["get", &id]].concat(),
        &[&nowhere[..], &["get", &digest]].concat(),
        &[&nowhere[..], &["pin", "nosuch@1"]].concat(),
        &["add", "--allow-private", "--plain-http", "--tries", "1", &registry],
        &["serve", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--http", &taken],
    ];
    for args in failing {
        let said = place.run(args);
        assert!(matches!(said.code, Some(1..=5)), "{args:?}: {said:?}");
        assert!(!place.path("data").exists() && !place.path("out").exists(), "{args:?}: {said:?}");
        assert!(!place.path("home/.local").exists(), "{args:?}: {said:?}");
    }
    let held = || place.run(&["key", "--did"]);
    let did = held();
    assert_eq!(did.code, Some(0), "{did:?}");
    for entry in fs::read_dir(place.path("data")).unwrap().flatten() {
        if entry.file_name() != "keys" {
            let path = entry.path();
            fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).unwrap();
        }
    }
    for args in failing {
        place.run(args);
        let left: Vec<_> = fs::read_dir(place.path("data")).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{args:?}: {left:?}");
    }
    assert_eq!(held().stdout, did.stdout, "the key is the same");
}

#[test]
fn another_programs_directory_is_left_alone() {
    let place = Place::new();
    place.file("data/letter.txt", b"mine");
    let said = place.fails(2, &["key"]);
    assert!(said.stderr.contains("letter.txt"), "{said:?}");
    place.fails(2, &["serve", "--http", "off", "--no-mdns"]);
    assert_eq!(fs::read_dir(place.path("data")).unwrap().count(), 1);
}

#[test]
fn root_leaves_another_users_archive_alone() {
    if !geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let place = Place::new();
    place.file("tool", b"the tool");
    place.row(&["add", "tool", "--name", "tool", "--version", "1"]);
    let all = || {
        let mut found = vec![place.path("data")];
        let mut next = 0;
        while let Some(path) = found.get(next).cloned() {
            next += 1;
            for entry in fs::read_dir(&path).into_iter().flatten() {
                found.push(entry.unwrap().path());
            }
        }
        found
    };
    all().iter().for_each(|path| chown(path, Some(65_533), Some(65_533)).unwrap());
    for args in [&["ls"][..], &["add", "tool", "--name", "tool", "--version", "2"]] {
        let said = place.fails(1, args);
        assert!(said.stderr.contains("belongs to user 65533"), "{said:?}");
        assert!(said.stderr.contains("hint: run the command as that user"), "{said:?}");
    }
    for path in all() {
        assert_eq!(fs::symlink_metadata(&path).unwrap().uid(), 65_533, "{}", path.display());
    }
}

#[test]
fn no_archive_is_made_where_one_was_before_its_disk_went() {
    let place = Place::new();
    let script = r#"
        mkdir disk && mount -t tmpfs perennial disk || exit 77
        "$0" --data disk/d key >first || exit 1
        umount disk || exit 77
        "$0" --data disk/d key
    "#;
    let Some(said) = place.with_mounts(script) else { return };
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.stderr.contains("which is not mounted"), "{said:?}");
    assert!(said.stderr.contains("hint: mount it"), "{said:?}");
    assert!(!place.path("disk/d").exists());
    // An archive that was deleted from a disk that is there may be made again.
    let again = r#"
        mount -t tmpfs perennial disk || exit 77
        "$0" --data disk/d key >first || exit 1
        rm -r disk/d
        "$0" --data disk/d key
    "#;
    let Some(said) = place.with_mounts(again) else { return };
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn keys_that_a_group_may_use_are_refused_unless_that_is_accepted() {
    let place = Place::new();
    let publisher = place.row(&["key"])["publisher"].clone();
    for key in ["data/keys/node.key", "data/keys/publisher.key"] {
        let mode = fs::Permissions::from_mode(0o660);
        fs::set_permissions(place.path(key), mode).unwrap();
    }
    let said = place.fails(1, &["ls"]);
    assert!(said.stderr.contains("fsGroup") && said.stderr.contains("--group-keys"), "{said:?}");
    assert_eq!(place.row(&["--group-keys", "key"])["publisher"], publisher);
    let said = place.command(&["ls"]).env("PERENNIAL_GROUP_KEYS", "true").output().unwrap();
    assert!(said.status.success(), "{said:?}");
}

#[test]
fn keys_may_lie_in_a_folder_of_their_own() {
    let place = Place::new();
    let publisher = place.row(&["--keys", "safe", "key"])["publisher"].clone();
    assert!(place.path("safe/publisher.key").exists());
    assert!(!place.path("data/keys/publisher.key").exists());
    assert_eq!(place.row(&["--keys", "safe", "key"])["publisher"], publisher);
}

/// Without sockets (on exFAT, for example), a command works: it serves nobody but itself.
#[test]
fn a_command_needs_no_socket_file() {
    let place = Place::new();
    place.file("tool", b"the tool");
    place.row(&["key"]);
    // A directory of this name keeps the socket from its place.
    fs::create_dir(place.path("data/.control.new")).unwrap();
    place.row(&["add", "tool", "--name", "tool", "--version", "1"]);
    assert_eq!(place.rows(&["ls"]).len(), 1);
}

#[test]
fn a_node_puts_its_socket_elsewhere_where_the_data_directory_cannot_hold_it() {
    let place = Place::new();
    place.row(&["key"]);
    fs::create_dir(place.path("data/.control.new")).unwrap();
    let mut node = place
        .command(&["serve", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--http", "off"])
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(node.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut out, &mut line).unwrap() > 0, "it ended");
    }
    let socket = fs::read_to_string(place.path("data/control.at")).unwrap();
    assert!(fs::metadata(socket.trim()).unwrap().file_type().is_socket(), "{socket}");
    assert_eq!(place.row(&["status"])["daemon"], true);
    let pid = rustix::process::Pid::from_child(&node);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(node.wait().unwrap().success());
    assert!(!place.path("data/control.at").exists());
}

/// On file systems without modes, hard links and syncs of directories; `strace` plays them.
#[test]
fn an_archive_works_on_a_disk_without_modes() {
    let strace = |place: &Place, inject: &str, only: Option<&str>, args: &[&str]| {
        let ours = place.command(args);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", inject]);
        if let Some(path) = only {
            command.arg("-P").arg(place.path(path));
        }
        command.arg(ours.get_program()).args(ours.get_args());
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(place.path(".")).output().ok().map(super::program::said)
    };
    let place = Place::new();
    place.file("tool", b"the tool");
    let add = ["add", "tool", "--name", "tool", "--version", "1"];
    let modes = "inject=chmod,fchmod,fchmodat:error=EPERM";
    let Some(said) = strace(&place, modes, None, &add) else {
        eprintln!("skipped: no strace");
        return;
    };
    assert_eq!(said.code, Some(0), "{said:?}");
    fs::create_dir(place.path("out")).unwrap();
    let sync = "inject=fsync:error=EINVAL";
    let get = ["get", "tool@1", "-o", "out"];
    let said = strace(&place, sync, Some("out"), &get).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(place.path("out/tool")).unwrap(), b"the tool");
}
