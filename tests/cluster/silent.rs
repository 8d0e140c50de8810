//! A blob from four holders, one of which fails at a random moment: the others are enough, always.
//!
//! `PERENNIAL_ROUNDS` sets how often (500 is the long form), `PERENNIAL_SEED` repeats a run.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};

use perennial_tests::{Daemon, MIB, add, command, perennial, text, write_tree};

/// What befalls a holder.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It is stopped: its connection stays, and nothing comes.
    Stopped,
    /// It is killed: its connection breaks.
    Killed,
    /// Nothing at all.
    None,
}

const BYTES: usize = 8 * MIB;

fn holder(data: &Path) -> Daemon {
    // Slow on purpose, so that the fault falls into the transfer.
    Daemon::start(data, &["--upload", "4MiB"])
}

#[test]
fn one_of_four_holders_may_fall_silent() {
    let rounds: usize =
        std::env::var("PERENNIAL_ROUNDS").map_or(6, |rounds| rounds.parse().expect("a number"));
    let seed: u64 = std::env::var("PERENNIAL_SEED")
        .map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("PERENNIAL_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let source = write_tree(&dir.path().join("src"), 1, &[BYTES]);
    let places: Vec<_> = (0..4).map(|n| dir.path().join(format!("holder-{n}"))).collect();
    for place in &places {
        add(place, &source, "large", "1");
    }
    let shown = perennial(&places[0], &["show", "large@1"]).ok().json();
    let blob = shown["files"][0]["blake3"].as_str().expect("a digest").to_owned();
    let bytes = fs::read(source.join("file-0.bin")).expect("ours");
    let mut holders: Vec<_> = places.iter().map(|place| holder(place)).collect();
    let mut failed = Vec::new();
    for round in 0..rounds {
        let fault = [Fault::Stopped, Fault::Stopped, Fault::Killed, Fault::None][round % 4];
        let victim = rng.random_range(0..holders.len());
        // From the first connections to a moment when it may be over.
        let at = Duration::from_millis(rng.random_range(100..1500));
        let (data, out) = (dir.path().join("d"), dir.path().join("out"));
        let peers = holders.iter().flat_map(|holder| ["--peer", holder.address()]);
        let args: Vec<_> = peers.chain(["get", &blob, "-o", text(&out)]).collect();
        let began = Instant::now();
        let mut getting = command(&data, &args).spawn().expect("starts");
        while began.elapsed() < at && getting.try_wait().expect("waitable").is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        let pid = Pid::from_raw(i32::try_from(holders[victim].pid()).expect("a pid"));
        let signal = |signal| pid.is_some_and(|pid| kill_process(pid, signal).is_ok());
        match fault {
            Fault::Stopped => assert!(signal(Signal::STOP)),
            Fault::Killed => assert!(signal(Signal::KILL)),
            Fault::None => {}
        }
        let code = getting.wait().expect("ends").code();
        let got = fs::read_dir(&out).into_iter().flatten().flatten().next();
        let whole = got.is_some_and(|file| fs::read(file.path()).is_ok_and(|got| got == bytes));
        if code != Some(0) || !whole {
            failed.push((round, fault, at, code));
        }
        match fault {
            Fault::Stopped => assert!(signal(Signal::CONT)),
            Fault::Killed => {
                let again = holder(&places[victim]);
                drop(std::mem::replace(&mut holders[victim], again));
            }
            Fault::None => {}
        }
        let _ = fs::remove_dir_all(&data);
        let _ = fs::remove_dir_all(&out);
    }
    assert!(failed.is_empty(), "{} of {rounds} failed: {failed:?}", failed.len());
}
