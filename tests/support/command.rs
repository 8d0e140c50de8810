//! The `perennial` command as a child process, with a clean environment and a deadline.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a single command may take.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// The path of the program `name` in this build.
///
/// Cargo does not build another package's programs for a test, so the first call builds them, with
/// the profile and target directory of the running test.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        // <target>/<profile>/deps/<this test>
        let test = std::env::current_exe().expect("this test has a path");
        let profile = test.ancestors().nth(2).expect("<target>/<profile>/deps").to_owned();
        let target = profile.parent().expect("a target directory");
        let Some(mut build) = nested_cargo() else {
            let built =
                ["perennial", "perennial-node"].iter().all(|name| profile.join(name).is_file());
            assert!(built, "run `cargo build --workspace --bins` with this test's profile first");
            return profile;
        };
        // The whole workspace, as the README's first command: `-p` would select other features of
        // the dependencies, and build those again.
        build.args(["build", "--quiet", "--workspace", "--bins"]);
        build.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the programs do not build");
        profile
    });
    dir.join(name)
}

/// Cargo, where it runs this test, without its description of the tested package: build scripts
/// that watch these variables (ring's does) would run again, and with them everything that depends
/// on them.
pub fn nested_cargo() -> Option<Command> {
    let mut cargo = Command::new(std::env::var_os("CARGO")?);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    Some(cargo)
}

/// Gives a child process an empty standard input and none of the user's settings.
pub(crate) fn clean_environment(command: &mut Command, home: &Path) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PERENNIAL_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
    command.env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
}

/// The result of a finished command.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Fails unless the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Fails unless it exited with this code and without a panic.
    #[track_caller]
    pub fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }

    /// The output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The output as JSON lines.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        let row =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().filter(|line| !line.is_empty()).map(row).collect()
    }
}

/// `perennial --data DATA --json ARGS…`, not started yet.
pub fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program("perennial"));
    clean_environment(&mut command, data.parent().expect("below a directory"));
    command.arg("--data").arg(data).arg("--json").args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `perennial --data DATA --json ARGS…` to completion.
#[track_caller]
pub fn perennial(data: &Path, args: &[&str]) -> Outcome {
    let child = command(data, args).spawn().expect("perennial starts");
    let pid = Pid::from_child(&child);
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(COMMAND_LIMIT) else {
        let _ = kill_process(pid, Signal::KILL);
        panic!("`perennial {}` did not end within {COMMAND_LIMIT:?}", args.join(" "));
    };
    let output = output.expect("waitable");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
