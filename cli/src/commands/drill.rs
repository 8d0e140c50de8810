//! `perennial drill`: rehearses a supply cut with real nodes and the user's own files.

mod compare;
mod machine;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use perennial_control::{Add, Get, GetDone, Key, Published};
use perennial_manifest::{Holding, PublisherId, Purl, SelectorError};
use tempfile::TempDir;

use self::compare::{Original, compare, originals};
use self::machine::Machine;
use self::report::{Report, Step};
use crate::failure::{CommandError, USAGE};
use crate::paths::{absolute, existing};
use crate::quantity::{bytes, count, duration};
use crate::screen::{Screen, safe};
use crate::session::interrupted;

/// The rehearsed release, in the drill's own network.
const PURL: &str = "pkg:generic/drill@1";
/// The release's name as a user would type it.
const NAME: &str = "drill@1";
/// How many times deleting the data directories is attempted.
const REMOVE_TRIES: u32 = 50;
/// The pause between two attempts.
const REMOVE_AGAIN: Duration = Duration::from_millis(100);

/// Rehearse a supply cut with your own files
///
/// Starts four nodes on this machine, each with its own data directory, connected over loopback.
/// Adds the files as a release on the first, waits until two others that follow its publisher hold
/// it, stops the first and deletes its data directory, fetches the release on the fourth, which
/// never met the first, and compares every byte with the originals. Needs no configuration and no
/// running node, but about five times the size of the files in temporary space. The exit code is 0
/// only if the release survived.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial drill ./kubekey-v3.1.0
  perennial drill ~/.cargo/registry/cache
  perennial drill kk.tar.gz SHA256SUMS --dir /var/tmp --keep --json")]
pub(crate) struct DrillArgs {
    /// Files and directories to rehearse with
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Directory for the nodes' data [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the data directories of the surviving nodes, and the fetched files
    #[arg(long)]
    keep: bool,
    /// Give up when one step takes longer
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    timeout: Duration,
}

pub(crate) async fn run(args: DrillArgs, screen: &Screen) -> Result<(), CommandError> {
    for path in args.paths.iter().chain(&args.dir) {
        existing(path)?;
    }
    let originals = originals(&args.paths)?;
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let place = tempfile::Builder::new()
        .prefix("perennial-drill-")
        .tempdir_in(&parent)
        .map_err(|source| CommandError::Io { what: parent.display().to_string(), source })?;
    let mut report = Report::new(*screen);
    let outcome = tokio::select! {
        outcome = rehearse(&args, originals, place.path(), &mut report) => outcome,
        () = interrupted() => Err(CommandError::Interrupted { goes_on: false }),
    };
    if args.keep {
        screen.status(format_args!("kept {}", place.keep().display()));
    } else {
        remove(&place).await;
    }
    match outcome {
        Ok(()) => report.survived().map_err(CommandError::from),
        Err(error @ (CommandError::Interrupted { .. } | CommandError::Output(_))) => Err(error),
        // Files that cannot be a release were never at stake.
        Err(error) if error.exit_code() == USAGE => Err(error),
        Err(error) => {
            report.lost(&error.to_string())?;
            Err(CommandError::Drill(format!("the release did not survive: {error}")))
        }
    }
}

/// Deletes the data directories. Nodes left running by an error stop on their own, but not at once.
async fn remove(place: &TempDir) {
    for _ in 0..REMOVE_TRIES {
        if std::fs::remove_dir_all(place.path()).is_ok() {
            return;
        }
        tokio::time::sleep(REMOVE_AGAIN).await;
    }
}

/// Runs the whole rehearsal. Succeeds only when every byte was compared.
async fn rehearse(
    args: &DrillArgs,
    originals: Vec<Original>,
    place: &Path,
    report: &mut Report,
) -> Result<(), CommandError> {
    let size: u64 = originals.iter().map(|original| original.size).sum();

    let started = Instant::now();
    let a = Machine::start('A', place, Vec::new(), Vec::new()).await?;
    let publisher = a.ask(Key, report.screen()).await?.publisher;
    let follow = vec![publisher.to_string()];
    let b = Machine::start('B', place, a.addresses(), follow.clone()).await?;
    let c = Machine::start('C', place, [a.addresses(), b.addresses()].concat(), follow).await?;
    report.step(
        Step::new("start", started, 0),
        "nodes A, B and C run; B and C follow A's publisher",
    )?;

    let added = add(args, &a, report).await?;
    if (added.artifacts, added.bytes) != (originals.len() as u64, size) {
        return Err(CommandError::Drill(format!(
            "{} of {} should have been added, but {} of {} were",
            count(originals.len() as u64, "file"),
            bytes(size),
            count(added.artifacts, "file"),
            bytes(added.bytes)
        )));
    }

    let started = Instant::now();
    for machine in [&b, &c] {
        machine.wait_until_held(&added.release, args.timeout, report.screen()).await?;
    }
    report.step(Step::new("replicate", started, 2 * added.bytes), "B and C hold the release")?;

    let started = Instant::now();
    let mut nodes = BTreeMap::new();
    let peers = [b.addresses(), c.addresses()].concat();
    for machine in [&a, &b, &c] {
        nodes.insert(machine.peer_id(), machine.letter);
    }
    a.destroy().await?;
    report.step(Step::new("cut", started, 0), "A was stopped and its data directory deleted")?;

    let d = Machine::start('D', place, peers, Vec::new()).await?;
    let out = place.join("fetched");
    get(&d, publisher, &out, &nodes, report).await?;

    let started = Instant::now();
    let compared = tokio::task::spawn_blocking(move || compare(&originals, &out))
        .await
        .map_err(|error| CommandError::Drill(format!("the comparison failed: {error}")))?;
    let compared = compared.map_err(CommandError::Drill)?;
    let text = format!(
        "every byte compared with the originals: {} identical",
        count(compared.files, "file")
    );
    report.step(Step::new("compare", started, compared.bytes), &text)?;

    let mut copies = Vec::new();
    for machine in [&b, &c, &d] {
        let row = machine.find(&added.release, report.screen()).await?;
        if row.is_some_and(|row| row.state == Holding::Held) {
            copies.push(machine.letter.to_string());
        }
    }
    report.copies(copies)?;
    for machine in [b, c, d] {
        machine.stop().await;
    }
    Ok(())
}

async fn add(
    args: &DrillArgs,
    a: &Machine,
    report: &mut Report,
) -> Result<Published, CommandError> {
    let started = Instant::now();
    let paths = args.paths.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
    let purl = Purl::parse(PURL).map_err(|error| CommandError::Drill(error.to_string()))?;
    let added = a.ask(Add::new(paths, purl), report.screen()).await?;
    report.added(&added);
    let text = format!(
        "A added {}, {}, and signed release {}",
        count(added.artifacts, "file"),
        bytes(added.bytes),
        added.release
    );
    report.step(Step::new("add", started, added.bytes), &text)?;
    Ok(added)
}

async fn get(
    d: &Machine,
    publisher: PublisherId,
    out: &Path,
    nodes: &BTreeMap<String, char>,
    report: &mut Report,
) -> Result<GetDone, CommandError> {
    let started = Instant::now();
    let request = Get {
        selector: NAME
            .parse()
            .map_err(|error: SelectorError| CommandError::Drill(error.to_string()))?,
        publisher: Some(publisher.into()),
        output: Some(out.to_owned()),
        force: false,
        platform: None,
        files: Vec::new(),
    };
    let got = d.ask(request, report.screen()).await?;
    let from = got.from.iter().map(|(peer, sent)| match nodes.get(peer) {
        Some(letter) => format!("{} from {letter}", bytes(*sent)),
        None => format!("{} from {}", bytes(*sent), safe(peer)),
    });
    let from = from.collect::<Vec<_>>().join(", ");
    report.fetched(&got);
    let text = format!("D, which never met A, fetched it by name: {from}");
    report.step(Step::new("fetch", started, got.fetched_bytes), &text)?;
    Ok(got)
}
