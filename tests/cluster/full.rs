//! A full disk and a read-only one. Both tests mount a small file system, so they need root;
//! without it they print a line and pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use perennial_tests::{
    Daemon, MIB, add, assert_same, count, field, perennial, text, wait_until, write_tree,
};

/// A tmpfs, unmounted when dropped.
struct Tmpfs {
    dir: PathBuf,
}

impl Tmpfs {
    fn mount(dir: &Path, mib: usize) -> Option<Self> {
        fs::create_dir(dir).expect("a mount point");
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { dir: dir.to_owned() });
        }
        eprintln!("skipped: a tmpfs cannot be mounted here (root is needed)");
        None
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.dir).status();
        assert!(status.expect("mount runs").success(), "remount {how}");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
    }
}

fn leftovers(data: &Path) -> usize {
    ["tmp", "partial"]
        .iter()
        .filter_map(|part| fs::read_dir(data.join(part)).ok())
        .map(Iterator::count)
        .sum()
}

#[test]
fn a_full_disk_fails_the_add_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Tmpfs::mount(&dir.path().join("disk"), 64) else { return };
    let data = disk.dir.join("a");
    let small = write_tree(&dir.path().join("small"), 1, &[4 * MIB, 3000]);
    let large = write_tree(&dir.path().join("large"), 2, &[80 * MIB]);
    let medium = write_tree(&dir.path().join("medium"), 3, &[12 * MIB, 100]);
    let a = Daemon::start(&data, &[]);
    let kept = add(&data, &small, "small", "1");

    let args = ["add", text(&large), "--name", "large", "--version", "1", "--license", "MIT"];
    let said = perennial(&data, &args).failed(1);
    assert!(
        said.stderr.to_lowercase().contains("no space left") || said.stderr.contains("disk full"),
        "{said:?}"
    );
    assert_eq!(leftovers(&data), 0, "unfinished files are removed");

    // The node still serves the releases it holds.
    let out = dir.path().join("out");
    perennial(
        &dir.path().join("d"),
        &["--peer", a.address(), "get", field(&kept, "release"), "-o", text(&out)],
    )
    .ok();
    assert_same(&small, &out);

    // The disk is full to the last byte: every write fails, no acknowledged data is lost, nothing
    // panics.
    let ballast = disk.dir.join("ballast");
    let _ = fs::write(&ballast, vec![7; 80 * MIB]);
    let args = ["add", text(&medium), "--name", "medium", "--version", "1", "--license", "MIT"];
    perennial(&data, &args).failed(1);
    assert_eq!(count(&data, "held"), 1);

    // With free space, the node works again without a restart.
    fs::remove_file(&ballast).expect("ours");
    let added = wait_until(Duration::from_secs(30), "adding works once there is room", || {
        let said = perennial(&data, &args);
        (said.code == Some(0)).then(|| said.json())
    });
    assert_eq!(count(&data, "held"), 2);
    assert!(!a.log().contains("panicked"), "{}", a.log());
    a.terminate(Duration::from_secs(10));
    let _a = Daemon::start(&data, &[]);
    assert_eq!(count(&data, "held"), 2);
    let again = dir.path().join("again");
    perennial(&data, &["get", field(&added, "release"), "-o", text(&again)]).ok();
    assert_same(&medium, &again);
}

#[test]
fn a_disk_that_fills_up_in_small_steps_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Tmpfs::mount(&dir.path().join("disk"), 12) else { return };
    let data = disk.dir.join("a");
    let mut acknowledged = 0;
    for number in 0..400_u64 {
        let source =
            write_tree(&dir.path().join(format!("src-{number}")), number, &[150_000, 30_000]);
        let version = number.to_string();
        let args = ["add", text(&source), "--name", "x", "--version", &version, "--license", "MIT"];
        let said = perennial(&data, &args);
        if said.code != Some(0) {
            said.failed(1);
            break;
        }
        acknowledged += 1;
    }
    assert!(acknowledged > 5, "{acknowledged}");
    disk.remount("size=64m");
    assert_eq!(count(&data, "held"), acknowledged);
    perennial(&data, &["verify"]).ok();
}

#[test]
fn a_read_only_data_directory_is_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Tmpfs::mount(&dir.path().join("disk"), 32) else { return };
    let data = disk.dir.join("a");
    let source = write_tree(&dir.path().join("src"), 1, &[100_000]);
    add(&data, &source, "x", "1");
    // The log is beside the data directory, so the daemon needs a writable place for it.
    let log = disk.dir.join("a.err");
    fs::write(&log, "").expect("writable");
    disk.remount("ro");
    let said = perennial(
        &data,
        &["add", text(&source), "--name", "y", "--version", "1", "--license", "MIT"],
    );
    assert!(matches!(said.code, Some(1 | 5)), "{said:?}");
    assert!(!said.stderr.contains("panicked"), "{said:?}");
    let told = said.stderr.to_lowercase();
    assert!(told.contains("read-only") || told.contains("cannot be written"), "{said:?}");
    assert_eq!(count(&data, "held"), 1, "what is there can be read");
    disk.remount("rw");
    assert_eq!(count(&data, "held"), 1);
    let daemon = Daemon::start(&data, &[]);
    daemon.terminate(Duration::from_secs(10));
}
