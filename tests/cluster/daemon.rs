//! Real daemons and commands: child processes on temporary data directories, loopback and free ports.
//!
//! Owns the processes it starts: they are killed by pid when their owner goes. Waits are polls with a
//! deadline. Nothing here reads the user's environment: HOME and every PERENNIAL_ variable are set aside.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a daemon may take until it is ready, on a busy machine.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// How long a single command may take.
pub(crate) const COMMAND: Duration = Duration::from_secs(180);

/// The program `name` of this build. Cargo does not build another package's programs for a test, so the
/// first call builds them, with the profile and target directory of the test itself.
pub(crate) fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        // <target>/<profile>/deps/<this test>
        let test = std::env::current_exe().expect("this test has a path");
        let profile = test.ancestors().nth(2).expect("<target>/<profile>/deps").to_owned();
        let target = profile.parent().expect("a target directory");
        let Some(cargo) = std::env::var_os("CARGO") else {
            let built =
                ["perennial", "perennial-node"].iter().all(|name| profile.join(name).is_file());
            assert!(built, "run `cargo build --workspace --bins` with this test's profile first");
            return profile;
        };
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "-p", "perennial", "-p", "perennial-node", "--bins"]);
        build.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the programs do not build");
        profile
    });
    dir.join(name)
}

/// Polls until `done` gives something, or fails with `what` after `limit`.
pub(crate) fn wait_until<T>(limit: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn quiet_environment(command: &mut Command, home: &Path) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PERENNIAL_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
    command.env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
}

/// A `perennial-node` process.
pub(crate) struct Daemon {
    child: Child,
    data: PathBuf,
    lines: Receiver<String>,
    /// The addresses it said it listens on.
    pub(crate) addresses: Vec<String>,
    /// The `address:port` of its HTTP face, where it said one.
    #[allow(dead_code, reason = "only the tests of the faces ask for it")]
    pub(crate) http: Option<String>,
}

impl Daemon {
    /// Starts one on `data`, on a free loopback port, and waits until it is ready.
    pub(crate) fn start(data: &Path, args: &[&str]) -> Self {
        let mut daemon = Self::spawn(data, args);
        daemon.wait_ready(READY);
        daemon
    }

    /// Starts one and does not wait for anything. Its log is `<data>.err`, beside the directory.
    pub(crate) fn spawn(data: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(program("perennial-node"));
        quiet_environment(&mut command, data.parent().expect("below a directory"));
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
        let mut child = command.stderr(log).spawn().expect("perennial-node starts");
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, data: data.to_owned(), lines, addresses: Vec::new(), http: None }
    }

    /// Reads what it says until `ready`.
    pub(crate) fn wait_ready(&mut self, limit: Duration) {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) if line == "ready" => break,
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

    /// An address to give to another as `--peer`.
    pub(crate) fn address(&self) -> &str {
        self.addresses.first().expect("a daemon that is ready")
    }

    /// Its name on the network, from its address.
    pub(crate) fn peer_id(&self) -> &str {
        self.address().rsplit('/').next().expect("ends in the peer id")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory it ever had, in KiB.
    pub(crate) fn highest_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log_of(&self.data)).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, signal);
    }

    /// kill -9, and waits for the corpse.
    pub(crate) fn kill(mut self) {
        self.kill_in_place();
    }

    fn kill_in_place(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; says how long it took to end and with which code. Fails after `limit`.
    pub(crate) fn terminate(mut self, limit: Duration) -> (Duration, Option<i32>) {
        let start = Instant::now();
        self.signal(Signal::TERM);
        let status = wait_until(limit, "the daemon ends after SIGTERM", || {
            self.child.try_wait().expect("waitable")
        });
        (start.elapsed(), status.code())
    }

    /// Whether it ended by itself, and with which code.
    pub(crate) fn ended(&mut self) -> Option<Option<i32>> {
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

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Fails unless the command succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Fails unless it ended with this code and without a panic.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }

    /// Its one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its JSON lines.
    #[track_caller]
    pub(crate) fn rows(&self) -> Vec<Value> {
        let row =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().filter(|line| !line.is_empty()).map(row).collect()
    }
}

/// `perennial --data DATA --json ARGS…`, not started yet.
pub(crate) fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program("perennial"));
    quiet_environment(&mut command, data.parent().expect("below a directory"));
    command.arg("--data").arg(data).arg("--json").args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `perennial --data DATA --json ARGS…` to its end.
#[track_caller]
pub(crate) fn perennial(data: &Path, args: &[&str]) -> Said {
    let child = command(data, args).spawn().expect("perennial starts");
    let pid = Pid::from_child(&child);
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(COMMAND) else {
        let _ = kill_process(pid, Signal::KILL);
        panic!("`perennial {}` did not end within {COMMAND:?}", args.join(" "));
    };
    let output = output.expect("waitable");
    Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
