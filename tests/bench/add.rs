//! `perennial add`, compared with hashing and copying the same files with the simplest tools.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use perennial_tests::Daemon;

use crate::Failure;
use crate::machine::{Machine, json, print_row, time};

const RUNS: usize = 5;

/// 1 GiB of incompressible bytes, compared with `b3sum` plus `cp` plus fsync in one script.
pub(crate) fn one_large_file(machine: &Machine) -> Result<(), Failure> {
    let file = machine.random_file("large", 1 << 30)?;
    let (mut ours, mut script) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let copy = machine.fresh("copy")?;
        let scripted = time(|| {
            let status = Command::new("sh")
                .args([
                    "-c",
                    "b3sum \"$1\" >/dev/null && cp \"$1\" \"$2\" && \
                    sync \"$2\" \"$(dirname \"$2\")\"",
                    "sh",
                ])
                .args([&file, &copy])
                .status()?;
            if status.success() {
                Ok(())
            } else {
                Err("b3sum (`cargo install b3sum`), cp or sync failed".into())
            }
        })?;
        let added = added(machine, &file, "large")?;
        if run > 0 {
            ours.push(added);
            script.push(scripted);
        }
    }
    print_row("add 1 GiB, against b3sum + cp + fsync", &ours, &script, "≥ 0.6");
    Ok(())
}

/// 2,000 files of 64 KiB, compared with copying and fsyncing each.
pub(crate) fn many_small_files(machine: &Machine) -> Result<(), Failure> {
    let source = machine.fresh("small")?;
    fs::create_dir(&source)?;
    for n in 0..2000 {
        fs::rename(machine.random_file("one", 64 << 10)?, source.join(format!("{n}")))?;
    }
    let (mut ours, mut copied) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let copy = machine.fresh("copy")?;
        let each = time(|| {
            fs::create_dir(&copy)?;
            for n in 0..2000 {
                let to = copy.join(format!("{n}"));
                fs::copy(source.join(format!("{n}")), &to)?;
                fs::File::open(&to)?.sync_all()?;
            }
            Ok(())
        })?;
        let added = added(machine, &source, "small")?;
        if run > 0 {
            ours.push(added);
            copied.push(each);
        }
    }
    print_row("add 2,000 × 64 KiB, against cp + fsync of each", &ours, &copied, "≥ 1");
    Ok(())
}

/// The time of adding a file or a directory to an empty node.
fn added(machine: &Machine, source: &Path, name: &str) -> Result<Duration, Failure> {
    let data = machine.fresh("data")?;
    let _node = Daemon::start(&data, &[]);
    time(|| {
        let mut add = machine.perennial(&data);
        json(add.arg("add").arg(source).args(["--name", name, "--version", "1"])).map(drop)
    })
}
