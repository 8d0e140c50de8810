//! The machine under the benchmark: scratch space, commands and timing. It measures and does not
//! judge.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use perennial_tests::program;
use rand::RngCore;

use crate::Failure;

/// The scratch folder of a run.
pub(crate) struct Machine {
    scratch: tempfile::TempDir,
}

impl Machine {
    /// Builds the programs and makes the scratch folder.
    pub(crate) fn new() -> Result<Self, Failure> {
        program("perennial");
        let scratch = match std::env::var_os("PERENNIAL_BENCH_DIR") {
            Some(dir) => tempfile::tempdir_in(dir)?,
            None => tempfile::tempdir()?,
        };
        Ok(Self { scratch })
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
        let mut command = Command::new(program("perennial"));
        command.arg("--data").arg(data).arg("--json").arg("--quiet");
        command
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
