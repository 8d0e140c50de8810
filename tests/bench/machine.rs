//! The machine under the benchmark: scratch space, the binaries, timing and memory readings. It
//! measures and does not judge.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::RngCore;

use crate::Failure;

/// The scratch folder and the binaries of a run.
pub(crate) struct Machine {
    scratch: tempfile::TempDir,
    binaries: PathBuf,
}

impl Machine {
    /// Builds the release binaries and makes the scratch folder.
    pub(crate) fn new() -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--bin", "perennial", "--bin", "perennial-node"])
            .current_dir(&root)
            .status()?;
        if !built.success() {
            return Err("the release binaries did not build".into());
        }
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let scratch = match std::env::var_os("PERENNIAL_BENCH_DIR") {
            Some(dir) => tempfile::tempdir_in(dir)?,
            None => tempfile::tempdir()?,
        };
        Ok(Self { scratch, binaries: fs::canonicalize(target.join("release"))? })
    }

    /// The machine's cores and memory in one line, for the table header.
    pub(crate) fn describe(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib: u64 = memory.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        format!("{cores} cores, {} GiB of memory", kib / 1_048_576)
    }

    /// A path in the scratch folder; any previous content is removed.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.scratch.path().join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.exists() {
            fs::remove_file(&path)?;
        }
        Ok(path)
    }

    /// Waits until the writes and deletions of earlier runs are on disk, so that the next run does
    /// not pay for them.
    pub(crate) fn settle(&self) -> Result<(), Failure> {
        if Command::new("sync").status()?.success() { Ok(()) } else { Err("sync failed".into()) }
    }

    /// A file of incompressible bytes, in the page cache.
    pub(crate) fn random_file(&self, name: &str, bytes: u64) -> Result<PathBuf, Failure> {
        let path = self.fresh(name)?;
        let mut file = fs::File::create(&path)?;
        let mut rng = rand::rng();
        let mut block = vec![0; 1 << 20];
        let mut left = bytes;
        while left > 0 {
            let take = usize::try_from(left.min(1 << 20))?;
            rng.fill_bytes(&mut block[..take]);
            file.write_all(&block[..take])?;
            left -= take as u64;
        }
        file.sync_all()?;
        Ok(path)
    }

    /// A `perennial` command on a data directory.
    pub(crate) fn perennial(&self, data: &Path) -> Command {
        let mut command = Command::new(self.binaries.join("perennial"));
        command.arg("--data").arg(data).arg("--json").arg("--quiet");
        command
    }

    /// Starts a node and waits until it is ready.
    pub(crate) fn node(&self, data: &Path, args: &[&str]) -> Result<Daemon, Failure> {
        let started = Instant::now();
        let mut child = Command::new(self.binaries.join("perennial-node"))
            .arg("--data")
            .arg(data)
            .args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .args(if args.contains(&"--http") { &[][..] } else { &["--http", "off"] })
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (mut address, mut http) = (String::new(), None);
        for line in BufReader::new(child.stdout.take().ok_or("no standard output")?).lines() {
            let line = line?;
            if let Some(listening) = line.strip_prefix("listening ") {
                address = listening.to_owned();
            }
            if let Some(served) = line.strip_prefix("http ") {
                http = Some(served.to_owned());
            }
            if line == "ready" {
                return Ok(Daemon { child, address, http, started_in: started.elapsed() });
            }
        }
        Err("the node ended before it was ready".into())
    }
}

/// A running node; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    /// The address that the node printed.
    pub(crate) address: String,
    /// The `address:port` of its HTTP frontend.
    pub(crate) http: Option<String>,
    /// From spawn to `ready`.
    pub(crate) started_in: Duration,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory now and at its peak, in MiB.
    pub(crate) fn memory(&self) -> Result<(u64, u64), Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
                / 1024
        };
        Ok((field("VmRSS:"), field("VmHWM:")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to completion and returns its first line of JSON. A non-zero exit is a failure.
pub(crate) fn json(command: &mut Command) -> Result<serde_json::Value, Failure> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!(
            "{command:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().next().unwrap_or("null"))?)
}

/// The duration of `work`.
pub(crate) fn time(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// CPU time that a process has used so far, user and system.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may contain anything, so parse after it: utime and stime are fields 14 and 15, in
    // hundredths of a second.
    let fields =
        stat.rsplit_once(')').ok_or("no name in stat")?.1.split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The median of the numbers; 0 if there are none.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Prints a table row: medians in seconds and the ratios yardstick/ours (above 1: the node is
/// faster).
pub(crate) fn print_row(figure: &str, ours: &[Duration], yardstick: &[Duration], asked: &str) {
    let seconds =
        |times: &[Duration]| median(&times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>());
    let ratios: Vec<f64> =
        ours.iter().zip(yardstick).map(|(a, b)| b.as_secs_f64() / a.as_secs_f64()).collect();
    let all: Vec<String> = ratios.iter().map(|r| format!("{r:.2}")).collect();
    println!(
        "| {figure} | {:.2} s | {:.2} s | {:.2} ({}) | {asked} |",
        seconds(ours),
        seconds(yardstick),
        median(&ratios),
        all.join(" ")
    );
}
