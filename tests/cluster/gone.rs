//! Disks that go while a node runs, and come back: moved away, unmounted, failing. Two tests mount
//! file systems, so they need root; without it they print a line and pass.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use perennial_tests::{
    Daemon, MIB, add, assert_same, count, field, perennial, text, wait_until, write_tree,
};

/// How long a node may take to notice that its disk went, or is back.
const NOTICED: Duration = Duration::from_secs(60);

/// A mount point, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts with these arguments of `mount`.
    fn mount(dir: &Path, args: &[&str]) -> Option<Self> {
        fs::create_dir_all(dir).expect("a mount point");
        let mounted = Command::new("mount").args(args).arg(dir).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir.to_owned()));
        }
        eprintln!("skipped: {args:?} cannot be mounted here (root is needed)");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The status and the body of a GET.
fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split("\r\n\r\n").nth(1)?.to_owned()))
}

#[test]
fn a_data_directory_that_is_moved_away_is_missed_and_found_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, aside) = (dir.path().join("data"), dir.path().join("aside"));
    let source = write_tree(&dir.path().join("src"), 1, &[100_000]);
    let mut node = Daemon::start(&data, &["--http", "127.0.0.1:0"]);
    let http = node.http.clone().expect("an address");
    add(&data, &source, "x", "1");
    fs::rename(&data, &aside).expect("ours");
    wait_until(NOTICED, "health says that it is gone", || {
        get(&http, "/healthz").filter(|(status, _)| *status == 503)
    });
    wait_until(NOTICED, "the node lets go of it", || {
        node.log().contains("waiting until its disk is back").then_some(())
    });
    assert!(!data.exists(), "a new archive was made");
    // A command may use it meanwhile.
    assert_eq!(count(&aside, "held"), 1);
    fs::rename(&aside, &data).expect("ours");
    node.wait_ready(NOTICED);
    assert_eq!(get(&http, "/healthz"), Some((200, "ok\n".into())));
    assert_eq!(count(&data, "held"), 1);
    assert_eq!(node.terminate(Duration::from_secs(10)).1, Some(0));
}

#[test]
fn a_disk_that_is_unmounted_is_missed_and_found_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (real, data) = (dir.path().join("real"), dir.path().join("disk"));
    fs::create_dir(&real).expect("ours");
    let bind = ["--bind", text(&real)];
    let Some(disk) = Mounted::mount(&data, &bind) else { return };
    let source = write_tree(&dir.path().join("src"), 1, &[3 * MIB, 1000]);
    let mut node = Daemon::start(&data, &["--http", "127.0.0.1:0"]);
    let http = node.http.clone().expect("an address");
    let added = add(&data, &source, "x", "1");
    assert_eq!(get(&http, "/healthz"), Some((200, "ok\n".into())));

    drop(disk);
    let said = wait_until(NOTICED, "health says that the disk is gone", || {
        get(&http, "/healthz").filter(|(status, _)| *status == 503)
    });
    assert!(said.1.contains(text(&data)), "{said:?}");
    wait_until(NOTICED, "the node lets go of the disk", || {
        node.log().contains("waiting until its disk is back").then_some(())
    });
    let (status, why) = wait_until(NOTICED, "an answer", || {
        get(&http, &format!("/r/{}/", field(&added, "release")))
    });
    assert_eq!(status, 503, "{why}");
    perennial(&data, &["ls"]).failed(3);
    assert_eq!(fs::read_dir(&data).expect("the mount point").count(), 0, "nothing is made there");

    let _disk = Mounted::mount(&data, &bind).expect("mounted before");
    node.wait_ready(NOTICED);
    assert_eq!(node.http.as_deref(), Some(&*http), "the same address as before");
    assert_eq!(get(&http, "/healthz"), Some((200, "ok\n".into())));
    assert_eq!(count(&data, "held"), 1);
    let out = dir.path().join("out");
    perennial(&data, &["get", field(&added, "release"), "-o", text(&out)]).ok();
    assert_same(&source, &out);
    add(&data, &source, "y", "1");
    assert!(!node.log().contains("panicked"), "{}", node.log());
    let (_, code) = node.terminate(Duration::from_secs(10));
    assert_eq!(code, Some(0));
}

/// Makes a file system answer every access with an I/O error, as a pulled disk does
/// (`FS_IOC_SHUTDOWN`, which ext4 and xfs have for tests).
fn fail(dir: &Path) -> bool {
    let ioctl = "import fcntl, os, struct, sys\n\
                 fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
    let failed = Command::new("python3").args(["-c", ioctl]).arg(dir).status();
    failed.is_ok_and(|status| status.success())
}

#[test]
fn a_disk_that_fails_is_named_and_the_node_stops_cleanly_or_goes_on() {
    for goes_on in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let (image, data) = (dir.path().join("image"), dir.path().join("disk"));
        fs::File::create(&image).and_then(|file| file.set_len(64 << 20)).expect("an image");
        let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no mkfs.ext4");
            return;
        }
        let loop_device = ["-o", "loop", text(&image)];
        let Some(disk) = Mounted::mount(&data, &loop_device) else { return };
        let source = write_tree(&dir.path().join("src"), 1, &[3 * MIB, 1000]);
        let mut node = Daemon::start(&data, &["--http", "127.0.0.1:0"]);
        let http = node.http.clone().expect("an address");
        let added = add(&data, &source, "x", "1");
        if !fail(&data) {
            eprintln!("skipped: no python3, or a kernel without FS_IOC_SHUTDOWN");
            return;
        }
        let said = wait_until(NOTICED, "health says that the disk fails", || {
            get(&http, "/healthz").filter(|(status, _)| *status == 503)
        });
        assert!(said.1.contains("Input/output error"), "{said:?}");
        for args in [&["ls"][..], &["status"]] {
            let said = perennial(&data, args).failed(1);
            assert!(said.stderr.contains("Input/output error"), "{said:?}");
        }
        if goes_on {
            wait_until(NOTICED, "the node lets go of the disk", || {
                node.log().contains("waiting until its disk is back").then_some(())
            });
            drop(disk);
            let _disk = wait_until(NOTICED, "the disk can be mounted again", || {
                Mounted::mount(&data, &loop_device)
            });
            node.wait_ready(NOTICED);
            assert_eq!(get(&http, "/healthz"), Some((200, "ok\n".into())));
            let out = dir.path().join("out");
            perennial(&data, &["get", field(&added, "release"), "-o", text(&out)]).ok();
            assert_same(&source, &out);
            perennial(&data, &["verify"]).ok();
            assert_eq!(node.terminate(Duration::from_secs(10)).1, Some(0));
        } else {
            assert_eq!(node.terminate(Duration::from_secs(30)).1, Some(0));
        }
        let log = fs::read_to_string(data.with_extension("err")).expect("a log");
        assert!(!log.contains("panicked"), "{log}");
    }
}
