//! Runs the program without the user's environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use perennial_tests::program;
use serde_json::Value;

/// A temporary directory with a home, a data directory and files.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn file(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A command that runs in this place, on its data directory `data`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.prepared(&program("perennial"));
        command.env("PERENNIAL_DATA", self.path("data")).args(args);
        command
    }

    /// Runs shell lines in this place, with the program on the path, until one fails. Kills
    /// whatever they leave running, after two minutes at the latest.
    pub(crate) fn shell(&self, lines: &str) -> Said {
        let programs = program("perennial");
        let mut path = programs.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let lines = format!("trap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT\n{lines}");
        let mut command = self.prepared("timeout".as_ref());
        command.args(["120", "bash", "-euc", &lines]).env("PATH", path);
        said(command.output().unwrap())
    }

    /// A program that starts in this place, without the user's environment.
    fn prepared(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("PERENNIAL_") || text.starts_with("XDG_") || text == "COLUMNS" {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.path("home")).env("NO_COLOR", "1");
        command.current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to completion.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    /// Runs a shell script with mounts and a network of its own; `$0` is the program. None where
    /// the system does not allow that, or the script exits with 77.
    pub(crate) fn with_mounts(&self, script: &str) -> Option<Said> {
        let ours = self.command(&[]);
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "--mount", "sh", "-c", script]);
        command.arg(ours.get_program()).current_dir(self.dir.path());
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let said = command.output().ok().map(said)?;
        let allowed = said.code != Some(77) && !said.stderr.starts_with("unshare:");
        if !allowed {
            eprintln!("skipped: {said:?}");
        }
        allowed.then_some(said)
    }

    /// Runs a command with `--json`; it must succeed. Returns its rows.
    #[track_caller]
    pub(crate) fn rows(&self, args: &[&str]) -> Vec<Value> {
        let said = self.run(&[&["--json"], args].concat());
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        assert_eq!(said.stderr, "", "with --json only the result is printed");
        let row =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        said.stdout.lines().map(row).collect()
    }

    /// Like `rows`, for a command that prints exactly one row.
    #[track_caller]
    pub(crate) fn row(&self, args: &[&str]) -> Value {
        let mut rows = self.rows(args);
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    /// Runs a command that has to exit with this code.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> Said {
        let said = self.run(args);
        assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
        assert!(!said.stderr.contains("panicked"), "{said:?}");
        said
    }
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
