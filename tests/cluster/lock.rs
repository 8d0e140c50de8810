//! Exclusive use of a data directory: one process, of the same or a newer version, with write
//! access.

use std::fs;
use std::time::Duration;

use perennial_tests::{
    Daemon, add, command, count, files, perennial, publisher, wait_until, write_tree,
};

#[test]
fn a_second_daemon_is_refused_and_names_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let first = Daemon::start(&data, &[]);
    let mut second = Daemon::spawn(&data, &[]);
    let code = wait_until(Duration::from_secs(20), "the second ends", || second.ended());
    assert_eq!(code, Some(5), "{}", second.log());
    assert!(second.log().contains(&first.pid().to_string()), "names the pid: {}", second.log());
    assert!(!second.log().contains("panicked"), "{}", second.log());
    // The first process is unaffected.
    perennial(&data, &["status"]).ok();
    // Its lock is stale once it is killed, and is taken over.
    first.kill();
    Daemon::start(&data, &[]);
}

#[test]
fn commands_need_no_daemon_and_use_the_one_that_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let source = write_tree(&dir.path().join("src"), 1, &[1000]);
    add(&data, &source, "one", "1");
    let who = publisher(&data);
    let daemon = Daemon::start(&data, &[]);
    assert_eq!(publisher(&data), who);
    add(&data, &source, "two", "1");
    assert_eq!(count(&data, "held"), 2);
    // Its log is for people, also in a file: it says what is missing, without colours.
    let log = daemon.log();
    assert!(log.contains("no peers: give --peer HOST:PORT") && !log.contains('\u{1b}'), "{log}");
    // The socket left by a killed daemon is not mistaken for a daemon.
    daemon.kill();
    assert_eq!(count(&data, "held"), 2);
}

/// A poll beside a starting daemon does not end it.
#[test]
fn a_starting_daemon_waits_for_a_command_that_uses_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    publisher(&data);
    let lock = fs::File::options().read(true).write(true).open(data.join("LOCK"));
    let lock = lock.expect("an archive has one");
    lock.lock().expect("no process uses it");
    let mut daemon = Daemon::spawn(&data, &[]);
    wait_until(Duration::from_secs(20), "it waits", || {
        daemon.log().contains("waiting for a command").then_some(())
    });
    drop(lock);
    daemon.wait_ready(Duration::from_secs(60));
}

#[test]
fn two_commands_at_once_without_a_daemon_do_not_harm_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let source = write_tree(&dir.path().join("src"), 1, &[1000]);
    publisher(&data);
    let path = source.to_str().expect("UTF-8");
    let start = |name: &str| {
        let args = ["add", path, "--name", name, "--version", "1", "--license", "MIT"];
        command(&data, &args).spawn().expect("starts")
    };
    let children = [start("one"), start("two"), start("three")];
    let mut done = 0;
    for child in children {
        let output = child.wait_with_output().expect("ends");
        // Refused because another command uses it (5), or served by that command.
        assert!(matches!(output.status.code(), Some(0 | 5)), "{output:?}");
        done += usize::from(output.status.success());
    }
    assert!(done >= 1);
    assert_eq!(count(&data, "held"), done);
}

#[test]
fn a_newer_layout_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let source = write_tree(&dir.path().join("src"), 1, &[1000]);
    add(&data, &source, "one", "1");
    fs::write(data.join("FORMAT"), "99\n").expect("writable");
    let before = files(&data);
    let mut daemon = Daemon::spawn(&data, &[]);
    let code = wait_until(Duration::from_secs(20), "the daemon ends", || daemon.ended());
    assert!(matches!(code, Some(1 | 5)), "{code:?}: {}", daemon.log());
    assert!(daemon.log().contains("99"), "names the version: {}", daemon.log());
    let said = perennial(&data, &["ls"]);
    assert!(said.code != Some(0) && said.stderr.contains("99"), "{said:?}");
    assert!(!said.stderr.contains("panicked"), "{said:?}");
    assert!(files(&data) == before, "something in the directory changed");
    fs::write(data.join("FORMAT"), "1\n").expect("writable");
    assert_eq!(count(&data, "held"), 1);
}
