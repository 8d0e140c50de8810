//! `perennial get` between two node processes on loopback, compared with a bare stream of the same
//! transport.

use std::time::Duration;

use perennial_tests::{Daemon, nested_cargo};

use crate::Failure;
use crate::machine::{Machine, json, print_row};

const RUNS: usize = 5;

/// 1 GiB into the store of a second node, verified and fsynced, compared with 1 GiB over a bare
/// libp2p stream.
pub(crate) fn against_a_bare_stream(machine: &Machine) -> Result<(), Failure> {
    let (data, release, seeder) = seeded(machine, 1 << 30)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let here = machine.fresh("getter")?;
        machine.settle()?;
        let streamed = bare_stream()?;
        let getter = Daemon::start(&here, &["--peer", seeder.address()]);
        let got = json(machine.perennial(&here).arg("get").arg(&release))?;
        drop(getter);
        if run > 0 {
            ours.push(Duration::from_millis(got["elapsed_ms"].as_u64().ok_or("no elapsed_ms")?));
            bare.push(streamed);
        }
    }
    drop(seeder);
    std::fs::remove_dir_all(data)?;
    print_row("get 1 GiB, against a bare libp2p stream", &ours, &bare, "≥ 0.6");
    Ok(())
}

/// Highest resident memory of both ends of a 1 GiB and a 4 GiB transfer, to show that it does not
/// grow.
pub(crate) fn memory_of_both_ends(machine: &Machine) -> Result<(), Failure> {
    for gib in [1u64, 4] {
        let (data, release, seeder) = seeded(machine, gib << 30)?;
        let here = machine.fresh("getter")?;
        let getter = Daemon::start(&here, &["--peer", seeder.address()]);
        json(machine.perennial(&here).arg("get").arg(&release))?;
        let (sender, receiver) = (seeder.highest_memory() / 1024, getter.highest_memory() / 1024);
        println!(
            "| get {gib} GiB: highest memory, sender / receiver | {sender} / {receiver} MiB | | | \
            ≤ 150 MiB |"
        );
        drop((seeder, getter));
        std::fs::remove_dir_all(data)?;
        std::fs::remove_dir_all(here)?;
    }
    Ok(())
}

/// A running node that holds one release of a single file: its data directory, the release id, the
/// node.
fn seeded(machine: &Machine, bytes: u64) -> Result<(std::path::PathBuf, String, Daemon), Failure> {
    let file = machine.random_file("blob", bytes)?;
    let data = machine.fresh("seeder")?;
    {
        // Added by a separate node, so that the memory measured later belongs to the transfer
        // alone.
        let adder = Daemon::start(&data, &[]);
        json(machine.perennial(&data).arg("add").arg(&file).args([
            "--name",
            "blob",
            "--version",
            "1",
        ]))?;
        drop(adder);
    }
    std::fs::remove_file(file)?;
    let seeder = Daemon::start(&data, &[]);
    let row = json(machine.perennial(&data).arg("ls"))?;
    let release = row["release"].as_str().ok_or("no release id")?.to_owned();
    Ok((data, release, seeder))
}

/// One run of the swarm crate's own benchmark: 1 GiB between two processes, without hashing or
/// disk.
fn bare_stream() -> Result<Duration, Failure> {
    let output = nested_cargo()
        .ok_or("this figure needs cargo")?
        .args(["bench", "--quiet", "-p", "perennial-swarm", "--bench", "stream"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text
        .split_whitespace()
        .zip(text.split_whitespace().skip(1))
        .find(|(_, unit)| *unit == "MiB/s");
    let rate: f64 = rate.ok_or_else(|| format!("no rate in {text:?}"))?.0.parse()?;
    Ok(Duration::from_secs_f64(1024.0 / rate))
}
