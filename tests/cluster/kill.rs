//! SIGKILL at random moments of adding, starting, rebuilding and collecting, 200 rounds each. All
//! acknowledged data exists, everything listed is whole, and the node always starts again.
//!
//! Prints its seed. `PERENNIAL_SEED=n` repeats the moments of a run, as far as the machine's timing
//! is reproducible.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use perennial_tests::{
    Daemon, READY_LIMIT, add, assert_same, command, field, files, perennial, text, write_tree,
};

const ROUNDS: u64 = 200;

/// The whole state is compared every `CHECK` rounds.
const CHECK: u64 = 20;

fn rng(test: &str) -> StdRng {
    let given = std::env::var("PERENNIAL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::from(since.subsec_nanos())
    });
    println!("{test}: PERENNIAL_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A random moment within a run that takes `whole`, or shortly after it.
fn moment(rng: &mut StdRng, whole: Duration) -> Duration {
    whole.mul_f64(rng.random_range(0.0..1.15))
}

/// The sorted output of `ls`. Fails unless every release in it is held.
#[track_caller]
fn whole(data: &Path) -> BTreeSet<String> {
    let rows = perennial(data, &["ls"]).ok().rows();
    for row in &rows {
        assert_eq!(row["state"], "held", "listed but not whole: {row}");
    }
    rows.iter().map(|row| field(row, "release").to_owned()).collect()
}

/// Runs a command and kills it after `wait` unless it has ended. Returns its JSON, if it printed
/// any.
fn killed(data: &Path, args: &[&str], wait: Duration) -> Option<Value> {
    let mut child = command(data, args).spawn().expect("perennial starts");
    thread::sleep(wait);
    let _ = child.kill();
    let output = child.wait_with_output().expect("waitable");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    // The command ended by itself, so it has to have succeeded.
    assert!(matches!(output.status.code(), None | Some(0)), "{}: {stderr}", args.join(" "));
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    line.ends_with('\n').then(|| serde_json::from_str(line.trim()).expect("whole lines only"))
}

#[test]
fn killed_at_random_moments_of_add() {
    let mut rng = rng("add");
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let sizes = |rng: &mut StdRng| {
        let mut sizes = vec![rng.random_range(0..3_000_000), 70_000];
        sizes.extend((0..20).map(|_| rng.random_range(0..9000)));
        sizes
    };
    let start = Instant::now();
    let first = write_tree(&dir.path().join("src-first"), u64::MAX, &sizes(&mut rng));
    let mut acknowledged =
        vec![(field(&add(&data, &first, "x", "first"), "release").to_owned(), first)];
    let mut lost = Vec::new();
    // An overestimate on a busy machine; the moments have to fall within an add, not after it.
    let once = start.elapsed().min(Duration::from_millis(600));

    for round in 0..ROUNDS {
        let source = write_tree(&dir.path().join(format!("src-{round}")), round, &sizes(&mut rng));
        let version = format!("1.{round}");
        let args = ["add", text(&source), "--name", "x", "--version", &version, "--license", "MIT"];
        let wait = moment(&mut rng, once);
        // Every fourth round a daemon does the work and is killed.
        let done = if round % 4 == 3 {
            let daemon = Daemon::start(&data, &[]);
            let child = command(&data, &args).spawn().expect("perennial starts");
            thread::sleep(wait);
            daemon.kill();
            let output = child.wait_with_output().expect("it notices that its node is gone");
            output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
        } else {
            killed(&data, &args, wait)
        };
        match done {
            Some(row) => acknowledged.push((field(&row, "release").to_owned(), source)),
            None => lost.push((version.clone(), source)),
        }
        if round % CHECK == CHECK - 1 {
            let listed = whole(&data);
            let gone: Vec<_> = acknowledged.iter().filter(|(id, _)| !listed.contains(id)).collect();
            assert!(gone.is_empty(), "round {round}: acknowledged and gone: {gone:?}");
        }
    }
    println!("{} of {ROUNDS} were acknowledged before the kill", acknowledged.len() - 1);
    perennial(&data, &["verify"]).ok();
    // Interrupted adds can be repeated.
    for (version, source) in lost.iter().take(5) {
        add(&data, source, "x", version);
    }
    // The remaining interrupted adds left nothing behind.
    perennial(&data, &["gc", "--grace", "0s"]).ok();
    for part in ["tmp", "partial"] {
        let left = fs::read_dir(data.join(part)).map(Iterator::count).unwrap_or_default();
        assert_eq!(left, 0, "left in {part}/");
    }
    let listed = whole(&data);
    let large: usize = listed
        .iter()
        .map(|release| perennial(&data, &["show", release]).ok().json())
        .flat_map(|shown| shown["files"].as_array().expect("files").clone())
        .filter(|file| file["size"].as_u64() > Some(64 * 1024))
        .map(|file| field(&file, "blake3").to_owned())
        .collect::<BTreeSet<_>>()
        .len();
    let stored = files(&data.join("blobs"))
        .into_keys()
        .filter(|name| name.extension().is_some_and(|e| e == "blob"));
    assert_eq!(stored.count(), large, "blobs on disk, and large artifacts of the releases listed");
    for (number, (release, source)) in acknowledged.iter().enumerate().step_by(17) {
        let out = dir.path().join(format!("out-{number}"));
        perennial(&data, &["get", release, "-o", text(&out)]).ok();
        assert_same(source, &out);
    }
}

#[test]
fn killed_at_random_moments_of_a_start() {
    let mut rng = rng("start");
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let daemon = Daemon::start(&data, &[]);
    for number in 0..20 {
        let source =
            write_tree(&dir.path().join(format!("src-{number}")), number, &[80_000, 500, 500]);
        add(&data, &source, "x", &format!("1.{number}"));
    }
    let before = (whole(&data), perennial(&data, &["pins"]).ok().stdout);
    daemon.kill();
    let start = Instant::now();
    Daemon::start(&data, &[]).kill();
    let once = start.elapsed();
    for round in 0..ROUNDS {
        let mut daemon = Daemon::spawn(&data, &[]);
        thread::sleep(moment(&mut rng, once));
        assert_eq!(daemon.ended(), None, "round {round}: it did not start again: {}", daemon.log());
        if round % CHECK == CHECK - 1 {
            daemon.wait_ready(READY_LIMIT);
            assert_eq!(
                (whole(&data), perennial(&data, &["pins"]).ok().stdout),
                before,
                "round {round}"
            );
        }
        daemon.kill();
    }
    perennial(&data, &["verify"]).ok();
}

#[test]
fn killed_at_random_moments_of_rebuilding_the_index() {
    let mut rng = rng("rebuild-index");
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let daemon = Daemon::start(&data, &[]);
    for number in 0..60 {
        let source = write_tree(&dir.path().join(format!("src-{number}")), number, &[70_000, 500]);
        add(&data, &source, "x", &format!("1.{number}"));
    }
    daemon.terminate(Duration::from_secs(10));
    let state = || (whole(&data), perennial(&data, &["pins"]).ok().stdout);
    let before = state();
    let start = Instant::now();
    perennial(&data, &["rebuild-index"]).ok();
    let once = start.elapsed();
    for round in 0..ROUNDS {
        killed(&data, &["rebuild-index"], moment(&mut rng, once));
        // Every fourth round, the node is killed again during the start that recovers.
        if round % 4 == 3 {
            killed(&data, &["key"], moment(&mut rng, once));
        }
        if round % CHECK == CHECK - 1 {
            assert_eq!(state(), before, "round {round}: half an index was opened as a whole one");
        }
    }
    perennial(&data, &["verify"]).ok();
    assert_eq!(perennial(&data, &["rebuild-index"]).ok().json()["releases"], 60);
}

#[test]
fn killed_at_random_moments_of_gc() {
    let mut rng = rng("gc");
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("a");
    let mut kept = Vec::new();
    let shared = 90_000;
    for number in 0..6 {
        let source = write_tree(
            &dir.path().join(format!("kept-{number}")),
            number,
            &[shared, 200_000, 700, 800],
        );
        kept.push((
            field(&add(&data, &source, "kept", &format!("1.{number}")), "release").to_owned(),
            source,
        ));
    }
    let litter = |round: u64| {
        // A kept release shares half of these bytes, so they have to stay.
        for number in 0..3 {
            let source = dir.path().join(format!("litter-{round}-{number}"));
            write_tree(&source, 1000 + round * 10 + number, &[150_000, 900, 900]);
            let from = dir.path().join(format!("kept-{number}")).join("file-0.bin");
            fs::copy(from, source.join("shared.bin")).expect("a copy");
            let release = add(&data, &source, "litter", &format!("{round}.{number}"));
            perennial(&data, &["unpin", field(&release, "release")]).ok();
            let _ = fs::remove_dir_all(&source);
        }
    };
    litter(ROUNDS);
    let start = Instant::now();
    let first = perennial(&data, &["gc", "--grace", "0s"]).ok().json();
    assert!(first["blobs"].as_u64() > Some(0), "there was something to collect: {first}");
    let once = start.elapsed();
    for round in 0..ROUNDS {
        if round % 4 == 0 {
            litter(round);
        }
        killed(&data, &["gc", "--grace", "0s"], moment(&mut rng, once));
        if round % CHECK == CHECK - 1 {
            let held: BTreeSet<_> = perennial(&data, &["ls"])
                .ok()
                .rows()
                .iter()
                .filter(|row| row["state"] == "held")
                .map(|row| field(row, "release").to_owned())
                .collect();
            assert!(
                kept.iter().all(|(release, _)| held.contains(release)),
                "round {round}: pinned and gone"
            );
        }
    }
    perennial(&data, &["verify"]).ok();
    let last = perennial(&data, &["gc", "--grace", "0s"]).ok().json();
    let again = perennial(&data, &["gc", "--grace", "0s"]).ok().json();
    assert_eq!(again["blobs"], 0, "an interrupted gc is finished by the next: {last}, {again}");
    for (number, (release, source)) in kept.iter().enumerate() {
        let out = dir.path().join(format!("out-{number}"));
        perennial(&data, &["get", release, "-o", text(&out)]).ok();
        assert_same(source, &out);
    }
}
