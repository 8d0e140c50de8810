//! `perennial-node` as a child process on a data directory, loopback and a free port.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::{clean_environment, program};

/// How long a daemon may take to become ready on a busy machine.
pub const READY_LIMIT: Duration = Duration::from_secs(60);

/// Polls until `done` returns a value. Fails with `what` after `limit`.
pub fn wait_until<T>(limit: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A `perennial-node` process. Killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    data: PathBuf,
    lines: Receiver<String>,
    spawned: Instant,
    /// From its start until it was ready.
    pub started_in: Duration,
    /// The multiaddrs it printed.
    pub addresses: Vec<String>,
    /// The `address:port` of its HTTP frontend, if it printed one.
    pub http: Option<String>,
}

impl Daemon {
    /// Starts a daemon on `data`, on a free loopback port, and waits until it is ready.
    pub fn start(data: &Path, args: &[&str]) -> Self {
        let mut daemon = Self::spawn(data, args);
        daemon.wait_ready(READY_LIMIT);
        daemon
    }

    /// Starts a daemon without waiting. It logs to `<data>.err`, beside the data directory.
    pub fn spawn(data: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(program("perennial-node"));
        clean_environment(&mut command, data.parent().expect("below a directory"));
        command.arg("--data").arg(data).args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
        if !args.contains(&"--http") {
            command.args(["--http", "off"]);
        }
        command.args(args).stdout(Stdio::piped());
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log_of(data))
            .expect("a log file");
        let spawned = Instant::now();
        let mut child = command.stderr(log).spawn().expect("perennial-node starts");
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self {
            child,
            data: data.to_owned(),
            lines,
            spawned,
            started_in: Duration::ZERO,
            addresses: Vec::new(),
            http: None,
        }
    }

    /// Reads the daemon's output until `ready`.
    pub fn wait_ready(&mut self, limit: Duration) {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) if line == "ready" => {
                    self.started_in = self.spawned.elapsed();
                    break;
                }
                Ok(line) => match line.split_once(' ') {
                    Some(("listening", address)) => self.addresses.push(address.to_owned()),
                    Some(("http", address)) => self.http = Some(address.to_owned()),
                    _ => {}
                },
                Err(RecvTimeoutError::Timeout) => {
                    panic!("not ready within {limit:?}:\n{}", self.log())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended before it was ready:\n{}", self.log())
                }
            }
        }
        assert!(!self.addresses.is_empty(), "ready without a `listening` line");
        assert!(
            self.addresses.iter().all(|address| address.contains("/p2p/")),
            "{:?}",
            self.addresses
        );
    }

    /// An address to give to another node as `--peer`.
    pub fn address(&self) -> &str {
        self.addresses.first().expect("a daemon that is ready")
    }

    /// The peer id, taken from the address.
    pub fn peer_id(&self) -> &str {
        self.address().rsplit('/').next().expect("ends in the peer id")
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Current resident memory in KiB.
    pub fn resident_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Highest resident memory so far, in KiB.
    pub fn highest_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(log_of(&self.data)).unwrap_or_default()
    }

    /// Kills the daemon with SIGKILL and reaps it.
    pub fn kill(mut self) {
        self.kill_in_place();
    }

    fn kill_in_place(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM; returns the time until exit and the exit code. Fails after `limit`.
    pub fn terminate(mut self, limit: Duration) -> (Duration, Option<i32>) {
        let start = Instant::now();
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let status = wait_until(limit, "the daemon exits after SIGTERM", || {
            self.child.try_wait().expect("waitable")
        });
        (start.elapsed(), status.code())
    }

    /// The exit code, if the daemon has exited on its own.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().expect("waitable").map(|status| status.code())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill_in_place();
        if thread::panicking() {
            let log = self.log();
            let from = log.char_indices().nth_back(3000).map_or(0, |(at, _)| at);
            eprintln!("--- log of {} ---\n{}", self.data.display(), &log[from..]);
        }
    }
}

fn log_of(data: &Path) -> PathBuf {
    data.with_extension("err")
}
