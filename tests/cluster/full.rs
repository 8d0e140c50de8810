//! A full disk, a quota that is reached, and a read-only disk. Most tests mount a small file
//! system, so they need root; without it they print a line and pass.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use perennial_tests::{
    Daemon, MIB, add, assert_same, count, field, perennial, program, text, wait_until, write_tree,
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

/// Takes every byte that is left on a file system.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("a file");
    for piece in [1 << 20, 4096] {
        while file.write_all(&vec![7; piece]).is_ok() {}
    }
}

#[test]
fn on_a_full_disk_a_node_stops_starts_and_makes_room_at_the_first_try() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Tmpfs::mount(&dir.path().join("disk"), 40) else { return };
    let data = disk.dir.join("a");
    let large = write_tree(&dir.path().join("large"), 1, &[8 * MIB, 3000]);
    let small = write_tree(&dir.path().join("small"), 2, &[6 * MIB]);
    let kept = write_tree(&dir.path().join("kept"), 3, &[MIB, 100]);
    let a = Daemon::start(&data, &["--grace-seconds", "0"]);
    add(&data, &large, "large", "1");
    add(&data, &kept, "kept", "1");
    let ballast = disk.dir.join("ballast");
    fill(&ballast);
    let args = ["add", text(&small), "--name", "small", "--version", "1", "--license", "MIT"];
    let said = perennial(&data, &args).failed(1);
    assert!(said.stderr.contains("disk full"), "{said:?}");
    assert!(said.stderr.contains("perennial gc"), "it says what to do: {said:?}");
    let status = perennial(&data, &["status"]).ok().json();
    assert_eq!(status["disk_full"], "disk");
    // Sled may have removed files of its own.
    assert!(status["room_bytes"].as_u64() < Some(1 << 20), "{status}");

    let (_, code) = a.terminate(Duration::from_secs(10));
    assert_eq!(code, Some(0), "a clean stop");
    let a = Daemon::start(&data, &["--grace-seconds", "0"]);
    assert_eq!(count(&data, "held"), 2);
    perennial(&data, &args).failed(1);
    perennial(&data, &["unpin", "large@1"]).ok();
    // The room of what went is enough, and another program keeps its own.
    perennial(&data, &["gc"]).ok();
    assert_eq!(count(&data, "held"), 1);
    let added = perennial(&data, &args).ok().json();
    let status = perennial(&data, &["status"]).ok().json();
    assert!(status["reserve_bytes"].as_u64() > Some(1 << 20), "{status}");
    fs::remove_file(&ballast).expect("ours");
    assert!(!a.log().contains("panicked"), "{}", a.log());
    assert_eq!(a.terminate(Duration::from_secs(10)).1, Some(0));
    let _a = Daemon::start(&data, &[]);
    let out = dir.path().join("out");
    perennial(&data, &["get", field(&added, "release"), "-o", text(&out)]).ok();
    assert_same(&small, &out);
    perennial(&data, &["verify"]).ok();
}

#[test]
fn a_node_declines_what_is_over_its_quota_says_so_and_goes_on_once_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let a = Daemon::start(&at("a"), &[]);
    let sources: Vec<_> =
        (0..4).map(|n| write_tree(&at(&format!("src-{n}")), n, &[14 * MIB, 2000])).collect();
    let first = add(a.data(), &sources[0], "thing", "0");
    let who = field(&first, "publisher").to_owned();
    let options = ["--peer", a.address(), "--follow", &who, "--quota", "60MiB"];
    let options = [&options[..], &["--grace-seconds", "0"]].concat();
    let b = Daemon::start(&at("b"), &options);
    wait_until(Duration::from_secs(60), "the first is kept", || {
        (count(b.data(), "held") == 1).then_some(())
    });
    let own = write_tree(&at("own"), 9, &[13 * MIB]);
    add(b.data(), &own, "own", "1");
    for (n, source) in sources.iter().enumerate().skip(1) {
        add(a.data(), source, "thing", &n.to_string());
    }
    let status = wait_until(Duration::from_secs(90), "status says that it is full", || {
        let status = perennial(b.data(), &["status"]).ok().json();
        (status["disk_full"] == "quota" && status["releases"] == 5).then_some(status)
    });
    let number = |field: &str| status[field].as_u64().expect("a number");
    assert_eq!(number("quota_bytes"), 60 << 20);
    assert!(number("used_bytes") <= 60 << 20, "{status}");
    let shown = perennial_text(b.data(), &["status"]);
    assert!(shown.contains("DISK FULL") && shown.contains("60.00 MiB (--quota)"), "{shown}");
    wait_until(Duration::from_secs(30), "the log says so", || {
        b.log().contains("DISK FULL").then_some(())
    });
    let held = count(b.data(), "held");
    assert!((2..4).contains(&held), "{held} of 5 releases of 14 MiB fit 60 MiB and its reserve");

    // A push of the user is declined too, and nothing that is pinned goes for it.
    let other = write_tree(&at("other"), 10, &[14 * MIB]);
    let args = ["add", text(&other), "--name", "other", "--version", "1", "--license", "MIT"];
    let said = perennial(b.data(), &args).failed(1);
    assert!(said.stderr.contains("the disk limit of this archive is reached"), "{said:?}");
    assert!(said.stderr.contains("--quota") && said.stderr.contains("unpin"), "{said:?}");
    perennial(b.data(), &["gc"]).ok();
    assert_eq!(count(b.data(), "held"), held);
    assert!(disk_usage(b.data()) <= 60 << 20, "{}", disk_usage(b.data()));

    // Room: the own release is let go, and what was declined is tried again.
    perennial(b.data(), &["unpin", "own@1"]).ok();
    perennial(b.data(), &["gc"]).ok();
    wait_until(Duration::from_secs(60), "another one is kept", || {
        let rows = perennial(b.data(), &["ls", "thing"]).ok().rows();
        (rows.iter().filter(|row| row["state"] == "held").count() == held).then_some(())
    });
    assert!(disk_usage(b.data()) <= 60 << 20, "{}", disk_usage(b.data()));
    assert!(!b.log().contains("panicked") && !b.log().contains("ERROR"), "{}", b.log());
    // Commands keep to the limit while no node runs.
    b.terminate(Duration::from_secs(10));
    let said = perennial(&at("b"), &args).failed(1);
    assert!(said.stderr.contains("the disk limit of this archive is reached"), "{said:?}");
}

#[test]
fn what_nothing_needs_goes_by_itself_where_room_runs_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let options = ["--quota", "64MiB", "--grace-seconds", "0"];
    let sources: Vec<_> =
        (0..3).map(|n| write_tree(&dir.path().join(format!("src-{n}")), n, &[16 * MIB])).collect();
    add(&data, &sources[0], "unneeded", "1");
    perennial(&data, &["unpin", "unneeded@1"]).ok();
    add(&data, &sources[1], "kept", "1");
    // Two of them, the reserve and the index are below nine tenths of it; three are not.
    let a = Daemon::start(&data, &options);
    assert_eq!(count(&data, "held"), 2);
    add(&data, &sources[2], "kept", "2");
    wait_until(Duration::from_secs(60), "the unneeded one goes", || {
        (count(&data, "held") == 2).then_some(())
    });
    let rows = perennial(&data, &["ls", "kept"]).ok().rows();
    assert!(rows.iter().all(|row| row["state"] == "held"), "{rows:?}");
    wait_until(Duration::from_secs(30), "the log says so", || {
        a.log().contains("little room was left: collected").then_some(())
    });
}

/// Bytes that the file system has allocated below a directory.
fn disk_usage(dir: &Path) -> u64 {
    let said = Command::new("du").arg("-sk").arg(dir).output().expect("du runs");
    let text = String::from_utf8(said.stdout).expect("text");
    text.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

/// What a command prints for people.
fn perennial_text(data: &Path, args: &[&str]) -> String {
    let mut command = Command::new(program("perennial"));
    let said = command.arg("--data").arg(data).args(args).output().expect("it runs");
    String::from_utf8_lossy(&said.stdout).into_owned()
}
